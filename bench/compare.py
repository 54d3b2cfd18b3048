#!/usr/bin/env python3
"""Ours beside PyTorch (and JAX) on one device, interleaved, and both beside a local limit.

  bench/compare.py [--device cpu|cuda] [--bin build/release] [--rounds 3]
                   [--peer /usr/bin/python3 ...]

Each round runs our benchmarks and asks every peer for the same rows. Peers are processes that stay
(baselines/dense_torch.py), one for each implementation, so what they compile they compile once,
before the first round; one that is not ready in time (--prepare) is left out and named. On a CPU
all are pinned to the same cores and denormals are flushed on both sides. Reported are medians over
rounds with their spread, and of each round's ratios and shares of its limit: the median rate of the
net's own products at 4096 rows. Writes bench/results/DEVICE-DATE.json. Exit 1 if the sides do not
compute the same loss; a peer that cannot do a row is named below the table. Both files that are
written are so after every row: a run that is cut leaves what it measured.
"""
import argparse
import datetime
import io
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRODUCT_FLOPS = {  # a row of the net's input: forward, weight and data gradients; forward
    "train/dense/": 5.685e6, "train/dense64/": 5.784e6, "encode/dense/": 1.081e6,
    "encode_resident/dense64/": 1.098e6, "score/dense64/": 2.195e6}
ROWS = {
    "cpu": ["train/dense/{p}/256", "encode/dense/{p}/256", "encode/dense/{p}/4096"],
    "cuda": ["train/dense64/{p}/256", "train/dense64/{p}/4096", "train/dense64/{p}/65536",
             "score/dense64/{p}/65536", "encode_resident/dense64/{p}/1"]}
ADAM = {"cpu": [], "cuda": ["adam/1100000", "adam/300000000"]}
CALLS = {"cpu": ["call/dense/f32/1", "call/dense/u8/1"], "cuda": []}
ONLY_TRAINING = {"jax"}
LATE = "not ready in time"
PROGRAMS = {"call": "call_bench", "train": "train_bench", "encode": "encode_bench",
            "encode_resident": "encode_bench", "score": "encode_bench",
            "adam": "op_bench", "product": "op_bench"}


class Peer:
    """A process that answers rows of one implementation for as long as it is asked."""

    def __init__(self, args, python, implementation):
        self.implementation, self.ended = implementation, None
        self.is_first = implementation == args.implementations[0]
        command = [python, str(HERE / "baselines" / "dense_torch.py"), "--device", args.device,
                   "--threads", str(args.threads), "--seconds", str(args.seconds)]
        env = dict(os.environ, OMP_NUM_THREADS=str(args.threads), OMP_PROC_BIND="true",
                   OMP_DYNAMIC="false")
        self.process = subprocess.Popen(pinned(command, args), stdin=subprocess.PIPE, env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, cwd=HERE / "baselines")
        first = self.process.stdout.readline()
        if not first:
            sys.exit(f"{python}: cannot run baselines/dense_torch.py; does it have torch?")
        version = "torch " + json.loads(first)["torch"]
        self.name = implementation if implementation == "jax" else f"{version} {implementation}"

    def ask(self, row, what="", deadline=None):
        """The answer, which after `deadline` is an error: what is under way is then interrupted,
        and the process ended if it does not listen."""
        left = None if deadline is None else deadline - time.monotonic()
        if self.ended or (left is not None and left <= 0):
            return {"error": self.ended or LATE}
        self.process.stdin.write(f"{row} {self.implementation} {what}\n")
        self.process.stdin.flush()
        if not self.has_answered(left):
            self.process.send_signal(signal.SIGINT)
            if not self.has_answered(10):
                self.process.kill()
                self.ended = LATE
        line = "" if self.ended else self.process.stdout.readline()
        if not line:
            self.ended = self.ended or "the peer ended"
        return json.loads(line) if line else {"error": self.ended}

    def has_answered(self, seconds):
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def has(self, row):
        if row.startswith("adam/"):  # PyTorch's fused one, whoever is asked
            return self.is_first and self.implementation not in ONLY_TRAINING
        return row.startswith("train/") or self.implementation not in ONLY_TRAINING


def pinned(command, args):
    if args.device != "cpu":
        return command
    cores = sorted(os.sched_getaffinity(0))[:args.threads]
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def run_ours(args, pattern, seconds):
    """{row: {counter: value}} of a Google Benchmark program, and its context."""
    program = args.bin / PROGRAMS[pattern.split("/")[0].lstrip("^")]
    command = pinned([str(program), "--device", args.device, "--threads", str(args.threads),
                      f"--benchmark_filter={pattern}", f"--benchmark_min_time={seconds}",
                      "--benchmark_format=json"], args)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program.name}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    out = json.loads(done.stdout)
    rows = {b["name"].replace("/real_time", "").replace("/manual_time", ""): b
            for b in out["benchmarks"]}
    return rows, out["context"]


