#!/usr/bin/env python3
"""Reads the tree and fails where its rules are broken.

Rules: dependencies point one way through the layers; kernels/ includes nothing from src/ or
include/; CUDA headers stay under kernels/cuda and src/backend/cuda; every op is listed (and so has
cases and, if it has a gradient, a complex step), every listed data format has tests and a fuzz
target; every source file says what it is in its first lines, a CUDA kernel's field by field and how
much scratch it takes; no test is switched off; files and lines stay short. `structure_test.py
--selftest` checks that each rule can fail.
"""

import pathlib
import re
import sys
import tempfile

# data stands below model: a model keeps how its rows are scaled, which data defines.
LAYERS = {"base": 0, "backend": 1, "ops": 2, "graph": 3, "selftest": 4, "data": 4, "model": 5,
          "infer": 6, "train": 7, "evaluate": 7, "jobs": 8, "cli": 9, "capi": 9}
# Layers that may not include each other though their order would allow it.
SEPARATE = {("data", "graph"), ("data", "ops"), ("data", "selftest"), ("selftest", "data"),
            ("selftest", "graph"), ("train", "evaluate"), ("evaluate", "train"), ("cli", "capi"),
            ("capi", "cli")}
# Formats that have nothing to parse.
UNPARSED_FORMATS = {"raw"}
SOURCES = ("*.h", "*.hpp", "*.cpp", "*.cu", "*.cuh", "*.c")
MOST_COLUMNS = 100
MOST_LINES = 450  # 400 is where to stop and think, this is where to stop
ONE_BY_CONTRACT = "include/diabolo"  # one header for C, one for C++, in sections by topic

KERNEL_FIELDS = ("Computes", "Shapes", "Work split", "Traffic", "Numerics", "Limits", "Source")

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)
CUDA_HEADER = re.compile(r"^(cuda|cublas|cudnn|curand|cusparse|nv|cub/|thrust/|cooperative_groups|"
                         r"mma\.h|device_launch_parameters|driver_types)")


def sources(root, *folders, patterns=SOURCES):
    for folder in folders:
        for pattern in patterns:
            yield from sorted((root / folder).rglob(pattern))


def read(path):
    return path.read_text(encoding="utf-8")


def upward_includes(root):
    for path in sources(root, "src"):
        parts = path.relative_to(root / "src").parts
        if len(parts) < 2:
            yield f"{path}: every file of src/ belongs to a layer's folder"
            continue
        layer = parts[0]
        if layer not in LAYERS:
            yield f"{path}: '{layer}' is no layer; known are {', '.join(LAYERS)}"
            continue
        for include in INCLUDE.findall(read(path)):
            other = include.split("/")[0]
            if other not in LAYERS:
                continue
            if LAYERS[other] > LAYERS[layer] or (layer, other) in SEPARATE:
                yield f"{path}: layer {layer} includes {include}"


def kernels_stand_alone(root):
    for path in sources(root, "kernels"):
        for include in INCLUDE.findall(read(path)):
            if include.split("/")[0] in LAYERS or include.startswith("diabolo/"):
                yield f"{path}: kernels/ includes {include}"


def includes_are_relative_to_src(root):
    for path in sources(root, "src", "tests", "bench"):
        for include in INCLUDE.findall(read(path)):
            if include.startswith(("src/", "../")):
                yield f"{path}: include {include}; write it relative to src/ or the root"


def cuda_headers(root):
    allowed = (root / "kernels/cuda", root / "src/backend/cuda", root / "tests")
    for path in sources(root, "src", "kernels", "include", "bench", "examples"):
        if any(folder in path.parents for folder in allowed):
            continue
        for include in INCLUDE.findall(read(path)):
            if CUDA_HEADER.match(include):
                yield f"{path}: CUDA header {include}"


def public_headers(root):
    for path in sources(root, "include"):
        for include in INCLUDE.findall(read(path)):
            if include.split("/")[0] in LAYERS or include.startswith("kernels/"):
                yield f"{path}: a public header includes {include}"


def ops_are_listed(root):
    """The list declares an op's cases too; that a gradient has a complex step, its test finds."""
    registry = root / "src/ops/registry.h"
    listed = re.findall(r"\bX\((\w+)\)", read(registry))
    ops = [op for path in sources(root, "src/ops")
           for op in re.findall(r"^extern const OpDef k(\w+);", read(path), re.M)]
    if not ops:
        yield f"{registry}: no op found; has the way they are declared changed?"
    for op in ops:
        if op not in listed:
            yield f"{registry}: k{op} is not listed"


def formats_have_tests(root):
    listed = root / "src/data/formats.cpp"
    names = re.findall(r"&k(\w+)Format\b", read(listed))
    if not names:
        yield f"{listed}: no format found; has the way they are listed changed?"
    tests = "".join(read(path) for path in sources(root, "tests/data"))
    for name in map(str.lower, names):
        if not re.search(rf"\b\w*{name}\w*\b", tests, re.I):
            yield f"{listed}: no test in tests/data names the format '{name}'"
        if name not in UNPARSED_FORMATS and not (root / f"tests/fuzz/{name}_fuzz.cpp").exists():
            yield f"{listed}: format '{name}' has no fuzz target"


def leading_comments(root):
    for path in sources(root, "src", "kernels", "include", "tests", "bench", "examples"):
        text = read(path)
        # A source that implements a header of the same name says how; the header says what.
        has_header = any(path.with_suffix(end).exists() for end in (".h", ".hpp", ".cuh"))
        if path.suffix in (".cpp", ".cu", ".c") and has_header:
            continue
        if path.name.endswith("_test.cpp") and path.parent.parent.name == "tests":
            continue  # its tests' names say what it is
        if not text.startswith(("//", "/*")):
            yield f"{path}: no leading comment that says what the file is"


