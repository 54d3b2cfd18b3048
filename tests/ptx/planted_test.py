#!/usr/bin/env python3
"""Plants errors in the device halves of kernels/cuda/device and sees that each is reported.

usage: planted_test.py FOLDER        FOLDER has the native tests of a build with DIABOLO_PTX

What nvcc made of a source is taken from the test program, changed as the wrong source would have
changed it, and put in its place (DIABOLO_PTX_TEXTS). Every test must pass before and fail after.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

VERBS = ("cuda_verbs_native_test", "verb_kernels_cu", "*")
SUMS = ("cuda_verbs_native_test", "verb_kernels_cu", "*.WarpAndBlock")
FORWARD = ("cuda_dense_native_test", "dense_forward_cu", "*.Forward")
LOSS = ("cuda_dense_native_test", "dense_loss_cu", "*.Loss")
UPDATE = ("cuda_flat_native_test", "optimizer_cu", "*.OptimizerAdvances")
WEIGHTS = ("cuda_dense_native_test", "dense_weight_grad_cu", "*.WeightGrad")
CHAIN = ("cuda_dense_native_test", "dense_chain_cu", "ChainKernels/*.KeepRowsApart")
MMA_A = r"(mma\.sync[^;]*\}, *\{)([^,}]*),([^,}]*),([^,}]*),([^,}]*)(\}, *\{[^,}]*,[^,}]*\})"
MMA_B = r"(mma\.sync[^;]*\}, *\{[^,}]*,[^,}]*,[^,}]*,[^,}]*\}, *\{)([^,}]*),([^,}]*)\}"
GENERIC = (r"\1{ .reg .b64 %generic; .reg .b32 %low;\n cvt.u64.u32 %generic, \3; "
           r"cvta.shared.u64 %generic, %generic; cvt.u32.u64 %low, %generic;\n \2[%low]\4; }")

# What is wrong, where, the pattern in the PTX, what stands in its place, and what is reported: the
# interpreter's words for it (a pattern), or "results" where only these are wrong.
PLANTED = (
    ("operands of cvt.bf16x2 swapped", VERBS,
     r"(cvt\.rn\.bf16x2\.f32 \S+) (\S+), (\S+);", r"\1 \3, \2;", "results"),
    ("to_tf32 does not round", VERBS,
     r"cvt\.rna\.tf32\.f32 ", "mov.b32 ", "results"),
    ("registers 1 and 2 of mma's A swapped", VERBS,
     MMA_A, r"\1\2,\4,\3,\5\6", "results"),
    ("mma's A the wrong way round", VERBS,
     MMA_A, r"\1\5,\4,\3,\2\6", "results"),
    ("registers of mma's B swapped", VERBS,
     MMA_B, r"\1\3,\2}", "results"),
    ("mma of bf16 of half the depth", VERBS,
     r"mma\.sync\.aligned\.m16n8k16([^{]*\{[^}]*\}, *\{)([^,]*,[^,]*),[^}]*(\}, *\{[^,]*),[^}]*\}",
     r"mma.sync.aligned.m16n8k8\1\2\3}", "results"),
    ("mma of tf32 without its accumulator", VERBS,
     r"(mma\.sync\.aligned\.m16n8k8\.[^;]*), *\{[^}]*\};",
     r"\1, {0f00000000, 0f00000000, 0f00000000, 0f00000000};", "results"),
    ("ldmatrix without .trans", VERBS,
     r"(ldmatrix\S*\.x4)\.trans", r"\1", "results"),
    ("ldmatrix with .trans", VERBS,
     r"(ldmatrix\S*\.x2)\.shared", r"\1.trans.shared", "results"),
    ("registers of ldmatrix swapped", VERBS,
     r"(ldmatrix\S*\.x2\S*\s*\{)([^,}]*),([^,}]*)\}", r"\1\3,\2}", "results"),
    ("cp.async without its source size", VERBS,
     r"(cp\.async\.c[ag]\S* [^;]*), %r\d+;", r"\1;", "results"),
    ("cp.async of half the bytes", VERBS,
     r"(cp\.async\.ca\S* \[[^]]*\], *\[[^]]*\]), 8,", r"\1, 4,", "uninitialised shared memory"),
    ("cp.async to a generic address", VERBS,
     r"()(cp\.async\.cg\S* )\[(%r\d+)\]([^;]*);", GENERIC, "out of bounds"),
    ("ldmatrix from a generic address", VERBS,
     r"()(ldmatrix\S*\.x4\S* \{[^}]*\}, )\[(%r\d+)\]();", GENERIC, "out of bounds"),
    ("one group too many may be pending", VERBS,
     r"cp\.async\.wait_group 1", "cp.async.wait_group 2", "asynchronous copy not waited for"),
    ("the last group is not waited for", VERBS,
     r"cp\.async\.wait_group 0", "cp.async.wait_group 1", "asynchronous copy not waited for"),
    ("no commit", VERBS,
     r"cp\.async\.commit_group;", "", "asynchronous copy not waited for"),
    ("no wait", VERBS,
     r"cp\.async\.wait_group \d;", "", "asynchronous copy not waited for"),
    ("no barrier of the block", VERBS,
     r"bar\.sync\s*0;", "", "uninitialised shared memory"),
    ("no barrier between warps' sums", SUMS,
     r"bar\.sync\s*0;", "", "race|uninitialised shared memory"),
    ("another shuffle", VERBS,
     r"shfl\.sync\.bfly", "shfl.sync.down", "wrong mask"),
    ("a shuffle of another distance", VERBS,
     r"(shfl\.sync\.bfly\S* [^,]*, [^,]*), [^,]*,", r"\1, 7,", "results"),
    ("a shuffle in segments of 16 lanes", VERBS,
     r"(shfl\.sync\.bfly.*), [^,\n]*, ([^,\n]*);", r"\1, 4127, \2;", "results"),
    ("a shuffle whose mask lacks lanes", VERBS,
     r"(shfl\.sync\.bfly.*), [^,\n]*;", r"\1, 65535;", "wrong mask"),
    ("a vector load one element off", VERBS,
     r"(ld\.global\.v4\.\w+ .*\[%rd\d+)\]", r"\1+4]", "misaligned address"),
    ("one group too many pending in a product", WEIGHTS,
     r"cp\.async\.wait_group (\d)", lambda m: f"cp.async.wait_group {int(m[1]) + 1}",
     "asynchronous copy not waited for"),
    ("a product without barriers", WEIGHTS,
     r"bar\.sync\s*0;", "", "race"),
    ("arrivals that stay", LOSS,
     r"atom\.acq_rel\.gpu\.global\.inc\.u32", "atom.acq_rel.gpu.global.add.u32", "results"),
    ("arrivals of an update that stay", UPDATE,
     r"atom\.acq_rel\.gpu\.global\.inc\.u32", "atom.acq_rel.gpu.global.add.u32", "results"),
    ("an update that arrives without barriers", UPDATE,
     r"bar\.sync\s*0;", "", "race|uninitialised shared memory"),
    ("an update whose threads do not wait to be told", UPDATE,
     r"(?s)(bar\.sync\s*0;.*?)bar\.sync\s*0;", r"\1", "race|uninitialised shared memory"),
    ("a transposed operand read as it lies", WEIGHTS,
     r"(ldmatrix\S*\.x4)\.trans", r"\1", "results"),
    ("copies of a product read whole chunks", FORWARD,
     r"(cp\.async\.cg\S* [^;]*), %r\d+;", r"\1;", "results|out of bounds"),  # by what lies there
    ("one group too many pending in a chain", CHAIN,
     r"cp\.async\.wait_group (\d)", lambda m: f"cp.async.wait_group {int(m[1]) + 1}",
     "asynchronous copy not waited for"),
    ("a chain without barriers", CHAIN,
     r"bar\.sync\s*0;", "", "race|uninitialised shared memory"),
    ("a chain's weights read as they do not lie", CHAIN,
     r"(ldmatrix\S*\.x4)\.trans", r"\1", "results"),
    ("a chain's rows read as they do not lie", CHAIN,
     r"(ldmatrix\S*\.x4)\.shared", r"\1.trans.shared", "results"),
)


def run(folder, texts, place):
    program, _, tests = place
    environment = dict(os.environ, DIABOLO_PTX_TEXTS=str(texts), DIABOLO_REQUIRE_CUDA="1",
                       DIABOLO_PTX_ORDER="forward")
    return subprocess.run([folder / program, f"--gtest_filter={tests}", "--gtest_fail_fast"],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300, check=False)


def telling(output):
    lines = [line for line in output.splitlines() if re.search("ptx: |Failure|expected", line)]
    return "\n".join(lines[:4])


def problem(folder, scratch, original, planted):
    what, place, pattern, replacement, reported = planted
    text, count = re.subn(pattern, replacement, original)
    if count == 0 or text == original:
        return f"{what}: nothing in {place[1]} to change"
    texts = scratch / re.sub(r"\W", "_", what)
    texts.mkdir()
    (texts / f"{place[1]}.ptx").write_text(text)
    result = run(folder, texts, place)
    if result.returncode == 0:
        return f"{what}: not caught"
    only_results = "ptx: " not in result.stdout and "Failure" in result.stdout
    if re.search(f"ptx: (?:{reported})", result.stdout):
        return None
    if "results" in reported.split("|") and only_results:
        return None
    return f"{what}: expected '{reported}', got\n{telling(result.stdout)}"


def main():
    folder = pathlib.Path(sys.argv[1])
    problems = []
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        plain = scratch / "plain"
        plain.mkdir()
        for place in dict.fromkeys(planted[1] for planted in PLANTED):
            result = run(folder, plain, place)
            assert result.returncode == 0, result.stdout[-3000:]
        for planted in PLANTED:
            original = (plain / f"{planted[1][1]}.ptx").read_text()
            found = problem(folder, scratch, original, planted)
            print(f"{'caught' if found is None else 'FAILED':8}{planted[0]} ({planted[4]})")
            problems += [found] if found else []
    print(f"{len(PLANTED) - len(problems)} of {len(PLANTED)} planted errors caught")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
