"""The dense autoencoder of the benchmarks in PyTorch: training, encoding, scoring, Adam.

One JSON object a row on stdout: {"row", "implementation", "value", "unit", "first_loss"?}. It
starts from diabolo's initial weights and data (philox.py), so first_loss must equal diabolo's.

  eager   PyTorch as it comes
  graph   torch.compile(max-autotune) with the whole step - forward, backward, fused capturable
          Adam - in one CUDA graph (CUDA only)
  jax     jax.jit of the whole step with donated state (CUDA only)
"""
import argparse
import json
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn

import philox

CODE = {"dense": [784, 512, 256, 32], "dense64": [784, 512, 256, 64]}


def emit(**row):
    print(json.dumps(row), flush=True)


def build(widths, device):
    """nn.Sequential with diabolo's initial weights; relu hidden, linear code, sigmoid output."""
    dims = widths + widths[-2::-1]
    layers, code_at = [], len(widths) - 1
    for n, (weight, bias) in enumerate(philox.initial_parameters(widths), 1):
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.append(linear)
        if n == len(dims) - 1:
            layers.append(nn.Sigmoid())
        elif n != code_at:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers).to(device)


def encoder_of(model, widths):
    return model[:2 * (len(widths) - 1) - 1]


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_per_call(call, device, at_least=1.0, rounds=7):
    """Median over rounds of the time of one call."""
    call()
    synchronize(device)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < at_least / rounds / 2 or count < 2:
        call()
        synchronize(device)
        count += 1
    each = max(count * 2, 3)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(each):
            call()
        synchronize(device)
        times.append((time.perf_counter() - began) / each)
    return statistics.median(times)


class Trainer:
    """Steps over resident float rows, picked by diabolo's order."""

    def __init__(self, args, widths, batch):
        self.device, self.batch = torch.device(args.device), batch
        self.bf16 = args.precision == "bf16"
        rows = max(60000, batch * 16) // batch * batch
        data = philox.bench_bytes(rows, widths[0])
        self.x = torch.from_numpy(data.astype(np.float32) / np.float32(255)).to(self.device)
        self.order = torch.from_numpy(philox.bench_order(rows)).to(self.device)
        self.model = build(widths, self.device)
        on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3,
                                          **({"fused": True, "capturable": True} if on_gpu else {}))
        self.at = 0

    def loss(self, b):
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            y = self.model(b)
        return nn.functional.mse_loss(y.float(), b)

    def next_batch(self):
        if self.at + self.batch > len(self.order):
            self.at = 0
        b = self.x[self.order[self.at:self.at + self.batch]]
        self.at += self.batch
        return b

    def step_on(self, b):
        value = self.loss(b)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return value

    def step(self):
        return self.step_on(self.next_batch())


def graph_step(trainer):
    """The whole step compiled and captured; the batch is copied into a fixed place first."""
    place = trainer.next_batch().clone()
    compiled = torch.compile(trainer.loss, mode="max-autotune-no-cudagraphs")

    def step():
        value = compiled(place)
        trainer.optimizer.zero_grad(set_to_none=False)
        value.backward()
        trainer.optimizer.step()
        return value

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay():
        torch.index_select(trainer.x, 0, trainer.order[trainer.at:trainer.at + trainer.batch],
                           out=place)
        trainer.at = (trainer.at + trainer.batch) % (len(trainer.order) - trainer.batch + 1)
        graph.replay()

    return replay


def jax_step(args, widths, batch):
    """The whole step as one jitted function on donated state."""
    import jax
    import jax.numpy as jnp
    params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in philox.initial_parameters(widths)]
    rows = max(60000, batch * 16) // batch * batch
    x = jnp.asarray(philox.bench_bytes(rows, widths[0]).astype(np.float32) / np.float32(255))
    order = jnp.asarray(philox.bench_order(rows))
    dtype = jnp.bfloat16 if args.precision == "bf16" else jnp.float32
    code_at = len(widths) - 2

    def loss(p, b):
        h = b.astype(dtype)
        for n, (w, bias) in enumerate(p):
            z = h @ w.astype(dtype) + bias.astype(dtype)
            h = jax.nn.sigmoid(z) if n == len(p) - 1 else (z if n == code_at else jax.nn.relu(z))
        return jnp.mean((h.astype(jnp.float32) - b) ** 2)

    def step(state, at):
        p, m, v, t = state
        b = x[jax.lax.dynamic_slice(order, (at,), (batch,))]
        value, g = jax.value_and_grad(loss)(p, b)
        t = t + 1
        m = jax.tree_util.tree_map(lambda a, d: 0.9 * a + 0.1 * d, m, g)
        v = jax.tree_util.tree_map(lambda a, d: 0.999 * a + 0.001 * d * d, v, g)
        p = jax.tree_util.tree_map(
            lambda w, a, c: w - 1e-3 / (1 - 0.9 ** t) * a / (jnp.sqrt(c / (1 - 0.999 ** t)) + 1e-8),
            p, m, v)
        return (p, m, v, t), value

    jitted = jax.jit(step, donate_argnums=0)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)
    box = {"state": (params, zeros, jax.tree_util.tree_map(jnp.zeros_like, params),
                     jnp.float32(0)), "at": 0}

    def call():
        box["state"], box["loss"] = jitted(box["state"], box["at"])
        box["at"] = (box["at"] + batch) % (rows - batch + 1)
        return box["loss"]

    return call, lambda: jax.block_until_ready(box["state"])


