#!/usr/bin/env python3
"""Preset vae on MNIST, beside the same net in PyTorch: 784-400-20, bce, batch 128, seeds 0 and 1.

  bench/vae_protocol.py --data FOLDER [--diabolo build/release/diabolo] [--epochs 20]
                        [--precision f32] [--python PYTHON-WITH-TORCH]

-ELBO in nats over the 10,000 test images, one draw each: ours is 784 times the validation loss
after the last epoch. With --python, each seed is trained there too, ours and theirs in turn. Writes
bench/results/vae-mnist-DEVICE-PRECISION-DATE.json. Exit 1 if our mean is above 104.7.
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
LIMIT = 104.7

# The loss is ours (a mean over elements), so that steps of Adam are the same.
TORCH = """
import gzip, json, sys, time
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

folder, seed, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_flush_denormal(True)
torch.manual_seed(seed)

def images(name):
    data = gzip.open(f"{folder}/{name}-images-idx3-ubyte.gz").read()[16:]
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, 784).float() / 255

x, test = images("train"), images("t10k")
hidden, mean, log_variance = (torch.nn.Linear(784, 400), torch.nn.Linear(400, 20),
                              torch.nn.Linear(400, 20))
decoder = torch.nn.Sequential(torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784))
layers = torch.nn.ModuleList([hidden, mean, log_variance, decoder])
adam = torch.optim.Adam(layers.parameters(), lr=1e-3)

def loss_of(rows):
    h = hidden(rows).relu()
    m, lv = mean(h), log_variance(h)
    z = m + torch.randn_like(m) * (0.5 * lv).exp()
    kl = 0.5 * (m.square() + lv.exp() - 1 - lv).sum() / rows.numel()
    return bce(decoder(z), rows) + kl

seconds = []
for _ in range(epochs):
    begin = time.perf_counter()
    for rows in x[torch.randperm(len(x))].split(128):
        adam.zero_grad()
        loss_of(rows).backward()
        adam.step()
    seconds.append(time.perf_counter() - begin)
with torch.no_grad():
    print(json.dumps({"neg_elbo": 784 * loss_of(test).item(),
                      "epoch_s": sorted(seconds)[epochs // 2],
                      "torch": torch.__version__, "threads": torch.get_num_threads()}))
"""


def run(command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)


def ours(args, seed, folder):
    run([args.diabolo, "train", args.data / "train-images-idx3-ubyte.gz", "--preset", "vae",
         "--validation", args.data / "t10k-images-idx3-ubyte.gz", "--seed", seed, "-o", folder,
         "--epochs", args.epochs, "--precision", args.precision, "--device", args.device,
         "--set", "train.patience=0", "--progress", "none"])
    epochs = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    last = epochs[-1]
    return {"neg_elbo": 784 * last["validation_loss"], "kl": 784 * last["kl"],
            "training_neg_elbo": 784 * last["loss"],
            "epoch_s": 60000 / statistics.median(e["samples_per_s"] for e in epochs)}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--diabolo", type=Path, default=HERE.parent / "build" / "release" / "diabolo")
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision", default="f32")
    p.add_argument("--epochs", type=int, default=20)
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    p.add_argument("--python", help="a Python that has torch")
    args = p.parse_args()
    seeds = []
    with tempfile.TemporaryDirectory() as work:
        for seed in args.seeds:
            row = {"seed": seed, "diabolo": ours(args, seed, Path(work) / f"run{seed}")}
            if args.python:
                row["pytorch"] = json.loads(
                    run([args.python, "-c", TORCH, args.data, seed, args.epochs]).stdout)
            print(json.dumps(row), file=sys.stderr, flush=True)
            seeds.append(row)
    mean = statistics.mean(s["diabolo"]["neg_elbo"] for s in seeds)
    commit = run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"]).stdout.strip()
    day = datetime.date.today().isoformat()
    record = {"what": "preset vae on MNIST, grey pixels, nats per test image", "date": day,
              "commit": commit, "devices": run([args.diabolo, "devices"]).stdout.splitlines(),
              "precision": args.precision, "epochs": args.epochs, "mean_neg_elbo": mean,
              "limit": LIMIT, "seeds": seeds}
    out = HERE / "results" / f"vae-mnist-{args.device}-{args.precision}-{day}.json"
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    return 0 if mean <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