class Samples:
    """Values by (row, of whom), one a round."""

    def __init__(self):
        self.values, self.errors, self.context = {}, {}, {}

    def add(self, row, who, value):
        self.values.setdefault((row, who), []).append(value)

    def of(self, row, prefix=""):
        return {who: v for (r, who), v in self.values.items()
                if r == row and who.startswith(prefix)}

    def add_ours(self, row, found):
        self.add(row, "diabolo", found["bytes" if row.startswith("adam/") else "samples_per_s"])
        if "kernels_alone_s" in found:
            self.add(row, "step over kernels", found["step_s"] / found["kernels_alone_s"])
        if "first_loss" in found:
            self.add(row, "loss", found["first_loss"])


def start_peers(args):
    return [Peer(args, python, implementation) for implementation in args.implementations
            for n, python in enumerate(args.peer) if n == 0 or implementation not in ONLY_TRAINING]


def prepare_peers(args, peers, samples, deadline):
    """Each builds and compiles its rows; those that take longest come last in --implementations."""
    rows = [row for p in args.precisions for row in rows_of(args, p)] + ADAM[args.device]
    for peer in peers:
        for row in filter(peer.has, rows):
            found = peer.ask(row, "prepare", deadline)
            print(f"{peer.name} {row}: {found.get('error', 'ready')}", file=sys.stderr)
            if "error" in found:
                samples.errors[(row, peer.name)] = found["error"]


def ask_peers(peers, row, samples):
    for peer in peers:
        if not peer.has(row) or (row, peer.name) in samples.errors:
            continue
        found = peer.ask(row)
        if "error" in found:
            samples.errors[(row, peer.name)] = found["error"]
            continue
        samples.add(row, peer.name, found["value"])
        if "first_loss" in found:
            samples.add(row, "loss " + peer.name, found["first_loss"])


def rows_of(args, precision):
    return [row.format(p=precision) for row in ROWS[args.device]]


def one_round(args, peers, samples, save):
    for precision in args.precisions:
        products, samples.context = run_ours(args, f"^product/.*/{precision}", args.seconds / 4)
        samples.add(precision, "limit", statistics.median(b["flops"] for b in products.values()))
        for row in rows_of(args, precision):
            samples.add_ours(row, run_ours(args, f"^{row}/real_time", args.seconds)[0][row])
            ask_peers(peers, row, samples)
            save()
    for row in ADAM[args.device]:
        samples.add_ours(row, run_ours(args, f"^{row}/real_time", args.seconds)[0][row])
        ask_peers(peers, row, samples)
        save()
    for row in CALLS[args.device]:
        found = run_ours(args, f"^{row}/manual_time", args.seconds)[0][row]
        samples.add(row, "call s", found["call_s"])
        samples.add(row, "call over kernels", found["call_s"] / found["kernels_alone_s"])
        save()


def losses_agree(args, samples):
    agree = True
    for precision in args.precisions:
        tolerance = 1e-4 if precision == "f32" else 1e-2
        for row in rows_of(args, precision):
            ours = samples.of(row).get("loss")  # None: the row was not reached
            for who, values in samples.of(row, "loss ").items():
                if abs(values[0] / ours[0] - 1) > tolerance:
                    print(f"{row}: {who} is {values[0]}, ours {ours[0]}", file=sys.stderr)
                    agree = False
    return agree


def summary_of(row, samples, limits):
    """One row's figures: ours, share of the limit, ratio to each peer."""
    ours = samples.of(row)["diabolo"]
    out = {"row": row, "ours": statistics.median(ours), "low": min(ours), "high": max(ours),
           "ratios": {}}
    if row.startswith("adam/"):
        out["us"] = 28e6 * int(row.split("/")[1]) / out["ours"]
    else:
        out["us"] = 1e6 * int(row.split("/")[-1]) / out["ours"]
        flops = next(v for k, v in PRODUCT_FLOPS.items() if row.startswith(k))
        out["share"] = statistics.median(a * flops / b for a, b in zip(ours, limits))
    for who, values in samples.of(row).items():
        if who == "step over kernels":
            out["step over kernels"] = statistics.median(values)
        elif who != "diabolo" and "loss" not in who:
            out["ratios"][who] = statistics.median(a / b for a, b in zip(ours, values))
    return out


