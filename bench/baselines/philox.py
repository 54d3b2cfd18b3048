"""Philox4x32-10 in PyTorch, and with it diabolo's initial weights and the benchmarks' data.

The same numbers as kernels/common/philox.h, so that a peer starts from our weights on our data and
both sides can be held to the same loss.
"""
import math

import torch

INIT, SHUFFLE = 1 << 16, 2 << 16
MASK = 0xFFFFFFFF


def philox4x32(first, purpose, seed):
    """first: int64 tensor, the counter's first word; the second and third are 0. Four tensors of
    32-bit numbers in int64: a product of two of them wraps, and its halves are still right."""
    zero = torch.zeros_like(first)
    c = [first, zero, zero, zero + purpose]
    k0, k1 = seed & MASK, seed >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [((b >> 32) & MASK) ^ c[1] ^ k0, b & MASK, ((a >> 32) & MASK) ^ c[3] ^ k1, a & MASK]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c


def uniform(n, seed, purpose):
    """n numbers in [0, 1), 24 bits, of row 0 of step 0."""
    lanes = philox4x32(torch.arange((n + 3) // 4), purpose, seed)
    return (torch.stack(lanes, 1).reshape(-1)[:n] >> 8).float() * 2.0 ** -24


def initial_parameters(widths, seed=0):
    """[(weight [I, O], bias [O])] of widths[0]-...-code-...-widths[0], uniform in +-1/sqrt(I)."""
    dims = widths + widths[-2::-1]
    out, index = [], 0
    for i, o in zip(dims, dims[1:]):
        limit = torch.tensor(1 / math.sqrt(i), dtype=torch.float32)
        layer = []
        for count in (i * o, o):
            layer.append(limit * (2 * uniform(count, seed, INIT + index) - 1))
            index += 1
        out.append((layer[0].reshape(i, o), layer[1]))
    return out


def bench_rows(rows, features, device):
    """f32 [rows, features] in [0, 1]: the random bytes of bench/training_bed.cpp, over 255."""
    n = rows * features
    out = torch.empty(n, dtype=torch.float32, device=device)
    chunk = 1 << 22
    for first in range(0, n // 4, chunk):
        quads = torch.arange(first, min(n // 4, first + chunk), device=device)
        lanes = philox4x32(quads, 0, 2)
        out[4 * first:4 * first + 4 * len(quads)] = (torch.stack(lanes, 1).reshape(-1) >> 24) / 255
    return out.reshape(rows, features)


def bench_order(rows):
    """The order in which the training benchmarks pick rows: int64 [rows]."""
    draws = philox4x32(torch.arange(rows + 1), SHUFFLE, 1)[0].tolist()
    order = list(range(rows))
    for i in range(rows, 1, -1):
        j = draws[i] % i
        order[i - 1], order[j] = order[j], order[i - 1]
    return torch.tensor(order)