def kernel_fields(root):
    """A kernel's doc block: a field begins a line, what continues one is indented like its text."""
    for path in sources(root, "kernels/cuda"):
        block = re.match(r"(?://.*\n)+", read(path))
        lines = block.group().splitlines() if block else []
        first = next((i for i, line in enumerate(lines) if line.startswith("// Computes")), None)
        if first is None:
            if path.suffix == ".cu":
                yield f"{path}: a kernel's first comment has the fields {', '.join(KERNEL_FIELDS)}"
            continue
        starts = [line[3:15].rstrip() for line in lines[first:] if line[3:4] != " "]
        for wrong in [start for start in starts if start not in KERNEL_FIELDS]:
            yield f"{path}: '{wrong}' begins no field and is not indented: has it been re-wrapped?"
        for missing in [f for f in KERNEL_FIELDS if path.suffix == ".cu" and f not in starts]:
            yield f"{path}: no line of its first comment begins with the field '{missing}'"


def scratch_is_declared(root):
    """Without an overload of scratch_bytes a kernel gets none, in silence."""
    declared = {record for path in sources(root, "kernels", patterns=("*.h", "*.cpp"))
                for record in re.findall(r"scratch_bytes\(const (\w+)[^,]*& \w+, const Device",
                                         read(path))}
    for path in sources(root, "kernels/cuda", patterns=("*.cu",)):
        takers = re.findall(r"prepare\(const (\w+)[^,]*(?:, [^,]*)?& \w+, const Device&(?: \w+)?,"
                            r" void\* \w+\)", read(path))
        for record in sorted(set(takers) - declared):
            yield f"{path}: {record} takes scratch memory, and no scratch_bytes says how much"


def no_disabled_tests(root):
    for path in sources(root, "tests"):
        if re.search(r"\bDISABLED_\w", read(path)):
            yield f"{path}: a test that is switched off"


def files_are_short(root):
    for path in sources(root, "src", "kernels", "include", "tests", "bench", "examples"):
        lines = read(path).count("\n")
        if lines > MOST_LINES and ONE_BY_CONTRACT not in str(path):
            yield f"{path}: {lines} lines, over {MOST_LINES}: two files, or fewer words"


def lines_are_short(root):
    """Comments and Python too, which no formatter wraps. No exceptions: texts can be cut."""
    for path in sources(root, "src", "kernels", "include", "tests", "bench", "examples", "scripts",
                        patterns=(*SOURCES, "*.py")):
        for number, line in enumerate(read(path).splitlines(), 1):
            if len(line) > MOST_COLUMNS:
                yield f"{path}:{number}: {len(line)} columns, over {MOST_COLUMNS}"


RULES = (upward_includes, kernels_stand_alone, includes_are_relative_to_src, cuda_headers,
         public_headers, ops_are_listed, formats_have_tests, leading_comments, kernel_fields,
         scratch_is_declared, no_disabled_tests, files_are_short, lines_are_short)

# For each rule a file that breaks it, beside the smallest tree that breaks none.
GOOD_TREE = {
    "src/ops/add.h": "// add\nextern const OpDef kAdd;\n",
    "src/ops/registry.h": "// list\nX(Add)\n",
    "src/data/formats.cpp": "// formats\n&kNpyFormat,\n",
    "tests/data/formats_test.cpp": "// npy\n",
    "tests/fuzz/npy_fuzz.cpp": "// npy\n",
    "kernels/cuda/add.cu": "// add\n" + "".join(f"// {field:12}text\n//             more\n"
                                                for field in KERNEL_FIELDS),
}
BROKEN = {
    upward_includes: ("src/base/a.h", '// a\n#include "graph/graph.h"\n'),
    kernels_stand_alone: ("kernels/a.h", '// a\n#include "base/error.h"\n'),
    includes_are_relative_to_src: ("src/base/a.h", '// a\n#include "src/base/b.h"\n'),
    cuda_headers: ("src/ops/a.h", "// a\n#include <cuda_runtime.h>\n"),
    public_headers: ("include/diabolo/a.h", '// a\n#include "base/error.h"\n'),
    ops_are_listed: ("src/ops/new.h", "// new\nextern const OpDef kNew;\n"),
    formats_have_tests: ("src/data/formats.cpp", "// formats\n&kNpyFormat,\n&kZarrFormat,\n"),
    leading_comments: ("src/base/a.h", "#pragma once\n"),
    kernel_fields: ("kernels/cuda/add.cu",
                    "// add\n// Computes    text\n// more Shapes      text Work split  text\n"),
    scratch_is_declared: ("kernels/cuda/sum.cu", "// sum\nLaunch prepare(const Sum<float>& p, "
                          "const Device&, void* scratch) {\n"),
    no_disabled_tests: ("tests/base/a_test.cpp", "// a\nTEST(A, DISABLED_b) {}\n"),
    files_are_short: ("src/base/a.h", "// a\n" * (MOST_LINES + 1)),
    lines_are_short: ("tests/a_test.py", '"""' + 98 * "a" + '"""\n'),
}


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def selftest():
    for rule in RULES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write_tree(root, GOOD_TREE)
            for other in RULES:
                assert not list(other(root)), f"{other.__name__} flags a tree without fault"
            name, text = BROKEN[rule]
            write_tree(root, {name: text})
            assert list(rule(root)), f"{rule.__name__} lets its planted fault pass"
    print(f"{len(RULES)} rules, each of them can fail")


def main():
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    root = pathlib.Path(__file__).resolve().parent.parent
    faults = [fault for rule in RULES for fault in rule(root)]
    print("\n".join(faults) or f"{len(RULES)} rules hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
