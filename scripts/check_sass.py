#!/usr/bin/env python3
"""Holds the machine code of every CUDA kernel, on every architecture, against a budget.

usage: check_sass.py [--write] FOLDER [BUDGET]

FOLDER has the objects of a build with the preset cuda (build/cuda/kernels); BUDGET is
kernels/cuda/sass_budget.txt. Fails, a line for each, for a kernel that has local memory or a stack,
of which fewer blocks fit on a multiprocessor, whose widest access of global memory is narrower or
which has more narrow ones, which has atomics or accesses through generic addresses, whose main loop
takes more instructions beside its work, or, if it is a product's, lacks one that it is written for;
for one that an architecture that is shipped has not; and for kernels and lines of the budget
without their counterpart. Kernels of CUB and Thrust are left out. --write writes the budget anew;
counts that are worse within what is allowed stay, so that many small steps are still seen as one.
cuobjdump: $CUOBJDUMP, from PATH, beside nvcc, or from PyPI into build/cuobjdump; without one a line
says so.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE_FOR = re.compile(r"^\s*code for (sm_\w+)")
ARCH = re.compile(r"^arch = (sm_\w+)")
FUNCTION = re.compile(r"^\s*Function\s*:?\s*(\S+?):?$")
INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);")
RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
ENTRY = re.compile(r"\.entry (\w+)\(")
MOST_THREADS = re.compile(r"^\s*\.maxntid (\d+)")
SHIPPED = re.compile(r"\b(\d+a?)-real\b")
TARGET = re.compile(r"\b0x([0-9a-f]+)\s*$")

NOT_OURS = ("cub::", "thrust::")  # kernels that come out of the toolkit's headers
PRODUCTS = ("HMMA", "FFMA")
WORK = PRODUCTS + ("LDSM", "LDS", "LDGSTS")  # the rest of a main loop is overhead
WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}
MOST_WARPS = {"sm_86": 48, "sm_89": 48, "sm_120": 48}  # of a multiprocessor; 64 elsewhere
MOST_BLOCKS = {"sm_86": 16, "sm_89": 24, "sm_120": 24}  # 32 elsewhere
WIDE = 16
# Through an address that may be of any memory: slower, and not among what is counted. Atomics give
# sums by the order of arrival; of ours some count with one.
GENERIC = ("LD", "ST", "ATOM", "ATOMG", "ATOMS", "RED", "REDG")
# Blocks count their arrivals (device/arrive.cuh) in these kernels only. What a block wrote must be
# out before, and what others wrote must not be read from an old line of the first-level cache
# after: an order that got lost here would show on a device only, now and then.
COUNTS = "ATOMG.E.INC.STRONG.GPU"
COUNTING = ("LossEpilogue", "optimizer_kernel")
RELEASES, ACQUIRES = "MEMBAR.", "CCTL.IVALL"
# What the main loop of a product has: a verb that fell back to plain code would pass every test of
# results.
COPIES = ("LDGSTS.E.BYPASS.128", "LDGDEPBAR")
NEEDED = {"MmaLoop<Bf16,": ("HMMA.16816.F32.BF16", "LDSM.16.", *COPIES),
          "MmaLoop<float,": ("HMMA.1688.F32.TF32", *COPIES),
          "FfmaLoop<": ("FFMA", "LDS.128", *COPIES)}

HEADER = """\
# What the machine code of each CUDA kernel keeps to on the worst of the shipped architectures (nvcc
# 13.0): scripts/check_sass.py fails where a build is worse. Written by it:
#
#   cmake --preset cuda && cmake --build --preset cuda --target diabolo_kernels
#   scripts/check_sass.py --write build/cuda/kernels
#
# blocks     resident on a multiprocessor by registers and warps; a launch's dynamic shared memory
#            is not in the code (kernels/README.md, The CUDA products)
# load       bytes of the widest load or asynchronous copy of global memory, and how many narrower
#            than 16 bytes there are in the code (tails, other alignments)
# store      the same of stores
# step       of the main loop, of several that with the widest copies, of these that with the most:
#            instructions a warp beside mma or fused multiply-adds, shared loads and copies; and how
#            many of those
#
# blocks  load narrow  store narrow  step work  kernel
"""


@dataclasses.dataclass
class Found:
    """What is known of a kernel on one architecture, or at worst."""
    blocks: int = 0
    load: int = 0
    narrow_loads: int = 0
    store: int = 0
    narrow_stores: int = 0
    step: int = 0
    work: int = 0
    local: int = 0  # bytes of stack and instructions that use local memory
    generic: int = 0  # instructions of GENERIC
    counts: int = 0  # arrivals of blocks
    unordered: int = 0  # of these without RELEASES before or ACQUIRES behind
    loop: frozenset = frozenset()  # opcodes of the main loop


def find_cuobjdump():
    """Its path, with nvdisasm beside it; some toolkits come without them."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    ours = ROOT / "build/cuobjdump"
    places = [os.environ.get("CUOBJDUMP"), shutil.which("cuobjdump"),
              str(pathlib.Path(nvcc).with_name("cuobjdump")),
              str(ours / "nvidia/cu13/bin/cuobjdump")]
    is_there = lambda place: place and os.access(place, os.X_OK)
    if not any(map(is_there, places)) and "DIABOLO_SKIP_INSTALL" not in os.environ:
        subprocess.run(["python3", "-m", "pip", "install", "-q", "--root-user-action=ignore",
                        "--no-deps", "--target", ours, "nvidia-cuda-cuobjdump==13.*",
                        "nvidia-cuda-nvdisasm==13.*"], stdout=sys.stderr, check=False)
    return next(filter(is_there, places), None)


