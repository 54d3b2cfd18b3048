#!/usr/bin/env python3
"""Predicted time of the GPU goals from `diabolo plan`, their floors, and what limits each.

  bench/predict.py [--diabolo build/release/diabolo] [--board h100]

floor      max(flops / peak, bytes / copy rate) + 1.1 us x dependent launches, of the whole row
predicted  launch by launch. A product: its tiles and parts are those of the plan; blocks of a
           multiprocessor and warp instructions of a step are those of kernels/cuda/sass_budget.txt;
           a step over k takes as long as the slowest of mma.sync, issue slots, shared memory and
           the second-level cache, for all blocks that share a multiprocessor, or the way from
           memory for one; padding counts, since tiles are whole; then the tile's first copies and
           its epilogue. Everything else: its bytes. Each launch: the gap, and what a kernel takes
           that does nothing.
limits     where the predicted time goes: the two largest shares

Nothing here was measured on this project's kernels. Rates of the boards: BOARDS.
"""
import argparse
import collections
import dataclasses
import json
import math
import pathlib
import re
import subprocess

BUDGET = pathlib.Path(__file__).resolve().parent.parent / "kernels/cuda/sass_budget.txt"


@dataclasses.dataclass
class Board:
    """Rates: copy in bytes/s read and written, peak of bf16 and of f32 FMA in flop/s."""
    copy: float
    peak_bf16: float
    peak_f32: float
    multiprocessors: int
    clock: float
    mma_share: float  # of the peak that mma.sync reaches
    shared_memory: int  # bytes of a multiprocessor that blocks can have
    cache: float  # second-level, bytes/s for all
    cache_bytes: float


# Copy: measured with PyTorch on H100 (80 GB HBM3) and H200, A100 (80 GB) recalled. Peaks and clocks
# are the data sheets'; 63 % of peak for mma.sync on Hopper, and the caches' rates, are recalled.
BOARDS = {
    "a100": Board(1.7e12, 312e12, 19.5e12, 108, 1.41e9, 0.95, 164 << 10, 4.0e12, 30e6),
    "h100": Board(3.0e12, 989e12, 67e12, 132, 1.755e9, 0.63, 227 << 10, 5.6e12, 40e6),
    "h200": Board(4.3e12, 989e12, 67e12, 132, 1.755e9, 0.63, 227 << 10, 5.6e12, 40e6),
}
LAUNCH_S = 1.1e-6  # between dependent launches of a graph
EMPTY_S = 1.0e-6  # of a kernel: parameters, first instructions, one way to memory, its end
MEMORY_CYCLES = 700  # one way to memory and back
TILE_CYCLES = 1500  # of a tile, or a chain's layer: first copies, barriers of its slabs
ARRIVAL_CYCLES = 2000  # of the last block: it learns that, reads what the others left, adds it up
ELEMENT_CYCLES = 0.2  # of an epilogue: four accesses of 4 bytes of shared memory, its stores
SHARED_RATE, BLOCK_CACHE_RATE, ISSUE_RATE = 128, 64, 4  # bytes, bytes, warp instructions a cycle
SHARED_WITHOUT_OPT_IN = 48 << 10
EPILOGUES = {"dense_forward": "ForwardEpilogue", "dense_loss": "LossEpilogue",
             "dense_score": "ScoreEpilogue", "dense_data_grad": "DataGradEpilogue",
             "dense_weight_grad": "WeightGradEpilogue"}
ARRIVING = {"dense_loss", "advance"}  # the last block adds partial sums, or moves the state on
# A second launch adds partial sums.
SUMMED = {"dense_score", "global_norm", "loss", "conv2d_weight_grad"}


@dataclasses.dataclass
class Tile:
    """A product's kernel, as its name and its line in the budget say."""
    warps: int
    depth: int  # of k a step
    resident: int
    instructions: int  # a warp, a step
    shared_bytes: float  # through shared memory a step: staged, then read by warps
    stages: int  # in flight
    stage_bytes: int


