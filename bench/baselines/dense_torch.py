"""The dense autoencoder of the benchmarks by PyTorch and JAX: training, encoding, scoring, Adam.

  echo "train/dense/f32/256 eager" | python3 dense_torch.py

Requests come on standard input, "ROW IMPLEMENTATION" a line; each is answered by one JSON object on
standard output: {"row", "implementation", "value", "unit"}, for training with "first_loss", or with
"error". What a request needs is built once and kept, so a request that is made again only times;
with "prepare" as a third word it is built, compiled and called once: {"row", "implementation",
"ready"}.

  eager   PyTorch as it comes
  graph   torch.compile(max-autotune) with the whole step - forward, backward, fused capturable
          Adam - in one CUDA graph (CUDA only)
  jax     jax.jit of the whole step with donated state

Everything starts from diabolo's initial weights and data (philox.py), so first_loss must equal
diabolo's.
"""
import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Callable

import torch
from torch import nn

import philox

WIDTHS = {"dense": [784, 512, 256, 32], "dense64": [784, 512, 256, 64]}
STEPS_PER_LAUNCH = 16  # of train_bench, which has at least so many batches of data


@dataclass
class Work:
    """Something to time: `call` does `samples`; `wait` until what was called is done."""
    call: Callable
    wait: Callable
    samples: float
    unit: str = "samples/s"
    facts: dict = field(default_factory=dict)


def median_seconds(work, at_least, rounds=7):
    """Median over rounds of the time of one call."""
    work.call()
    work.wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < at_least / rounds / 2 or count < 2:
        work.call()
        work.wait()
        count += 1
    each = max(count * 2, 3)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(each):
            work.call()
        work.wait()
        times.append((time.perf_counter() - began) / each)
    return statistics.median(times)


def wait_for(device):
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def build(widths, device):
    """nn.Sequential with diabolo's initial weights; relu hidden, linear code, sigmoid output."""
    dims = widths + widths[-2::-1]
    layers, code_at = [], len(widths) - 1
    for n, (weight, bias) in enumerate(philox.initial_parameters(widths), 1):
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
        layers.append(linear)
        if n == len(dims) - 1:
            layers.append(nn.Sigmoid())
        elif n != code_at:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers).to(device)


def encoder_of(model, widths):
    return model[:2 * (len(widths) - 1) - 1]


class Data:
    """Resident float rows in diabolo's order, made once for each (width, rows)."""
    kept = {}

    @classmethod
    def of(cls, widths, batch, device):
        rows = max(60000, batch * STEPS_PER_LAUNCH) // batch * batch
        key = (widths[0], rows)
        if key not in cls.kept:
            cls.kept[key] = (philox.bench_rows(rows, widths[0], device),
                             philox.bench_order(rows).to(device))
        return cls.kept[key]


class Trainer:
    """Steps over resident rows, picked by diabolo's order."""

    def __init__(self, device, widths, batch, is_bf16):
        self.device, self.batch, self.is_bf16 = device, batch, is_bf16
        self.x, self.order = Data.of(widths, batch, device)
        self.model = build(widths, device)
        on_gpu = device.type == "cuda"
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3,
                                          **({"fused": True, "capturable": True} if on_gpu else {}))
        self.at = 0

    def loss(self, b):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.is_bf16):
            y = self.model(b)
        return nn.functional.mse_loss(y.float(), b)

    def next_rows(self):
        if self.at + self.batch > len(self.order):
            self.at = 0
        picked = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        return picked

    def step_on(self, b, loss, set_to_none):
        value = loss(b)
        self.optimizer.zero_grad(set_to_none=set_to_none)
        value.backward()
        self.optimizer.step()

    def step(self):
        self.step_on(self.x[self.next_rows()], self.loss, True)


def graph_step(trainer):
    """The whole step compiled and captured; the batch is copied into a fixed place first."""
    place = trainer.x[trainer.next_rows()].clone()
    compiled = torch.compile(trainer.loss, mode="max-autotune-no-cudagraphs")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            trainer.step_on(place, compiled, False)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        trainer.step_on(place, compiled, False)

    def replay():
        torch.index_select(trainer.x, 0, trainer.next_rows(), out=place)
        graph.replay()

    return replay