def dump(tool, flag, path):
    path_of_tools = os.pathsep.join((os.environ["PATH"], str(pathlib.Path(tool).parent)))
    done = subprocess.run([tool, flag, path], capture_output=True, text=True, check=True,
                          env=dict(os.environ, PATH=path_of_tools))
    return done.stdout.splitlines()


def width_of(opcode):
    return next((WIDTHS[part] for part in opcode.split(".")[1:] if part in WIDTHS), 4)


def innermost_loops(code):
    """[(first, last)] of the loops of [(address, opcode, operands)] that have products and no
    smaller such loop in them."""
    index = {address: n for n, (address, _, _) in enumerate(code)}
    loops = []
    for n, (address, opcode, operands) in enumerate(code):
        target = TARGET.search(operands) if opcode.startswith("BRA") else None
        first = index.get(int(target[1], 16)) if target else None
        if first is not None and first <= n:
            loops.append((first, n))
    has_products = [loop for loop in loops if sum(
        c[1].startswith(PRODUCTS) for c in code[loop[0]:loop[1] + 1]) >= 8]
    return [a for a in has_products
            if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in has_products)]


def beginnings(opcodes):
    """The opcodes and what stands before each of their dots, dot included."""
    return frozenset(opcode[:end] for opcode in opcodes
                     for end in (*(n + 1 for n, c in enumerate(opcode) if c == "."), len(opcode)))


def main_loop(code):
    """(instructions beside the work, work, opcodes) of the product loop with the widest copies; of
    several, the most beside the work, and what of opcodes all of them have."""
    loops = []
    for first, last in innermost_loops(code):
        opcodes = [opcode for _, opcode, _ in code[first:last + 1] if opcode != "NOP"]
        work = sum(opcode.split(".")[0] in WORK for opcode in opcodes)
        widest = max((width_of(o) for o in opcodes if o.startswith("LDGSTS")), default=0)
        loops.append((widest, len(opcodes) - work, work, beginnings(opcodes)))
    if not loops:
        return 0, 0, frozenset()
    widest, beside, work, _ = max(loops, key=lambda loop: loop[:3])
    return beside, work, frozenset.intersection(*(loop[3] for loop in loops if loop[0] == widest))


def is_ordered(opcodes, arrival):
    """True if between the barriers around opcodes[arrival] there are RELEASES and ACQUIRES."""
    is_barrier = lambda opcode: opcode.startswith("BAR.")
    before = itertools.takewhile(lambda o: not is_barrier(o), reversed(opcodes[:arrival]))
    behind = itertools.takewhile(lambda o: not is_barrier(o), opcodes[arrival + 1:])
    return any(o.startswith(RELEASES) for o in before) and any(o == ACQUIRES for o in behind)


def found_in(code):
    found = Found()
    for _, opcode, _ in code:
        kind = opcode.split(".")[0]
        if kind in ("LDL", "STL"):
            found.local += 1
        elif kind in GENERIC and opcode != COUNTS:
            found.generic += 1
        elif kind in ("LDG", "LDGSTS"):
            width = width_of(opcode)
            found.load = max(found.load, width)
            found.narrow_loads += width < WIDE
        elif kind == "STG":
            width = width_of(opcode)
            found.store = max(found.store, width)
            found.narrow_stores += width < WIDE
    found.step, found.work, found.loop = main_loop(code)
    opcodes = [opcode for _, opcode, _ in code]
    arrivals = [n for n, opcode in enumerate(opcodes) if opcode == COUNTS]
    found.counts, found.unordered = len(arrivals), sum(not is_ordered(opcodes, n) for n in arrivals)
    return found


