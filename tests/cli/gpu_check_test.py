"""scripts/gpu_check.sh without a GPU: it refuses, and with programs that stand in for those of a
GPU machine its parts read what the real command prints, and fail when a check fails. With
GPU_PROGRAMS, a folder of programs that see a device (preset ptx: the interpreter), these run."""
import gzip
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import time

import numpy

from command import DIABOLO, main

# What would be too long in the interpreter; the rest of the script is as on a GPU.
PROGRAMS = os.environ.get("GPU_PROGRAMS")
DEVICE = "cuda" if PROGRAMS else "cpu"
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gpu_check.sh"
QUICK_TESTS = ("*.WarpAndBlock*:*.Forward:*.Gather*:LadderDevices.*:Ladder.add/*:"
               "Ladder.dense_forward/f32*8x*")
NATIVE = ["cuda_verbs_native_test", "cuda_dense_native_test", "cuda_flat_native_test",
          "cuda_math_native_test", "ladder_test", "huge_test"]
# The real command on the CPU, called as on a GPU; trainings are short.
STAND_IN = f"""#!/bin/bash
[ "$1:{DEVICE}" = devices:cpu ] && {{ echo 'cuda:0  a stand-in'; exit 0; }}
arguments=()
for a in "$@"; do [ "$a" = cuda ] && a={DEVICE}; arguments+=("$a"); done
[ "$1" = train ] && arguments+=(--epochs 1 --set model.encoder.hidden=[16])
[ "$1" = selftest ] && [[ "$*" != *--filter* ]] && arguments+=(--filter 'add/')
exec {DIABOLO} "${{arguments[@]}}"
"""
# Answers as Google Benchmark does; the rows must be those that the benchmarks have.
BENCH = """#!/usr/bin/env python3
import json, re, sys
rows = {"train_bench": [f"train/dense64/bf16/{n}" for n in (256, 4096, 65536)],
        "encode_bench": ["score/dense64/bf16/65536", "encode_resident/dense64/bf16/1"],
        "op_bench": ["product/784x512/bf16", "adam/1100000", "adam/300000000"]}
counters = {"samples_per_s": 1e6, "step_s": 50e-6, "run_s": 20e-6, "bytes": 3e12, "flops": 1e14,
            "first_loss": 0.25}
options = dict(a[2:].split("=", 1) for a in sys.argv if a.startswith("--") and "=" in a)
found = [r for r in rows[sys.argv[0].split("/")[-1]]
         if re.search(options["benchmark_filter"], r + "/real_time")]
assert found, options
text = json.dumps({"context": {"device": "a stand-in", "commit": "0"},
                   "benchmarks": [{"name": r + "/real_time", **counters} for r in found]}, indent=1)
open(options.get("benchmark_out", "/dev/null"), "w").write(text)
print(text)
"""
# And as bench/baselines/dense_torch.py.
PEER = """
import json, sys
print(json.dumps({"torch": "0"}), flush=True)
for line in sys.stdin:
    row, implementation, *what = line.split()
    print(json.dumps({"row": row, "value": 5e5, "first_loss": 0.25}), flush=True)
"""


def program(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def images(path, rows):
    values = numpy.random.default_rng(3).integers(0, 256, (rows, 8, 8), numpy.uint8)
    header = struct.pack(">HBBIII", 0, 8, 3, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))


def bundle(folder, diabolo=STAND_IN):
    """A folder such as make_bundle.sh makes, and one of tools for the PATH."""
    for name in ("bin", "data", "scripts", "tools", "bench/baselines", "modules/torch"):
        (folder / name).mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "scripts")
    shutil.copy(ROOT / "bench" / "compare.py", folder / "bench")
    (folder / "bench" / "baselines" / "dense_torch.py").write_text(PEER)
    (folder / "bench" / "baselines" / "ceilings.py").write_text(
        "print('device copy', 4e12, 'B/s', sep='\\t')\n")
    (folder / "modules" / "torch" / "__init__.py").write_text("")
    (folder / "COMMIT").write_text("0123abc\n")
    images(folder / "data" / "train-images-idx3-ubyte.gz", 300)
    images(folder / "data" / "t10k-images-idx3-ubyte.gz", 100)
    program(folder / "bin" / "diabolo", diabolo)
    for name in NATIVE:
        if PROGRAMS and name != "huge_test":  # 9 GB
            (folder / "bin" / name).symlink_to(pathlib.Path(PROGRAMS) / name)
        else:
            program(folder / "bin" / name, "#!/bin/sh\nexit 0\n")
    for name in ("train_bench", "encode_bench", "op_bench"):
        program(folder / "bin" / name, BENCH)
    program(folder / "tools" / "compute-sanitizer", "#!/bin/bash\nshift 4\nexec \"$@\"\n")
    return folder


