#!/usr/bin/env python3
"""Predicted time of the GPU check's `dense` rows from `diabolo plan`, beside their floor.

  bench/predict.py [--diabolo build/release/diabolo] [--for sm_90]

floor      max(flops / rate, bytes / bandwidth) + 1.1 us x dependent launches, of the whole row
predicted  the same step by step, with the rate that the portable kernels can reach at most
           (mma.sync: 63 % of wgmma's) times the share of multiprocessors that the tiles fill

Rates of an H100 (80 GB HBM3): bf16 product 798 TFLOP/s and copy 3.0 TB/s, measured; f32 FMA
67 TFLOP/s and 1.1 us a launch, from NVIDIA's data sheet and recalled. Nothing here was measured on
this project's kernels.
"""
import argparse
import json
import math
import subprocess

SMS, LAUNCH_S, BANDWIDTH = 132, 1.1e-6, 3.0e12
PEAK = {"bf16": 798e12, "f32": 67e12}
REACHABLE = {"bf16": 0.63 * 798e12, "f32": 0.75 * 67e12}
LAUNCHES = {"dense_loss": 2, "dense_score": 2, "global_norm": 2, "loss": 2}


def plan(args, mode, batch, precision):
    command = [args.diabolo, "plan", "--features", "784", "--code-size", "64", "--mode", mode,
               "--batch-size", str(batch), "--precision", precision, "--for", args.device, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def extents(value):
    return [int(x) for x in value["shape"].split("[")[1].rstrip("]").split(",")]


def launches_of(step):
    if step["op"] == "dense_weight_grad":  # scratch: parts of the batch, which a second one adds up
        return 2 if step["scratch_bytes"] else 1
    return LAUNCHES.get(step["op"], 1)


def filled(step):
    """Share of the multiprocessors' time that the output's tiles fill (kernels/cuda/choose.cpp)."""
    if not step["op"].startswith("dense"):
        return 1.0
    splits, deepest = 1, 1
    if step["op"] in ("dense_loss", "dense_score"):
        m, n = extents(step["in"][0])[0], extents(step["in"][1])[1]
    else:
        m, n = extents(step["out"][0])
    if step["op"] == "dense_weight_grad":
        deepest = max(1, min(64, extents(step["in"][0])[0] // 1024))
        splits = max(1, step["scratch_bytes"] // (4 * m * n))
    for tile in (128, 64, 32):
        tiles = math.ceil(m / tile) * math.ceil(n / tile)
        if 4 * tiles * deepest >= 3 * SMS or tile == 32:
            return tiles * splits / (math.ceil(tiles * splits / SMS) * SMS)
    return 1.0


def row(made, precision):
    steps = made["steps"]
    launches = sum(launches_of(s) for s in steps)
    flops, moved = (sum(s[k] for s in steps) for k in ("flops", "bytes"))
    floor = max(flops / PEAK[precision], moved / BANDWIDTH) + LAUNCH_S * launches
    predicted = sum(max(s["flops"] / (REACHABLE[precision] * filled(s)), s["bytes"] / BANDWIDTH)
                    for s in steps) + LAUNCH_S * launches
    return floor, predicted, launches


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--diabolo", default="build/release/diabolo")
    p.add_argument("--for", dest="device", default="sm_90")
    args = p.parse_args()
    print("| row | goal | floor us | predicted us | launches |\n|---|---|---|---|---|")
    for name, goal, mode, batch, times in [
            ("G1 train, batch 256", "30", "train", 256, 1),
            ("G2 train, batch 4096", "75", "train", 4096, 1),
            ("G3 train, batch 65536", "780", "train", 65536, 1),
            ("G5 score of 2^20 rows", "4200", "score", 65536, 16),
            ("G12 encode of 1 row", "8", "encode", 1, 1)]:
        for precision in ("bf16", "f32"):
            floor, predicted, launches = row(plan(args, mode, batch, precision), precision)
            print(f"| {name}, {precision} | {goal if precision == 'bf16' else ''} "
                  f"| {times * floor * 1e6:.0f} | {times * predicted * 1e6:.0f} "
                  f"| {times * launches} |")
    for name, goal, n in [("G14 Adam, 1.1 M", "8", 1.1e6), ("G14 Adam, 300 M", "", 300e6)]:
        seconds = 28 * n / BANDWIDTH + LAUNCH_S
        print(f"| {name} | {goal} | {seconds * 1e6:.0f} | {seconds * 1e6:.0f} | 1 |")


if __name__ == "__main__":
    main()