def parse_sass(lines):
    """{(kernel, architecture): Found}"""
    result, key, arch, code = {}, None, None, []
    for line in lines:
        if ";" in line and (match := INSTRUCTION.match(line)):
            code.append((int(match[1], 16), match[2], match[3]))
        elif ":" in line or "code for" in line:
            match = CODE_FOR.match(line) or FUNCTION.match(line)
            if match is None:
                continue
            if key and code:
                result[key] = found_in(code)
            code = []
            if match.re is CODE_FOR:
                arch, key = match[1], None
            else:
                key = (match[1], arch)
    if key and code:
        result[key] = found_in(code)
    return result


def parse_resources(lines):
    """{(kernel, architecture): (registers, bytes of stack, bytes of shared memory)}"""
    result, arch, kernel = {}, None, None
    for line in lines:
        if match := ARCH.match(line):
            arch = match[1]
        elif match := RESOURCES.search(line):
            result[(kernel, arch)] = (int(match[1]), int(match[2]) + int(match[4]), int(match[3]))
        elif match := FUNCTION.match(line):
            kernel = match[1]
    return result


def parse_threads(lines):
    """{kernel: threads of a block}"""
    result, kernel = {}, None
    for line in lines:
        if match := ENTRY.search(line):
            kernel = match[1]
        elif match := MOST_THREADS.match(line):
            result[kernel] = int(match[1])
    return result


