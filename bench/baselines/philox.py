"""Philox4x32-10 in numpy, and with it diabolo's initial weights and the benchmarks' data.

The same numbers as kernels/common/philox.h, so that a peer starts from our weights on our data and
both sides can be held to the same loss.
"""
import numpy as np

INIT, SHUFFLE = 1 << 16, 2 << 16


def philox4x32(counter, key):
    """counter: four uint32 arrays; key: an integer of 64 bits. Returns four uint32 arrays."""
    c = [np.asarray(x, np.uint64) for x in np.broadcast_arrays(*counter)]
    mask = np.uint64(0xFFFFFFFF)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & mask,
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [x.astype(np.uint32) for x in c]


def uniform(n, seed, purpose, step=0, row=0):
    """n numbers in [0, 1), 24 bits, of one row."""
    quads = np.arange((n + 3) // 4, dtype=np.uint64)
    lanes = philox4x32((quads, row, step, purpose), seed)
    bits = np.stack(lanes, axis=1).reshape(-1)[:n]
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -24)


def initial_parameters(widths, seed=0):
    """[(weight [I, O], bias [O])] of widths[0]-...-code-...-widths[0], uniform in +-1/sqrt(I)."""
    dims = widths + widths[-2::-1]
    out, index = [], 0
    for i, o in zip(dims, dims[1:]):
        limit = np.float32(1.0 / np.sqrt(float(i)))
        layer = []
        for count in (i * o, o):
            layer.append(limit * (2 * uniform(count, seed, INIT + index) - 1))
            index += 1
        out.append((layer[0].reshape(i, o), layer[1]))
    return out


def bench_bytes(rows, features):
    """The uniform random bytes of the training benchmarks (bench/training_bed.cpp)."""
    n = rows * features
    out = np.empty(n, np.uint8)
    chunk = 1 << 24
    for first in range(0, n // 4, chunk):
        quads = np.arange(first, min(n // 4, first + chunk), dtype=np.uint64)
        lanes = philox4x32((quads, 0, 0, 0), 2)
        part = np.stack([x >> np.uint32(24) for x in lanes], axis=1).astype(np.uint8).reshape(-1)
        out[4 * first:4 * first + len(part)] = part
    return out.reshape(rows, features)


def bench_order(rows):
    """The order in which the training benchmarks pick rows."""
    k = np.arange(rows + 1, dtype=np.uint64)
    draws = philox4x32((k, 0, 0, SHUFFLE), 1)[0].tolist()
    order = list(range(rows))
    for i in range(rows, 1, -1):
        j = draws[i] % i
        order[i - 1], order[j] = order[j], order[i - 1]
    return np.array(order)
