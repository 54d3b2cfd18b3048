#!/usr/bin/env python3
"""The protocol of the peers' dense_ae on Fashion-MNIST: preset dense, 20 epochs, seeds 0 to 2.

  bench/dense_protocol.py [--diabolo build/release/diabolo] [--data FOLDER] [--device cpu]

Test MSE per pixel of each seed, their mean, PCA with the same code size, the median epoch's rate.
Writes bench/results/dense-fashion-mnist-DATE.json. Exit 1 if the mean is above 0.00965.
"""
import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 0.00965


def run(command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)


def one_seed(args, seed, folder):
    train = args.data / "train-images-idx3-ubyte.gz"
    run([args.diabolo, "train", train, "--preset", "dense", "--seed", seed, "-o", folder,
         "--device", args.device, "--precision", args.precision, "--progress", "none"])
    done = run([args.diabolo, "evaluate", folder, args.data / "t10k-images-idx3-ubyte.gz",
                "--device", args.device, "--json"])
    epochs = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    return {"seed": seed, "test_mse": json.loads(done.stdout)["reconstruction"]["mse"],
            "pca_mse": json.loads(done.stdout)["pca"]["mse"],
            "last_training_loss": epochs[-1]["loss"],
            "samples_per_s": statistics.median(e["samples_per_s"] for e in epochs)}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--diabolo", type=Path, default=HERE.parent / "build" / "release" / "diabolo")
    p.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision", default="f32")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        seeds = [one_seed(args, seed, Path(work) / f"run{seed}") for seed in range(3)]
    mean = statistics.mean(s["test_mse"] for s in seeds)
    commit = run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"]).stdout.strip()
    devices = run([args.diabolo, "devices"]).stdout
    day = datetime.date.today().isoformat()
    record = {"what": "peers' dense_ae protocol", "date": day, "commit": commit,
              "device": args.device, "devices": devices.splitlines(), "precision": args.precision,
              "mean_test_mse": mean, "limit": LIMIT, "seeds": seeds}
    out = HERE / "results" / f"dense-fashion-mnist-{args.device}-{args.precision}-{day}.json"
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    return 0 if mean <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
