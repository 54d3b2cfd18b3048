#!/usr/bin/env python3
"""File to file: a raw file of 4 GB of 784-wide bytes through `diabolo encode`.

  bench/encode_large.py MODEL [--diabolo build/release/diabolo] [--gigabytes 4] [--folder /tmp]

Peak resident memory and rate of the whole process, the file's reading rate alone (page cache as it
is), and the rate of encode_bench (rows in memory, batch 4096) in the same minute. Writes
bench/results/encode-large-DATE.json.
"""
import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
WIDTH = 784


def make_file(path, rows):
    rng = np.random.default_rng(0)
    with open(path, "wb") as f:
        for first in range(0, rows, 1 << 16):
            f.write(rng.integers(0, 256, (min(1 << 16, rows - first), WIDTH), np.uint8).tobytes())


def read_rate(path):
    began, total = time.perf_counter(), 0
    with open(path, "rb", buffering=0) as f:
        while chunk := f.read(1 << 22):
            total += len(chunk)
    return total / (time.perf_counter() - began)


def in_memory_rate(build):
    done = subprocess.run([build / "encode_bench", "--benchmark_filter=encode/dense/f32/4096",
                           "--benchmark_format=json", "--benchmark_min_time=2"],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["benchmarks"][0]["samples_per_s"]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--diabolo", type=Path, default=HERE.parent / "build" / "release" / "diabolo")
    p.add_argument("--gigabytes", type=float, default=4)
    p.add_argument("--folder", type=Path, default=Path("/tmp"))
    args = p.parse_args()
    source, codes = args.folder / "large.raw", args.folder / "large-codes.npy"
    rows = int(args.gigabytes * 1e9) // WIDTH
    make_file(source, rows)
    reading = read_rate(source)
    memory = in_memory_rate(args.diabolo.parent)
    began = time.perf_counter()
    subprocess.run([args.diabolo, "encode", args.model, source, "-o", codes, "--shape", "28,28",
                    "--dtype", "u8", "--progress", "none"], check=True)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    written = codes.stat().st_size
    for path in (source, codes):
        path.unlink()
    commit = subprocess.check_output(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], text=True)
    device = subprocess.check_output([args.diabolo, "devices"], text=True)
    record = {"what": "4 GB raw file through diabolo encode, f32 on the CPU",
              "date": datetime.date.today().isoformat(), "commit": commit.strip(),
              "device": device.splitlines()[0], "rows": rows, "seconds": seconds,
              "rows_per_s": rows / seconds, "in_memory_rows_per_s": memory,
              "share_of_in_memory": rows / seconds / memory, "peak_rss_bytes": peak,
              "read_bytes_per_s": reading, "codes_bytes": written, "load": os.getloadavg()[0]}
    out = HERE / "results" / f"encode-large-{record['date']}.json"
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