def jax_training(device, widths, batch, is_bf16):
    """The whole step as one jitted function on donated state."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too
    import jax
    import jax.numpy as jnp
    params = [(jnp.asarray(w.numpy()), jnp.asarray(b.numpy()))
              for w, b in philox.initial_parameters(widths)]
    x, order = (jnp.asarray(t.cpu().numpy()) for t in Data.of(widths, batch, device))
    dtype = jnp.bfloat16 if is_bf16 else jnp.float32
    precision = None if is_bf16 else "highest"  # without it f32 products are tf32 on a GPU
    code_at, each = len(widths) - 2, jax.tree_util.tree_map

    def loss(p, b):
        h = b.astype(dtype)
        for n, (w, bias) in enumerate(p):
            z = jnp.matmul(h, w.astype(dtype), precision=precision) + bias.astype(dtype)
            h = jax.nn.sigmoid(z) if n == len(p) - 1 else (z if n == code_at else jax.nn.relu(z))
        return jnp.mean((h.astype(jnp.float32) - b) ** 2)

    def step(state, at):
        p, m, v, t = state
        b = x[jax.lax.dynamic_slice(order, (at,), (batch,))]
        value, g = jax.value_and_grad(loss)(p, b)
        t = t + 1
        m = each(lambda a, d: 0.9 * a + 0.1 * d, m, g)
        v = each(lambda a, d: 0.999 * a + 0.001 * d * d, v, g)
        p = each(lambda w, a, c: w - 1e-3 / (1 - 0.9 ** t) * a /
                 (jnp.sqrt(c / (1 - 0.999 ** t)) + 1e-8), p, m, v)
        return (p, m, v, t), value

    jitted = jax.jit(step, donate_argnums=0)
    zeros = [each(jnp.zeros_like, params) for _ in range(2)]
    now = {"state": (params, *zeros, jnp.float32(0)), "at": 0}

    def call():
        now["state"], now["loss"] = jitted(now["state"], now["at"])
        now["at"] = 0 if now["at"] + 2 * batch > len(order) else now["at"] + batch

    call()
    return Work(call, lambda: jax.block_until_ready(now["state"]), batch,
                facts={"first_loss": float(now["loss"])})


def training(device, net, is_bf16, batch, implementation):
    if implementation == "jax":
        return jax_training(device, WIDTHS[net], batch, is_bf16)
    trainer = Trainer(device, WIDTHS[net], batch, is_bf16)
    with torch.no_grad():
        first_loss = trainer.loss(trainer.x[trainer.order[:batch]]).item()
    call = graph_step(trainer) if implementation == "graph" else trainer.step
    return Work(call, wait_for(device), batch, facts={"first_loss": first_loss})


def forward_only(device, function, is_bf16, implementation):
    """`function` under autocast and without gradients, compiled where that is asked."""
    def run(b):
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16):
            return function(b)
    return torch.compile(run, mode="max-autotune") if implementation == "graph" else run


def encoding(device, net, is_bf16, batch, implementation):
    widths = WIDTHS[net]
    run = forward_only(device, encoder_of(build(widths, device), widths), is_bf16, implementation)
    rows = 64 if batch == 1 else max(8192, batch)
    x = Data.of(widths, 256, device)[0][:rows]

    def call():
        for first in range(0, rows, batch):
            run(x[first:first + batch])

    return Work(call, wait_for(device), rows)


def scoring(device, net, is_bf16, batch, implementation):
    model = build(WIDTHS[net], device)
    x = Data.of(WIDTHS[net], 256, device)[0]
    x = x.repeat(-(-batch // len(x)), 1)[:batch]
    run = forward_only(device, lambda b: (model(b).float() - b).square().mean(1), is_bf16,
                       implementation)
    return Work(lambda: run(x), wait_for(device), batch)


def adam(device, count):
    p = torch.rand(count, device=device, requires_grad=True)
    p.grad = torch.rand_like(p)
    on_gpu = device.type == "cuda"
    optimizer = torch.optim.Adam([p], lr=1e-3, **({"fused": True} if on_gpu else {}))
    return Work(optimizer.step, wait_for(device), 28 * count, "B/s")


def prepare(row, implementation, device):
    what, *rest = row.split("/")
    if implementation == "graph" and device.type != "cuda":
        raise ValueError("graph needs CUDA")
    if what == "adam":
        return adam(device, int(rest[0]))
    net, precision, batch = rest
    makers = {"train": training, "encode": encoding, "encode_resident": encoding,
              "score": scoring}
    return makers[what](device, net, precision == "bf16", int(batch), implementation)


def answer(row, implementation, only_prepare, device, seconds, kept):
    out = {"row": row, "implementation": implementation}
    try:
        key = (row, implementation)
        if key not in kept:
            kept[key] = prepare(row, implementation, device)
        work = kept[key]
        if only_prepare:
            work.call()
            work.wait()
            return {**out, "ready": True}
        return {**out, "value": work.samples / median_seconds(work, seconds), "unit": work.unit,
                **work.facts}
    except KeyboardInterrupt:
        return {**out, "error": "not ready in time"}
    except Exception as error:  # a peer that cannot do a row must not end the others
        return {**out, "error": f"{type(error).__name__}: {error}".splitlines()[0]}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=float, default=2.0, help="per row, about")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    device, kept = torch.device(args.device), {}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        row, implementation, *what = line.split()
        print(json.dumps(answer(row, implementation, what == ["prepare"], device, args.seconds,
                                kept)), flush=True)


if __name__ == "__main__":
    main()