def measure_train(args, net, batch, implementation):
    widths = CODE[net]
    first_loss = None
    if implementation == "jax":
        call, wait = jax_step(args, widths, batch)
        first_loss = float(call())
        for _ in range(10):
            call()
        wait()
        times = []
        for _ in range(7):
            began = time.perf_counter()
            for _ in range(50):
                call()
            wait()
            times.append((time.perf_counter() - began) / 50)
        seconds = statistics.median(times)
    else:
        trainer = Trainer(args, widths, batch)
        with torch.no_grad():
            first_loss = trainer.loss(trainer.x[trainer.order[:batch]]).item()
        call = graph_step(trainer) if implementation == "graph" else trainer.step
        seconds = seconds_per_call(call, trainer.device, args.seconds)
    emit(row=f"train/{net}/{args.precision}/{batch}", implementation=implementation,
         value=batch / seconds, unit="samples/s", step_us=seconds * 1e6, first_loss=first_loss)


@torch.no_grad()
def measure_encode(args, net, batch, implementation):
    device = torch.device(args.device)
    widths = CODE[net]
    encoder = encoder_of(build(widths, device), widths)
    if implementation == "graph":
        encoder = torch.compile(encoder, mode="max-autotune")
    rows = max(8192, batch)
    x = torch.from_numpy(philox.bench_bytes(rows, widths[0]).astype(np.float32) / 255).to(device)

    def call():
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            for first in range(0, rows, batch):
                encoder(x[first:first + batch])

    if batch == 1:
        rows = 64
    seconds = seconds_per_call(call, device, args.seconds)
    emit(row=f"encode/{net}/{args.precision}/{batch}", implementation=implementation,
         value=rows / seconds, unit="samples/s", call_us=seconds / (rows / batch) * 1e6)


@torch.no_grad()
def measure_score(args, net, batch, implementation):
    device = torch.device(args.device)
    model = build(CODE[net], device)
    x = torch.rand(batch, CODE[net][0], device=device)

    def score(b):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            y = model(b)
        return (y.float() - b).square().mean(1)

    run = torch.compile(score, mode="max-autotune") if implementation == "graph" else score
    seconds = seconds_per_call(lambda: run(x), device, args.seconds)
    emit(row=f"score/{net}/{args.precision}/{batch}", implementation=implementation,
         value=batch / seconds, unit="samples/s")


def measure_adam(args, count):
    device = torch.device(args.device)
    p = torch.rand(count, device=device, requires_grad=True)
    p.grad = torch.rand_like(p)
    on_gpu = device.type == "cuda"
    optimizer = torch.optim.Adam([p], lr=1e-3, **({"fused": True} if on_gpu else {}))
    seconds = seconds_per_call(optimizer.step, device, args.seconds)
    emit(row=f"adam/{count}", implementation="fused" if on_gpu else "eager", value=seconds * 1e6,
         unit="us", bytes_per_s=28 * count / seconds)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    p.add_argument("--rows", nargs="+", default=["train/dense/256"],
                   help="train|encode|score/NET/BATCH or adam/COUNT")
    p.add_argument("--implementations", nargs="+", default=["eager"])
    p.add_argument("--seconds", type=float, default=2.0, help="per row, about")
    args = p.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    measures = {"train": measure_train, "encode": measure_encode, "score": measure_score}
    for row in args.rows:
        what, *rest = row.split("/")
        if what == "adam":
            measure_adam(args, int(rest[0]))
            continue
        for implementation in args.implementations:
            try:
                measures[what](args, rest[0], int(rest[1]), implementation)
            except Exception as error:  # a peer that cannot run a row must not end the others
                print(f"{row} {implementation}: {error}", file=sys.stderr)
    emit(row="versions", implementation="torch", value=torch.__version__, unit="")


if __name__ == "__main__":
    main()
