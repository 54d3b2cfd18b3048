#!/usr/bin/env python3
"""Ours beside PyTorch on this CPU, interleaved, and both beside the local product limit.

  bench/compare.py [--build build/release] [--rounds 3] [--threads 2] [--peer /usr/bin/python3 ...]

Each round runs op_bench (products), train_bench, encode_bench and every peer, pinned to the same
cores, denormals flushed on both sides. Reported are medians over rounds with their spread, ratios,
and shares of the limit: the median rate of the net's own products at 4096 rows, in the same rounds.
Writes bench/results/cpu-DATE.json. Exit 1 if the two sides do not compute the same loss.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRAIN_FLOPS = {"dense": 5.685e6}   # a sample: forward, weight and data gradients
ENCODE_FLOPS = {"dense": 1.081e6}
ROWS = ["train/dense/{p}/256", "encode/dense/{p}/256", "encode/dense/{p}/4096"]


def environment(threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="true", OMP_DYNAMIC="false")
    return env


def pinned(command, threads):
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def run_bench(program, pattern, seconds, threads):
    """{row: {counter: value}} of a Google Benchmark program."""
    command = pinned([str(program), "--threads", str(threads), f"--benchmark_filter={pattern}",
                      f"--benchmark_min_time={seconds}", "--benchmark_format=json"], threads)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    out = json.loads(done.stdout)
    return {b["name"].replace("/real_time", ""): b for b in out["benchmarks"]}, out["context"]


def run_peer(python, precision, seconds, threads):
    rows = [r.format(p="").replace("//", "/") for r in ROWS]
    command = pinned([python, str(HERE / "baselines" / "dense_torch.py"), "--threads", str(threads),
                      "--precision", precision, "--seconds", str(seconds), "--rows", *rows], threads)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(threads),
                          cwd=HERE / "baselines")
    if done.returncode:
        sys.exit(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    return {r["row"]: r for r in map(json.loads, done.stdout.splitlines())}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def one_round(args, precisions, samples):
    seconds = args.seconds
    for p in precisions:
        products, context = run_bench(args.build / "op_bench", f"^product/.*/{p}", seconds / 4,
                                      args.threads)
        rates = [b["flops"] for b in products.values()]
        samples.setdefault(("limit", p), []).append(statistics.median(rates))
        train, _ = run_bench(args.build / "train_bench", f"^train/dense/{p}/256", seconds,
                             args.threads)
        encode, _ = run_bench(args.build / "encode_bench", f"^encode/dense/{p}/(1|256|4096)/",
                              seconds, args.threads)
        for name, row in {**train, **encode}.items():
            samples.setdefault((name, "diabolo"), []).append(row["samples_per_s"])
            if "kernels_alone_s" in row:
                over = row["step_s"] / row["kernels_alone_s"]
                samples.setdefault((name, "step over kernels"), []).append(over)
            if "first_loss" in row:
                samples.setdefault((name, "loss"), []).append(row["first_loss"])
        for python in args.peer:
            peer = run_peer(python, p, seconds, args.threads)
            version = "torch " + peer["versions"]["value"]
            for name, row in peer.items():
                if name == "versions":
                    continue
                samples.setdefault((name, version), []).append(row["value"])
                if row.get("first_loss"):
                    samples.setdefault((name, "loss " + version), []).append(row["first_loss"])
    return context


def losses_agree(samples, precisions):
    agree = True
    for p in precisions:
        row = f"train/dense/{p}/256"
        ours = samples[(row, "loss")][0]
        for (name, who), values in samples.items():
            if name != row or not who.startswith("loss "):
                continue
            tolerance = 1e-4 if p == "f32" else 1e-2
            if abs(values[0] / ours - 1) > tolerance:
                print(f"{row}: {who} is {values[0]}, ours {ours}", file=sys.stderr)
                agree = False
    return agree


def table(samples, precisions):
    lines = []
    for p in precisions:
        limit = statistics.median(samples[("limit", p)])
        lines.append(f"limit {p}: {limit / 1e9:.0f} GFLOP/s")
        for pattern in ROWS:
            row = pattern.format(p=p)
            ours = spread(samples[(row, "diabolo")])
            flops = (TRAIN_FLOPS if row.startswith("train") else ENCODE_FLOPS)["dense"]
            text = (f"{row:24} {ours['median'] / 1e3:8.1f}k/s ({ours['min'] / 1e3:.1f}"
                    f"-{ours['max'] / 1e3:.1f})  {ours['median'] * flops / limit:6.1%} of limit")
            for (name, who), values in samples.items():
                if name == row and who.startswith("torch"):
                    rounds = [a / b for a, b in zip(samples[(row, "diabolo")], values)]
                    text += f"  {statistics.median(rounds):.2f} x {who}"
            if (row, "step over kernels") in samples:
                over = statistics.median(samples[(row, "step over kernels")])
                text += f"  step/kernels {over:.2f}"
            lines.append(text)
    return lines


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=HERE.parent / "build" / "release")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=float, default=2.0, help="of each row in each round")
    p.add_argument("--peer", nargs="+", default=["/usr/bin/python3"], help="pythons with torch")
    p.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    p.add_argument("--out", type=Path)
    args = p.parse_args()
    samples, context = {}, {}
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
        context = one_round(args, args.precisions, samples)
    lines = table(samples, args.precisions)
    print("\n".join(lines))
    day = datetime.date.today().isoformat()
    out = args.out or HERE / "results" / f"cpu-{day}.json"
    out.write_text(json.dumps({
        "what": "dense net of dense_ae, batch and precision in the row's name; samples/s",
        "date": day, "device": context["device"], "commit": context["commit"],
        "threads": args.threads, "rounds": args.rounds, "load": os.getloadavg()[0],
        "samples": [{"row": a, "of": b, **spread(v), "all": v} for (a, b), v in samples.items()],
        "table": lines}, indent=1) + "\n")
    print(f"wrote {out}", file=sys.stderr)
    return 0 if losses_agree(samples, args.precisions) else 1


if __name__ == "__main__":
    sys.exit(main())