def read_tiles():
    """{(epilogue, dense_chain or dense_grads, is bf16, rows, columns): Tile}, of both ways round
    the worse. Of both gradients in one launch the budget has the weight's, which takes more."""
    tiles = {}
    pattern = re.compile(r"(\d+) +\d+ +\d+ +\d+ +\d+ +(\d+) +(\d+)  (?:tile_product|dense_grads|"
                         r"dense_chain)_kernel<(?:ChainShape<)?(MmaLoop<Bf16,|FfmaLoop<)(\d+),"
                         r"(\d+),(\d+),(\d+),(\d+),\d,\d>,(?:(\w+Epilogue)|(\d),\d>|\w+Loop<)")
    for line in BUDGET.read_text().splitlines():
        match = pattern.search(line)
        if not match:
            continue
        is_mma = bf16 = match[4].startswith("Mma")  # tf32 is not matched
        blocks, step, work, m, n, k, one, other = (int(match[g]) for g in (1, 2, 3, 5, 6, 7, 8, 9))
        warps = one * other if is_mma else one * other // 32
        elem = 2 if bf16 else 4
        # A warp of mma reads its rows and columns; a thread of FMA its own, which a warp shares.
        across, along = (one, other) if is_mma else (warps / 2, 2)
        read = (m * along + n * across) * k * elem
        is_chain = match[11] is not None
        stage = ((0 if is_chain else m) + n) * k * elem
        stages = 3 if m > 128 else min(SHARED_WITHOUT_OPT_IN // stage, 4)
        stages = int(match[11]) if is_chain else stages
        tile = Tile(warps, k, blocks, step + work, stage + read, stages, stage)
        key = (match[10] or ("dense_chain" if is_chain else "dense_grads"), bf16, m, n)
        if key not in tiles or tiles[key].instructions < tile.instructions:
            tiles[key] = tile
    return tiles


def step_cycles(tile, area, shared, busy, bf16, board):
    """{what may limit a step over k: cycles} of `shared` blocks of a multiprocessor."""
    peak = board.peak_bf16 * board.mma_share if bf16 else board.peak_f32
    a_cycle = peak / 2 / board.multiprocessors / board.clock
    return {"mma.sync" if bf16 else "FMA": shared * area * tile.depth / a_cycle,
            "issue slots": shared * tile.warps * tile.instructions / ISSUE_RATE,
            "shared memory": shared * tile.shared_bytes / SHARED_RATE,
            "second-level cache": shared * tile.stage_bytes / cache_rate(busy, board),
            "way from memory": MEMORY_CYCLES / (tile.stages - 1)}


def cache_rate(busy, board):
    return min(BLOCK_CACHE_RATE, board.cache / board.clock / busy)


def waves_of(blocks, resident, board):
    """[(how many waves, blocks on a multiprocessor)]: the last is of what is left."""
    of_one = math.ceil(blocks / board.multiprocessors)
    waves = [(of_one // resident, resident), (1, of_one % resident)]
    return [(count, shared) for count, shared in waves if count and shared]


def chain_wave_seconds(step, tile, bf16, board, shared, busy):
    """As wave_seconds, of a chain of layers, whose rows stay where they are: weights alone are
    staged."""
    layers = step["chain"]
    area = layers[0]["tile_m"] * layers[0]["tile_n"]
    cycles = step_cycles(tile, area, shared, busy, bf16, board)
    limit = max(cycles, key=cycles.get)
    steps = sum(math.ceil(layer["k"] / tile.depth) for layer in layers)
    ends = MEMORY_CYCLES + len(layers) * (TILE_CYCLES + shared * area * ELEMENT_CYCLES)
    return steps * cycles[limit] / board.clock, limit, ends / board.clock


def blocks_of(step):
    if "chain" in step:
        return math.ceil(step["chain"][0]["m"] / step["chain"][0]["tile_m"])
    p = step["product"]
    return math.ceil(p["m"] / p["tile_m"]) * math.ceil(p["n"] / p["tile_n"]) * p["splits"]


def tile_of(step, bf16, tiles, is_joined=False):
    p = step["chain"][0] if "chain" in step else step["product"]
    kernel = "dense_chain" if "chain" in step else EPILOGUES[step["op"]]
    alone = tiles[(kernel, bf16, p["tile_m"], p["tile_n"])]
    if not is_joined:
        return alone
    joined = tiles[("dense_grads", bf16, p["tile_m"], p["tile_n"])]
    is_weight = step["op"] == "dense_weight_grad"
    return joined if is_weight else dataclasses.replace(alone, resident=joined.resident)


def resident_of(tile, board):
    shared_memory = board.shared_memory // (tile.stages * tile.stage_bytes + 1024)
    return max(1, min(tile.resident, shared_memory))


def wave_seconds(step, tile, bf16, board, shared, busy):
    """Of `shared` blocks on each of `busy` multiprocessors: (seconds of the sum over k, what limits
    it, seconds of first copies and epilogues)"""
    if "chain" in step:
        return chain_wave_seconds(step, tile, bf16, board, shared, busy)
    p = step["product"]
    area = p["tile_m"] * p["tile_n"]
    cycles = step_cycles(tile, area, shared, busy, bf16, board)
    limit = max(cycles, key=cycles.get)
    steps = math.ceil(math.ceil(p["k"] / p["splits"]) / tile.depth)
    ends = TILE_CYCLES + shared * area * ELEMENT_CYCLES
    if p["splits"] > 1:  # parts: 4 bytes an output to the cache
        ends += shared * area * 4 / cache_rate(busy, board)
    return steps * cycles[limit] / board.clock, limit, ends / board.clock


def product_seconds(step, bf16, tiles, board):
    """[(seconds, what limits a step over k, seconds of first copies and epilogues)]"""
    tile, blocks = tile_of(step, bf16, tiles), blocks_of(step)
    result = []
    for waves, shared in waves_of(blocks, resident_of(tile, board), board):
        inner, limit, ends = wave_seconds(step, tile, bf16, board, shared,
                                          min(blocks, board.multiprocessors))
        result.append((waves * inner, limit, waves * ends))
    return result


def joined_seconds(pair, bf16, tiles, board):
    """The same of two steps in one launch, each its share: where they take more than a wave, the
    last is half full of the shorter."""
    blocks = sum(map(blocks_of, pair))
    tiles = [tile_of(step, bf16, tiles, is_joined=True) for step in pair]
    resident = resident_of(tiles[0], board)
    busy = min(blocks, board.multiprocessors)
    shared = min(math.ceil(blocks / board.multiprocessors), resident)
    waves = [wave_seconds(step, tile, bf16, board, shared, busy) for step, tile in zip(pair, tiles)]
    shorter, longer = sorted(waves, key=lambda wave: wave[0] + wave[2])
    if blocks <= board.multiprocessors * shared:
        return [longer]
    shares = [blocks_of(s) / shared / busy + (0.5 if wave is shorter else 0)
              for s, wave in zip(pair, waves)]
    return [(share * inner, limit, share * ends)
            for share, (inner, limit, ends) in zip(shares, waves)]


def plan(args, mode, batch, precision, widths):
    features, *hidden, code = widths
    command = [args.diabolo, "plan", "--features", str(features), "--code-size", str(code),
               "--set", f"model.encoder.hidden={hidden}", "--mode", mode,
               "--batch-size", str(batch), "--precision", precision, "--for", "sm_90", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    steps = json.loads(done.stdout)["steps"]
    # Sums that are left in parts are neither written nor read: what is instead, part_bytes says.
    for step in steps:
        if part_bytes(step) and "parts_reader" in step:
            unmoved = part_bytes(step) // step["product"]["splits"]
            step["bytes"] -= unmoved
            steps[step["parts_reader"]]["bytes"] -= unmoved
    return steps


def part_bytes(step):
    """Of the parts of a product that is cut."""
    p = step.get("product", {"splits": 1})
    return 4 * p["splits"] * p["m"] * p["n"] if p["splits"] > 1 else 0


def launches_of(step):
    if step.get("joins_previous"):
        return 0
    adds_parts = part_bytes(step) and "parts_reader" not in step
    return 2 if step["op"] in SUMMED or adds_parts else 1


def launches_in(steps):
    """Lists of the steps that a launch does."""
    lists = []
    for step in steps:
        if step.get("joins_previous"):
            lists[-1].append(step)
        else:
            lists.append([step])
    return lists


def predict(steps, precision, tiles, board):
    """{what the time goes to: seconds}"""
    spent = collections.Counter()
    all_bytes = sum(s["bytes"] for s in steps)
    moving = "memory" if all_bytes > board.cache_bytes else "second-level cache"
    rate = board.copy if moving == "memory" else board.cache
    for launch in launches_in(steps):
        spent["launches"] += sum(map(launches_of, launch)) * (LAUNCH_S + EMPTY_S)
        # Parts come back from the cache where they are added up at once, else as all that moves.
        for step in launch:
            where = moving if "parts_reader" in step else "second-level cache"
            spent[where] += part_bytes(step) / (rate if "parts_reader" in step else board.cache)
            if step["op"] in ARRIVING:
                spent["first copies and epilogues"] += ARRIVAL_CYCLES / board.clock
        moved = sum(s["bytes"] for s in launch) / rate
        if "product" not in launch[0] and "chain" not in launch[0]:
            spent[moving] += moved
            continue
        how = (precision == "bf16", tiles, board)
        parts = joined_seconds(launch, *how) if len(launch) > 1 else product_seconds(*launch, *how)
        if moved > sum(inner + ends for inner, _, ends in parts):
            spent[moving] += moved
            continue
        for inner, limit, ends in parts:
            spent[limit] += inner
            spent["first copies and epilogues"] += ends
    return spent


def floor_of(steps, precision, board):
    flops, moved = (sum(s[k] for s in steps) for k in ("flops", "bytes"))
    peak = board.peak_bf16 if precision == "bf16" else board.peak_f32
    rate = board.copy if moved > board.cache_bytes else board.cache
    return max(flops / peak, moved / rate) + LAUNCH_S * sum(map(launches_of, steps))


def print_row(name, goal, floor, spent, launches, times=1):
    total = sum(spent.values())
    limits = ", ".join(f"{what} {seconds / total:.0%}" for what, seconds in spent.most_common(2))
    print(f"| {name} | {goal} | {times * floor * 1e6:.0f} | {times * total * 1e6:.0f} "
          f"| {times * launches} | {limits} |")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--diabolo", default="build/release/diabolo")
    p.add_argument("--board", choices=list(BOARDS), default="h100")
    args = p.parse_args()
    board, tiles = BOARDS[args.board], read_tiles()
    print("| row | goal µs | floor µs | predicted µs | launches | limits |")
    print("|---|---|---|---|---|---|")
    deep = (784, 512, 256, 64)
    for name, goal, mode, batch, times, widths in [
            ("G1 train, batch 256", "30", "train", 256, 1, deep),
            ("G2 train, batch 4096", "75", "train", 4096, 1, deep),
            ("G3 train, batch 65536", "780", "train", 65536, 1, deep),
            ("G4 4 layers of 64, 2²⁰ rows", "112", "encode", 65536, 16, (64,) * 5),
            ("G4 4 layers of 128, 2²⁰ rows", "255", "encode", 65536, 16, (128,) * 5),
            ("G4 4 layers of 256, 2²⁰ rows", "1060", "encode", 65536, 16, (256,) * 5),
            ("G5 score of 2²⁰ rows", "4200", "score", 65536, 16, deep),
            ("score of 4096 rows, 30-64-16-8", "", "score", 4096, 1, (30, 64, 16, 8)),
            ("encode of 1 row, 30-64-16-8", "", "encode", 1, 1, (30, 64, 16, 8)),
            ("G12 encode of 1 row", "8", "encode", 1, 1, deep)]:
        for precision in ("bf16", "f32"):
            steps = plan(args, mode, batch, precision, widths)
            print_row(f"{name}, {precision}", goal if precision == "bf16" else "",
                      floor_of(steps, precision, board), predict(steps, precision, tiles, board),
                      sum(map(launches_of, steps)), times)
    for name, goal, n in [("G14 Adam, 1.1 M", "8", 1.1e6),
                          ("G14 Adam, 300 M", f"{28e6 * 300e6 / board.copy / 0.88:.0f}", 300e6)]:
        step = {"op": "optimizer", "bytes": 28 * n, "flops": 0}
        print_row(name, goal, floor_of([step], "f32", board),
                  predict([step], "f32", tiles, board), 1)


if __name__ == "__main__":
    main()
