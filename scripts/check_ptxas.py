#!/usr/bin/env python3
"""Holds what ptxas says of each CUDA kernel against kernels/cuda/ptxas_budget.txt.

usage: check_ptxas.py BUILD_LOG [BUDGET]

BUILD_LOG is the output of a whole build with -Xptxas=-v (preset cuda). Fails for a kernel that
spills, has a stack frame or takes more registers than its budget, for one without a budget, for a
budget that no kernel used, and for the warnings C7508 and C7510 (a wgmma that was serialised).
"""
import pathlib
import re
import sys

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
SERIALISED = re.compile(r"C75(08|10)")


def read_budget(path):
    """[(pattern, most registers)] in the order of the file."""
    budget = []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            budget.append((words[0], int(words[1])))
    return budget


def read_log(path):
    """[(kernel, architecture, stack bytes, spilled bytes, registers)] and what ptxas says."""
    kernels, complaints = [], []
    name = arch = None
    stack = spilled = 0
    for line in path.read_text(errors="replace").splitlines():
        if match := ENTRY.search(line):
            name, arch = match.groups()
        elif match := FRAME.search(line):
            stack = int(match[1])
            spilled = int(match[2]) + int(match[3])
        elif (match := REGISTERS.search(line)) and name:
            kernels.append((name, arch, stack, spilled, int(match[1])))
            name = None
        elif SERIALISED.search(line):
            complaints.append(line.strip())
    return kernels, complaints


def judge(kernels, budget):
    """What is wrong, and how many registers the hungriest kernel of each line takes."""
    wrong = []
    most = {pattern: 0 for pattern, _ in budget}
    for name, arch, stack, spilled, registers in kernels:
        line = next(((p, r) for p, r in budget if re.search(p, name)), None)
        if line is None:
            wrong.append(f"{arch} {name}: no line of the budget matches")
            continue
        pattern, allowed = line
        most[pattern] = max(most[pattern], registers)
        if stack or spilled:
            wrong.append(f"{arch} {name}: {stack} bytes of stack, {spilled} bytes spilled")
        if registers > allowed:
            wrong.append(f"{arch} {name}: {registers} registers, {allowed} allowed")
    wrong += [f"budget line {p}: no such kernel in the log" for p, n in most.items() if n == 0]
    return wrong, most


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    root = pathlib.Path(__file__).resolve().parent.parent
    usual = root / "kernels/cuda/ptxas_budget.txt"
    budget_path = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else usual
    budget = read_budget(budget_path)
    kernels, wrong = read_log(pathlib.Path(sys.argv[1]))
    if not kernels:
        sys.exit("check_ptxas: the log names no kernel; build from clean, or through ccache")
    problems, most = judge(kernels, budget)
    wrong += problems
    for pattern, allowed in budget:
        print(f"{most[pattern]:4d} of {allowed:4d} registers  {pattern}")
    print(f"{len(kernels)} kernels on {len({arch for _, arch, *_ in kernels})} architectures")
    if wrong:
        sys.exit("check_ptxas:\n  " + "\n  ".join(wrong))


if __name__ == "__main__":
    main()