def text_of(s):
    unit, scale = ("GB/s", 1e9) if s["row"].startswith("adam/") else ("k/s", 1e3)
    text = (f"{s['row']:32} {s['ours'] / scale:9.1f}{unit} ({s['low'] / scale:.1f}"
            f"-{s['high'] / scale:.1f}) {s['us']:9.1f} us")
    if "share" in s:
        text += f" {s['share']:6.1%} of limit"
    for who, ratio in s["ratios"].items():
        text += f"  {ratio:.2f} x {who}"
    if "step over kernels" in s:
        text += f"  step/kernels {s['step over kernels']:.2f}"
    return text


def report(args, samples):
    """The summaries of all rows and their lines."""
    summaries, lines = [], []
    measured = lambda rows: [row for row in rows if samples.of(row)]
    for precision in measured(args.precisions):
        limits = samples.of(precision)["limit"]
        lines.append(f"limit {precision}: {statistics.median(limits) / 1e9:.0f} GFLOP/s")
        for row in measured(rows_of(args, precision)):
            summaries.append(summary_of(row, samples, limits))
            lines.append(text_of(summaries[-1]))
    for row in measured(ADAM[args.device]):
        summaries.append(summary_of(row, samples, None))
        lines.append(text_of(summaries[-1]))
    for row in measured(CALLS[args.device]):
        seconds, over = (statistics.median(samples.of(row)[who])
                         for who in ("call s", "call over kernels"))
        lines.append(f"{row:32} {seconds * 1e6:.1f} us  call/kernels {over:.2f}")
    lines += [f"{row} {who}: {error}" for (row, who), error in samples.errors.items()]
    return summaries, lines


def write_whole(path, text):
    """Never a half of it, should the run be cut."""
    partial = Path(f"{path}.partial")
    partial.write_text(text)
    partial.replace(path)


def write_tsv(path, summaries, samples, agree):
    """Name, value, unit, verdict a line: the rows of scripts/gpu_check.sh."""
    with io.StringIO() as out:
        for s in summaries:
            print(f"diabolo {s['row']}", f"{s['us']:.2f}", "us", "ok", sep="\t", file=out)
            for who, ratio in s["ratios"].items():
                print(f"times {who}, {s['row']}", f"{ratio:.2f}", "x", "ok", sep="\t", file=out)
        for (row, who), error in samples.errors.items():
            print(f"{row} {who}: {error[:60]}", "none", "-", "skipped", sep="\t", file=out)
        print("both sides have the same first loss", str(agree).lower(), "-",
              "ok" if agree else "FAIL", sep="\t", file=out)
        write_whole(path, out.getvalue())


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", choices=list(ROWS), default="cpu")
    p.add_argument("--bin", type=Path, default=HERE.parent / "build" / "release",
                   help="where our benchmarks are")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--prepare", type=float, default=float("inf"),
                   help="seconds that the peers have to get ready")
    p.add_argument("--budget", type=float, default=float("inf"),
                   help="seconds after which no further round is begun")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=float, default=2.0, help="of each row in each round")
    p.add_argument("--peer", nargs="+", default=["/usr/bin/python3"], help="pythons with torch")
    p.add_argument("--implementations", nargs="+", default=["eager"],
                   choices=["eager", "graph", "jax"])
    p.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    p.add_argument("--out", type=Path)
    p.add_argument("--tsv", type=Path, help="also name, value, unit, verdict a line")
    return p.parse_args()


def write_results(args, samples, rounds):
    """What there is so far; the table's lines, and whether the sides agree."""
    summaries, lines = report(args, samples)
    agree, context = losses_agree(args, samples), samples.context
    day = datetime.date.today().isoformat()
    out = args.out or HERE / "results" / f"{args.device}-{day}.json"
    write_whole(out, json.dumps({
        "what": "dense net of dense_ae (dense64: code of 64), batch and precision in the row's "
                "name; samples/s, Adam: B/s",
        "date": day, "device": context["device"], "commit": context["commit"],
        "threads": args.threads, "rounds": rounds, "load": os.getloadavg()[0],
        "samples": [{"row": a, "of": b, "median": statistics.median(v), "min": min(v),
                     "max": max(v), "all": v} for (a, b), v in samples.values.items()],
        "table": lines}, indent=1) + "\n")
    if args.tsv:
        write_tsv(args.tsv, summaries, samples, agree)
    return lines, agree, out


def main():
    args, samples, began, rounds = arguments(), Samples(), time.monotonic(), 0
    peers = start_peers(args)
    prepare_peers(args, peers, samples, began + args.prepare if args.prepare < 1e9 else None)
    while rounds < args.rounds and (rounds == 0 or time.monotonic() - began < args.budget):
        rounds += 1
        print(f"round {rounds} of {args.rounds}", file=sys.stderr)
        one_round(args, peers, samples, lambda: write_results(args, samples, rounds))
    lines, agree, out = write_results(args, samples, rounds)
    print("\n".join(lines))
    print(f"wrote {out}", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