def check(folder, *parts, **variables):
    """Exit status, output, {name: row}."""
    environment = {**os.environ, "PATH": f"{folder / 'tools'}:{os.environ['PATH']}",
                   "PYTHONPATH": str(folder / "modules"), "DIABOLO_JOBS": "2",
                   "GTEST_FILTER": QUICK_TESTS, **variables}
    environment.pop("OUT", None)
    done = subprocess.run(["bash", folder / "scripts" / "gpu_check.sh", *parts], text=True,
                          capture_output=True, env=environment,
                          timeout=500 if PROGRAMS else 200)
    report = folder / "results" / f"{'-'.join(('gpu-check', *parts))}.json"
    rows = json.loads(report.read_text())["rows"] if report.exists() else []
    return done, {row["name"]: row for row in rows}


def test_refuses_without_a_device(folder):
    bundle(folder, f"#!/bin/sh\nexec {DIABOLO} \"$@\"\n")
    done, rows = check(folder)
    assert done.returncode == 6 and "no CUDA device" in done.stderr and not rows, done


def test_unknown_part(folder):
    done, _ = check(bundle(folder), "speed")
    assert done.returncode == 2 and "no part speed" in done.stderr, done


def test_correctness_reads_what_the_command_prints(folder):
    done, rows = check(bundle(folder), "correctness")
    # One epoch on noise cannot reach the mark: the row must say so, with evaluate's own figure.
    mse = rows["test MSE after 20 epochs, f32, one seed"]
    assert mse["verdict"] == "FAIL" and done.returncode == 1, done
    assert 0.05 < float(mse["value"]) < 0.2, mse
    codes = rows["codes, GPU against CPU, of the largest"]
    assert codes["verdict"] == "ok" and float(codes["value"]) == 0, codes
    for name in ("products against the reference", "train dense, f32"):
        assert rows[name]["verdict"] == "ok", rows
    library = rows["libcublasLt.so.13 or .12"]
    assert PROGRAMS or (library["verdict"], library["unit"]) == ("skipped", "no CUDA device"), rows


def test_cublaslt_is_found_only_where_its_kernel_passed(folder):
    bundle(folder)
    line = "cuda.dense_forward.cublaslt_f32   A GPU, 80GB  2      0.03       "
    for k, (prints, status, verdict) in enumerate((
            (line + "pass", 0, "ok"), (line + "FAIL     differs", 5, "FAIL"),
            (line + "skip     needs libcublasLt.so.13", 0, "skipped"), ("", 0, "FAIL"),
            (line + "pass", 139, "FAIL"))):
        program(folder / "bin" / "diabolo", "#!/bin/bash\n[ $1 = devices ] && echo cuda:0 && exit\n"
                f"[ $1 = selftest ] && echo '{prints}' && exit {status}\nexit 1\n")
        _, rows = check(folder, "correctness")
        found, = (row for name, row in rows.items() if name.startswith("libcublasLt"))
        assert found["verdict"] == verdict, (k, found)
        assert verdict != "skipped" or found["unit"] == "needs libcublasLt.so.13", found


def test_a_failing_native_test_fails_the_check(folder):
    bundle(folder)
    program(folder / "bin" / "huge_test", "#!/bin/sh\necho wrong >&2\nexit 1\n")
    done, rows = check(folder, "ladder")
    assert rows["ladder, every CUDA kernel, 1 of 2"]["verdict"] == "ok", rows
    assert rows["beyond 2^31 elements"]["verdict"] == "FAIL" and "wrong" in done.stderr, done


def test_a_process_that_does_not_listen_is_ended(folder):
    bundle(folder)
    program(folder / "bin" / "ladder_test",
            "#!/bin/bash\ntrap '' TERM\nfor k in {1..30}; do sleep 1; done\n")
    began = time.monotonic()
    done, rows = check(folder, "ladder", TIME_S="2")
    assert time.monotonic() - began < 20, done
    late = rows["ladder, every CUDA kernel, 1 of 2 (not done when time was up)"]
    assert late["verdict"] == "cut" and done.returncode == 0, done
    assert rows["beyond 2^31 elements"]["verdict"] == "skipped", rows


def test_sanitizer_from_packed_programs(folder):
    bundle(folder)
    subprocess.run(["tar", "-czf", "bin.tar.gz", "bin"], cwd=folder, check=True)
    shutil.rmtree(folder / "bin")
    done, rows = check(folder, "sanitizer")
    assert done.returncode == 0, done
    assert {rows[n]["verdict"] for n in ("memcheck", "racecheck", "initcheck", "synccheck")} == {
        "ok"}, rows


