#!/usr/bin/env python3
"""Makes tests/golden/golden.json with PyTorch (Debian 12: apt install python3-torch, version 1.13).

An implementation that is not ours computes the definitions in double: layers with every activation
and their gradients, losses, optimizers, clipping, and a whole training. tests/ops/golden_test.cpp
holds ours against it. Run it again only when a definition is added:

    scripts/make_golden.py [tests/golden/golden.json]

A case is a line of the file, and its numbers are drawn from its name: a new case adds its line and
leaves the others as they are.
"""

import json
import pathlib
import sys
import zlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}

LOSSES = {
    "mse": F.mse_loss,
    "bce": F.binary_cross_entropy_with_logits,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
}


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def exact_in_float(*shape):
    """Normal numbers that a float holds exactly, so that both sides start from the same."""
    return torch.randn(*shape).float().double()


def case(kind, name, make, *arguments):
    """One line of the file; drawn by its name alone."""
    torch.manual_seed(zlib.crc32(f"{kind} {name}".encode()))
    return {"case": name, **make(*arguments)}


def layer(activation):
    x = exact_in_float(3, 5).requires_grad_()
    weight = exact_in_float(5, 4).requires_grad_()
    bias = exact_in_float(4).requires_grad_()
    dy = exact_in_float(3, 4)
    y = ACTIVATIONS[activation](x @ weight + bias)
    y.backward(dy)
    return {"activation": activation, "rows": 3, "in": 5, "out": 4,
            "x": numbers(x), "weight": numbers(weight), "bias": numbers(bias), "dy": numbers(dy),
            "y": numbers(y), "d_x": numbers(x.grad), "d_weight": numbers(weight.grad),
            "d_bias": numbers(bias.grad)}


def loss(kind, activation):
    z = (2 * exact_in_float(17)).requires_grad_()
    target = torch.rand(17).float().double()
    value = LOSSES[kind](z if kind == "bce" else ACTIVATIONS[activation](z), target)
    value.backward()
    return {"loss": kind, "activation": activation, "z": numbers(z), "target": numbers(target),
            "value": value.item(), "d_z": numbers(z.grad)}


def optimizer(kind, options, steps=5):
    classes = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    w = exact_in_float(6).requires_grad_()
    start = numbers(w)
    step = classes[kind]([w], **options)
    grads, after = [], []
    for _ in range(steps):
        w.grad = exact_in_float(6)
        grads.append(numbers(w.grad))
        step.step()
        after.append(numbers(w))
    return {"kind": kind, "options": options, "start": start, "grads": grads, "after": after}


def clip(max_norm):
    w = torch.zeros(7).requires_grad_()
    w.grad = exact_in_float(7)
    before = numbers(w.grad)
    norm = torch.nn.utils.clip_grad_norm_([w], max_norm)
    return {"max_norm": max_norm, "grad": before, "norm": norm.item(), "clipped": numbers(w.grad)}


def trajectory(steps=20, rows=24, batch=6):
    widths = [12, 8, 3, 8, 12]
    activations = ["gelu", "tanh", "silu", "sigmoid"]
    data = torch.rand(rows, widths[0]).float().double()
    order = [torch.randperm(rows).tolist() for _ in range(steps * batch // rows)]
    weights = [(0.5 * exact_in_float(i, o)).requires_grad_() for i, o in zip(widths, widths[1:])]
    biases = [(0.1 * exact_in_float(o)).float().double().requires_grad_() for o in widths[1:]]
    parameters = [p for pair in zip(weights, biases) for p in pair]
    start = [numbers(p) for p in parameters]
    options = {"lr": 0.02, "betas": [0.9, 0.99], "eps": 1e-8, "weight_decay": 0.001}
    adam = torch.optim.Adam(parameters, **options)
    losses = []
    for k in range(steps):
        first = k * batch % rows
        target = data[order[k * batch // rows][first:first + batch]]
        h = target
        for weight, bias, activation in zip(weights, biases, activations):
            h = ACTIVATIONS[activation](h @ weight + bias)
        adam.zero_grad()
        value = F.mse_loss(h, target)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.05)
        adam.step()
        losses.append(value.item())
    return {"widths": widths, "activations": activations, "rows": rows, "batch": batch,
            "steps": steps, "data": numbers(data), "order": order, "start": start,
            "options": options, "clip": 0.05, "losses": losses,
            "end": [numbers(p) for p in parameters]}


def cases():
    """The sections of the file, each a list of cases."""
    optimizers = [
        ("adam", {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8}),
        ("adam", {"lr": 0.1, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1}),
        ("adamw", {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1}),
        ("sgd", {"lr": 0.1}),
        ("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ]
    losses = [(kind, name) for kind in LOSSES for name in ("identity", "sigmoid", "gelu")
              if kind != "bce" or name == "sigmoid"]
    return {
        "layers": [case("layer", name, layer, name) for name in ACTIVATIONS],
        "losses": [case("loss", f"{kind} of {name}", loss, kind, name) for kind, name in losses],
        "optimizers": [case("optimizer", f"{kind} {json.dumps(options)}", optimizer, kind, options)
                       for kind, options in optimizers],
        "clips": [case("clip", str(norm), clip, norm) for norm in (0.5, 100.0)],
        "trajectories": [case("trajectory", "adam, clipped", trajectory)],
    }


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/golden/golden.json"
    sections = [f'"made_by":"scripts/make_golden.py, torch {torch.__version__}"']
    for name, entries in cases().items():
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        sections.append(f'"{name}":[\n{lines}\n]')
    text = "{\n" + ",\n".join(sections) + "\n}\n"
    json.loads(text)
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
