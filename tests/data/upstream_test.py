#!/usr/bin/env python3
"""Our files open in numpy and in the safetensors package, and theirs in ours.

usage: upstream_test.py PROGRAM     (tests/data/upstream_files.cpp)
Status 77, "skipped", where numpy is absent; the safetensors package, which Debian does not have, is
replaced by a reader of the published format where it is absent.
"""
import itertools
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

PROGRAM = sys.argv[1]
TYPES = ["b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
SHAPES = [(7,), (0, 3), (7, 3), (7, 1), (1, 5), (7, 2, 3), (3, 2, 1, 4), (3, 2, 2, 2, 2)]


def array_of(dtype, shape, order, rng):
    count = int(np.prod(shape))
    raw = rng.integers(0, 2 if dtype[1] == "b" else 100, count)
    values = raw.astype(dtype[1:]) - (3 if dtype[1] in "if" else 0)
    return np.asarray(values.reshape(shape).astype(dtype), order=order)


def check_numpy(folder):
    rng = np.random.default_rng(7)
    cases = 0
    for kind, byte_order, shape, order in itertools.product(TYPES, "<>", SHAPES, "CF"):
        array = array_of(byte_order + kind, shape, order, rng)
        source, copy = folder / "in.npy", folder / "out.npy"
        with open(source, "wb") as file:
            np.lib.format.write_array(file, array, version=[(1, 0), (2, 0), (3, 0)][cases % 3])
        subprocess.run([PROGRAM, "copy", source, copy, str(1 + cases % 8)], check=True)
        result = np.load(copy, allow_pickle=False)
        assert result.dtype == array.dtype.newbyteorder("="), (array.dtype, result.dtype)
        assert result.shape == array.shape, (array.shape, result.shape)
        assert np.array_equal(result, array), (kind, byte_order, shape, order)
        cases += 1
    print("numpy:", cases, "arrays")


def load_by_the_format(path):
    """Arrays of a safetensors file, by github.com/huggingface/safetensors, README, "Format"."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    types = {"F32": "<f4", "F64": "<f8", "U8": "u1"}
    assert length % 8 == 0 and content[8:9] == b"{"
    assert all(isinstance(v, str) for v in header.pop("__metadata__").values())
    spans = sorted(tuple(t["data_offsets"]) for t in header.values())
    assert [a for a, _ in spans] == [0] + [b for _, b in spans[:-1]] and spans[-1][1] == len(data)
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], types[t["dtype"]]).reshape(
        t["shape"]) for name, t in header.items()}


def check_safetensors(folder):
    path = folder / "model.safetensors"
    subprocess.run([PROGRAM, "model", path], check=True)
    try:
        from safetensors.numpy import load_file
        how = "package"
    except ImportError:
        load_file = load_by_the_format
        how = "format"
    tensors = load_file(path)
    assert sorted(tensors) == ["none", "scalar", "small", "weight"]
    assert np.array_equal(tensors["weight"], np.arange(12, dtype="f4").reshape(3, 4))
    assert np.array_equal(tensors["small"], np.array([1, 2, 3], "u1"))
    assert tensors["scalar"].shape == () and tensors["scalar"] == 2.5
    assert tensors["none"].shape == (0, 2)
    print("safetensors: by the", how)


with tempfile.TemporaryDirectory() as name:
    check_numpy(pathlib.Path(name))
    check_safetensors(pathlib.Path(name))