def test_a_sanitizer_that_is_cut_says_how_far_it_came(folder):
    bundle(folder)
    says = "========= Invalid __global__ read of size 4 bytes"
    program(folder / "tools" / "compute-sanitizer",
            "#!/bin/bash\necho '========= COMPUTE-SANITIZER'\n"
            "printf 'checking add\\nchecking gather\\n'\n"
            f"[ $2 = memcheck ] && echo '{says}'\nsleep 30\n")
    done, rows = check(folder, "sanitizer", TIME_S="2")
    assert rows["racecheck, cut after 1 operations"]["verdict"] == "cut", rows
    bad = [name for name, row in rows.items() if row["verdict"] != "cut"]
    assert len(bad) == 1 and bad[0].startswith("memcheck") and says in done.stderr, (rows, done)
    assert done.returncode == 1, done


# Beside each goal what the stand-ins answer; one epoch on noise reaches no error.
def test_quick_is_one_run_of_everything(folder):
    done, rows = check(bundle(folder), "quick")
    bad = {name: row for name, row in rows.items() if row["verdict"] in ("FAIL", "skipped")}
    noise = {f"test MSE after 20 epochs, {p}, one seed" for p in ("f32", "bf16")}
    assert noise == {n for n in bad if bad[n]["verdict"] == "FAIL"}, (bad, done.stdout, done.stderr)
    assert done.returncode == 1 and "== in short" in done.stdout, done
    for name, value, verdict in (("G1 train step, batch 256", 50, "missed"),
                                 ("G2 train step, batch 4096", 50, "reached"),
                                 ("G3 train step, batch 65536", 50, "reached"),
                                 ("G5 score of 2^20 rows", 320, "reached"),
                                 ("G12 encode of one row", 20, "missed"),
                                 ("G14 Adam over 1.1 M parameters", 10.267, "missed"),
                                 ("G14 Adam over 300 M parameters", 2800, "missed"),
                                 ("device copy", 4e12, "ok"),
                                 ("diabolo train/dense64/bf16/256", 256, "ok"),
                                 ("times torch 0 graph, train/dense64/bf16/256", 2, "ok"),
                                 ("both sides have the same first loss", None, "ok")):
        assert rows[name]["verdict"] == verdict, rows[name]
        assert value is None or float(rows[name]["value"]) == value, rows[name]
    for name in ("ladder, every CUDA kernel, 1 of 2", "verbs, native against host halves",
                 "memcheck", "racecheck", "train dense, bf16",
                 "codes, GPU against CPU, of the largest"):
        assert rows[name]["verdict"] == "ok", rows[name]
    assert list((folder / "results").glob("dense-*.json"))
    # What a run that is cut must not lose comes first.
    firsts = ("verbs", "products", "G1", "diabolo train/", "ladder", "diabolo product", "memcheck")
    order = [next(k for k, name in enumerate(rows) if name.startswith(one)) for one in firsts]
    assert order == sorted(order), list(rows)


def test_a_peer_that_is_not_ready_leaves_time_for_ours(folder):
    bundle(folder)
    waits = PEER.replace("    print(", "    while what: time.sleep(1)\n    print(").replace(
        "import json", "import json, time")
    assert waits != PEER
    (folder / "bench" / "baselines" / "dense_torch.py").write_text(waits)
    done, rows = check(folder, "dense", TIME_S="53")
    assert rows["diabolo train/dense64/bf16/256"]["verdict"] == "ok", (done, rows)
    late = [row for name, row in rows.items() if "torch 0 graph" in name]
    assert late and {row["verdict"] for row in late} == {"skipped"}, rows
    assert done.returncode == 0, done


def test_a_comparison_without_time_is_not_begun(folder):
    done, rows = check(bundle(folder), "dense", TIME_S="40")
    assert rows["compare.py"]["verdict"] == "skipped" and done.returncode == 0, (done, rows)


def test_a_comparison_that_ends_early_fails_with_what_it_has(folder):
    bundle(folder)
    program(folder / "bin" / "encode_bench", "#!/bin/sh\necho broken >&2\nexit 1\n")
    done, rows = check(folder, "dense")
    assert rows["diabolo train/dense64/bf16/256"]["verdict"] == "ok", (done, rows)
    assert rows["compare.py"]["verdict"] == "FAIL" and "broken" in done.stderr, (done, rows)


def test_a_run_that_is_cut_leaves_what_it_measured(folder):
    bundle(folder)
    program(folder / "bin" / "encode_bench",
            "#!/bin/sh\nkill -9 $(cat $(dirname $0)/../pid)\nsleep 5\n")
    program(folder / "bin" / "run",
            "#!/bin/sh\necho $$ > ../pid\nexec bash ../scripts/gpu_check.sh rows\n")
    environment = {**os.environ, "PATH": f"{folder / 'tools'}:{os.environ['PATH']}"}
    done = subprocess.run([folder / "bin" / "run"], cwd=folder / "bin", env=environment, timeout=60)
    report = json.loads((folder / "results" / "gpu-check-rows.json").read_text())["rows"]
    assert done.returncode == -9 and [r["name"][:2] for r in report] == ["G1", "G2", "G3"], report


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "test_"
    main({name: test for name, test in globals().items() if name.startswith(wanted)})
