#!/usr/bin/env python3
"""Predicted time of the GPU check's `dense` rows from `diabolo plan`, beside their floor.

  bench/predict.py [--diabolo build/release/diabolo] [--for sm_90]

floor      max(flops / rate, bytes / bandwidth) + 1.1 us x dependent launches, of the whole row
predicted  the same step by step, products by whole tiles and waves of them, each bound by
           mma.sync (63 % of the peak rate), shared memory, the second-level cache or the way from
           memory, with its epilogue

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


# Cycles of an H100's multiprocessors for a product, as kernels/cuda/choose.cpp counts them when it
# chooses tile and parts: the same figures, change them together.
CLOCK = 1.755e9
TILES = [  # rows, columns, bytes of bf16 through shared memory and cycles to wait a row of k, ffma
    (256, 128, 2816, 11, 1.0), (128, 128, 2048, 11, 1.0), (128, 64, 1152, 8, 1.0),
    (64, 64, 768, 7.5, 1.1), (32, 32, 384, 4, 1.4)]


def product_cycles(m, n, depth, splits, tile, precision):
    rows, columns, shared, wait, ffma = tile
    blocks = math.ceil(m / rows) * math.ceil(n / columns) * splits
    elem, area = (2 if precision == "bf16" else 4), rows * columns
    computed = area / 1290 if precision == "bf16" else area / 128 * ffma
    cache = min(64, 3200 / min(blocks, SMS))
    a_row = max(computed, shared * elem / 2 / 128, (rows + columns) * elem / cache, wait * elem / 2)
    of_tile = depth * a_row + 1500 + 0.2 * area + (area / 3 if splits > 1 else 0)
    return math.ceil(blocks / SMS) * of_tile


def product_seconds(step, precision):
    """A dense step's launch of tiles; the tile is the one that takes the fewest cycles."""
    x, other = extents(step["in"][0]), extents(step["in"][1])
    if step["op"] == "dense_weight_grad":
        m, n, k = x[1], other[1], x[0]
    elif step["op"] == "dense_data_grad":
        m, n, k = x[0], extents(step["out"][0])[1], x[1]
    else:
        m, k = x
        n = other[0] if other[1] == k and other[0] != k else other[1]
    splits = 1
    if step["op"] == "dense_weight_grad" and step["scratch_bytes"]:
        splits = max(1, step["scratch_bytes"] // (4 * m * n))
    few = step["op"] in ("dense_loss", "dense_score")
    built = [t for t in TILES if t[0] != t[1] and precision == "bf16" and not few
             or t[0] == t[1] and not (few and t[0] == 64)]
    if step["op"] == "dense_score":
        built = [TILES[1] if n > 32 else TILES[4]]
    depth = math.ceil(k / splits)
    return min(product_cycles(m, n, depth, splits, t, precision) for t in built) / CLOCK


def row(made, precision):
    steps = made["steps"]
    launches = sum(launches_of(s) for s in steps)
    flops, moved = (sum(s[k] for s in steps) for k in ("flops", "bytes"))
    floor = max(flops / PEAK[precision], moved / BANDWIDTH) + LAUNCH_S * launches
    predicted = sum(max(product_seconds(s, precision) if s["op"].startswith("dense") else 0,
                        s["bytes"] / BANDWIDTH) for s in steps) + LAUNCH_S * launches
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
