#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets for .npy, IDX, CSV and safetensors into corpus/.

Needs nothing but Python; the files are the same on every run. They are kept in the repository.
"""
import gzip
import itertools
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def npy(descr, order, shape, content, version=1):
    header = str({"descr": descr, "fortran_order": order, "shape": shape}).encode()
    fixed = 10 if version == 1 else 12
    header += b" " * (-(fixed + len(header) + 1) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


def idx(code, extents, content):
    return struct.pack(">HBB", 0, code, len(extents)) + struct.pack(
        ">%dI" % len(extents), *extents) + content


def packed(content):
    return gzip.compress(content, mtime=0)


def safetensors(tensors, metadata=None, with_hash=False):
    header, data = {}, b""
    if with_hash:
        metadata = {"diabolo.hash": "0" * 32, **(metadata or {})}
        # XXH3-128 of no bytes: right for the empty tensors that these seeds have.
        metadata.update({"diabolo.hash." + name: "99aa06d3014798d86001c324468d497f"
                         for name in tensors})
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def counting(n):
    return bytes(itertools.islice(itertools.cycle(range(256)), n))


SEEDS = {
    "npy": {
        "u1": npy("|u1", False, (4, 3), counting(12)),
        "f4_fortran": npy("<f4", True, (3, 2, 2), counting(48)),
        "f8_big": npy(">f8", False, (2, 2), counting(32)),
        "i2_big_fortran": npy(">i2", True, (2, 3), counting(12)),
        "rank1": npy("<i8", False, (3,), counting(24)),
        "rank5": npy("|b1", False, (2, 1, 2, 1, 2), counting(8)),
        "empty": npy("<f2", False, (0, 4), b""),
        "version2": npy("<u4", False, (2, 2), counting(16), 2),
        "version3": npy("<u2", False, (2, 2), counting(8), 3),
        "objects": npy("|O", False, (2,), b"\x80\x04N."),
        "structure": npy([("a", "<f4")], False, (2,), counting(8)),
        "huge": npy("<f4", False, (2 ** 63, 2 ** 40), b""),
    },
    "idx": {
        "images": idx(8, (3, 2, 2), counting(12)),
        "labels": idx(8, (5,), counting(5)),
        "floats": idx(13, (2, 2), counting(16)),
        "doubles": idx(14, (1, 2), counting(16)),
        "shorts": idx(11, (2, 2), counting(8)),
        "rank9": idx(8, (1,) * 9, b"x"),
        "huge": idx(8, (2 ** 32 - 1,) * 4, b""),
        "images_gz": packed(idx(8, (3, 2, 2), counting(12))),
        "ints_gz": packed(idx(12, (3, 2), counting(24))),
        "bomb_gz": packed(idx(8, (400, 1000), b"\0" * 400_000)),
        "members_gz": packed(idx(8, (4, 4), b"")) + packed(counting(16)),
    },
    "csv": {
        "header": b"a,b\n1,2.5\n-3e4,nan\n",
        "quotes": b'"a, ""b""";c\r\n"1";2\r\n" 3 ";4',
        "tabs": b"\xef\xbb\xbfx\ty\n1\t\n\n2\tinf\n",
        "one_column": b"1\n\n18446744073709551616\n1e999\n",
        "text": b"a,b\n1,two\n",
        "ragged": b"1,2\n3\n",
        "open_quote": b'a,b\n1,"2\n3,4\n',
        "zeros": b"a\0b\0\n\0",
        "name_of_lines": b'"a\nb",c\nx,2\n3,4\n',
        "returns": b"a,b\r1,2\r3,4\r",
        "counting": b"0,1,2\n3,4,5\n",
        "rows_gz": packed(b"a,b\n1,2\n3,4\n"),
    },
    "safetensors": {
        "one": safetensors({"a": ("F32", [2, 2], counting(16))}),
        "types": safetensors({"a": ("BF16", [3], counting(6)), "b": ("BOOL", [], b"\1"),
                              "c": ("I64", [1, 1, 1, 1, 1], counting(8))}),
        "metadata": safetensors({"a": ("U8", [3], b"abc")}, {"config": "[model]\n", "k": "\u00e9"}),
        "empty": safetensors({}),
        "hashed": safetensors({"a": ("F32", [0, 3], b""), "b": ("U8", [0], b"")}, {"k": "v"}, True),
        "unknown": safetensors({"a": ("F8_E4M3", [4], counting(4))}),
        "deep": struct.pack("<Q", 200) + b"[" * 200,
    },
}

for target, seeds in SEEDS.items():
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        (folder / name).write_bytes(content)