def resident_blocks(registers, threads, arch):
    warps = -(-threads // 32)
    warps_by_registers = 65536 // (-(-registers * 32 // 256) * 256) // 4 * 4
    return min(warps_by_registers // warps, MOST_WARPS.get(arch, 64) // warps,
               MOST_BLOCKS.get(arch, 32))


def examine(tool, path):
    """{(kernel, architecture): Found} of an object."""
    found = parse_sass(dump(tool, "-sass", path))
    resources = parse_resources(dump(tool, "-res-usage", path))
    threads = parse_threads(dump(tool, "-ptx", path))
    for (kernel, arch), one in found.items():
        registers, stack, _ = resources[(kernel, arch)]
        one.local += stack
        one.blocks = resident_blocks(registers, threads.get(kernel, 1024), arch)
    return found


def short_names(kernels):
    """{mangled: as the budget has it}"""
    kernels = sorted(kernels)
    done = subprocess.run(["c++filt"], input="\n".join(kernels), capture_output=True, text=True,
                          check=True)
    names = {}
    for kernel, name in zip(kernels, done.stdout.splitlines()):
        name = re.sub(r"diabolo::kernels::|\b(?:cuda|gpu)::|^void ", "", name)
        name = name.replace("(anonymous namespace)::", "")
        name = re.sub(r"\((?:Along|ProductMath|TileSize|Activation)\)", "", name)
        name = re.sub(r"\([^()]*\)$", "", name).replace(" ", "")
        name = re.sub(r",[\w<>]+::Params>>$", ">>", name)
        names[kernel] = name.replace(",ProductCall<MatrixOperand,MatrixOperand,RowMajor>>", ">")
    return names


def worst(of_archs):
    """(Found at worst, {field: architecture}) of {architecture: Found}."""
    loops = [one.loop for one in of_archs.values()]
    result, where = Found(loop=loops[0].intersection(*loops)), {}
    for field in dataclasses.fields(Found)[:-1]:
        pick = min if field.name in ("blocks", "load", "store") else max
        arch = pick(of_archs, key=lambda a: getattr(of_archs[a], field.name))
        setattr(result, field.name, getattr(of_archs[arch], field.name))
        where[field.name] = arch
    return result, where


def by_kernel(found):
    """{short name: {architecture: Found}}; where the short name is of several, at worst."""
    names = short_names({kernel for kernel, _ in found})
    kernels = collections.defaultdict(dict)
    for (kernel, arch), one in found.items():
        if names[kernel].startswith(NOT_OURS):
            continue
        archs = kernels[names[kernel]]
        archs[arch] = worst({0: archs[arch], 1: one})[0] if arch in archs else one
    return kernels


def shipped_archs():
    """Those of which a build has machine code, if it is not told others."""
    text = (ROOT / "cmake/Dependencies.cmake").read_text()
    return {"sm_" + arch for arch in SHIPPED.findall(text)}


def read_budget(path):
    budget = {}
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            values = [0 if word == "-" else int(word) for word in words[:7]]
            budget[words[7]] = Found(*values)
    return budget


# Field, whether more is better, what it is.
RULES = (("blocks", True, "resident blocks"), ("load", True, "bytes the widest load"),
         ("narrow_loads", False, "narrow loads"), ("store", True, "bytes the widest store"),
         ("narrow_stores", False, "narrow stores"),
         ("step", False, "instructions a step beside its work"))


def slack(count):
    """The most that a count may be before its budget has to be written anew."""
    return count + count // 10 + 1


def kept(found, old):
    """What the budget says of `found` where it said `old`: its counts, where they still hold."""
    counts = {field: getattr(old, field) for field, more_is_better, _ in RULES if not more_is_better
              and getattr(old, field) < getattr(found, field) <= slack(getattr(old, field))}
    return dataclasses.replace(found, **counts)


def budget_text(kernels, old):
    """The budget anew, `old` the one before it, or {}."""
    text = HEADER
    for name in sorted(kernels):
        f = worst(kernels[name])[0]
        f = kept(f, old.get(name, f))
        step = f"{f.step:5d} {f.work:4d}" if f.work else f"{'-':>5} {'-':>4}"
        text += (f"{f.blocks:8d}{f.load:6d} {f.narrow_loads:6d}{f.store:7d} {f.narrow_stores:6d} "
                 f"{step}  {name}\n")
    return text


def needed(name):
    return next((opcodes for loop, opcodes in NEEDED.items() if loop in name), ())


def judge(kernels, budget, archs):
    """What is wrong, a line each, where machine code for `archs` is expected."""
    wrong = []
    for name in sorted(kernels):
        wrong += [f"{name}: expected machine code for {arch}, found none (all: the preset cuda)"
                  for arch in sorted(archs - kernels[name].keys())]
        one, where = worst(kernels[name])
        if one.local:
            wrong.append(f"{name}: expected no stack or local memory, found {one.local} bytes and "
                         f"uses on {where['local']}")
        if one.generic:
            wrong.append(f"{name}: expected no atomics or generic accesses, found {one.generic} on "
                         f"{where['generic']}")
        if one.unordered:
            wrong.append(f"{name}: expected MEMBAR before an arrival and {ACQUIRES} behind "
                         f"it, found {one.unordered} without on {where['unordered']}")
        if bool(one.counts) != any(kernel in name for kernel in COUNTING):
            wrong.append(f"{name}: expected {'no' if one.counts else 'some'} arrivals of blocks, "
                         f"found {one.counts} on {where['counts']}")
        if name not in budget:
            wrong.append(f"{name}: expected a line in the budget, found none")
            continue
        wrong += [f"{name}: expected {opcode} in the main loop, found none"
                  for opcode in needed(name) if not any(o.startswith(opcode) for o in one.loop)]
        for field, more_is_better, what in RULES:
            expected, found = getattr(budget[name], field), getattr(one, field)
            if found < expected if more_is_better else found > slack(expected):
                bound = "at least" if more_is_better else "at most"
                wrong.append(f"{name}: expected {bound} {expected} {what}, found {found} on "
                             f"{where[field]}")
    wrong += [f"{name}: expected in the build, found only in the budget"
              for name in sorted(budget.keys() - kernels.keys())]
    return wrong


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--write", action="store_true")
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("budget", type=pathlib.Path, nargs="?",
                   default=ROOT / "kernels/cuda/sass_budget.txt")
    args = p.parse_args()
    tool = find_cuobjdump()
    if tool is None:
        print("check_sass: no cuobjdump: the machine code was not looked at", file=sys.stderr)
        return
    objects = sorted(args.folder.rglob("*.cu.o"))
    found = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for one in pool.map(lambda path: examine(tool, path), objects):
            found.update(one)
    if not found:
        sys.exit(f"check_sass: {args.folder} has no machine code of kernels")
    kernels = by_kernel(found)
    archs = sorted({arch for _, arch in found})
    if args.write:
        old = read_budget(args.budget) if args.budget.exists() else {}
        args.budget.write_text(budget_text(kernels, old))
    wrong = judge(kernels, read_budget(args.budget), shipped_archs())
    print(f"check_sass: {len(kernels)} kernels on {' '.join(archs)}")
    if wrong:
        sys.exit("\n".join(f"check_sass: {line}" for line in wrong) + "\n"
                 "  where that is meant: scripts/check_sass.py --write, and say why in the commit")


if __name__ == "__main__":
    main()
