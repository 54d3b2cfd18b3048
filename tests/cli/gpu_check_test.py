"""scripts/gpu_check.sh without a GPU: it refuses, and with programs that stand in for those of a
GPU machine its parts read what the real command prints, and fail when a check fails."""
import gzip
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess

import numpy

from command import DIABOLO, main

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "gpu_check.sh"
NATIVE = ["cuda_verbs_native_test", "cuda_dense_native_test", "cuda_flat_native_test",
          "cuda_math_native_test", "ladder_test", "huge_test"]
# The real command on the CPU, called as on a GPU; trainings are short.
STAND_IN = f"""#!/bin/bash
[ "$1" = devices ] && {{ echo 'cuda:0  a stand-in'; exit 0; }}
arguments=()
for a in "$@"; do [ "$a" = cuda ] && a=cpu; arguments+=("$a"); done
[ "$1" = train ] && arguments+=(--epochs 1 --set model.encoder.hidden=[16])
[ "$1" = selftest ] && exit 0
exec {DIABOLO} "${{arguments[@]}}"
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
    for name in ("bin", "lib", "data", "scripts", "tools"):
        (folder / name).mkdir()
    shutil.copy(SCRIPT, folder / "scripts")
    (folder / "COMMIT").write_text("0123abc\n")
    images(folder / "data" / "train-images-idx3-ubyte.gz", 300)
    images(folder / "data" / "t10k-images-idx3-ubyte.gz", 100)
    program(folder / "bin" / "diabolo", diabolo)
    for name in NATIVE:
        program(folder / "bin" / name, "#!/bin/sh\nexit 0\n")
    program(folder / "tools" / "compute-sanitizer", "#!/bin/bash\nshift 4\nexec \"$@\"\n")
    return folder


def check(folder, *parts):
    """Exit status, output, {name: row}."""
    environment = {**os.environ, "PATH": f"{folder / 'tools'}:{os.environ['PATH']}"}
    environment.pop("OUT", None)
    done = subprocess.run(["bash", folder / "scripts" / "gpu_check.sh", *parts], text=True,
                          capture_output=True, env=environment, timeout=200)
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
    for name in ("ladder, every CUDA kernel", "beyond 2^31 elements", "train dense, f32"):
        assert rows[name]["verdict"] == "ok", rows


def test_a_failing_native_test_fails_the_check(folder):
    bundle(folder)
    program(folder / "bin" / "huge_test", "#!/bin/sh\necho wrong >&2\nexit 1\n")
    done, rows = check(folder, "correctness")
    assert rows["beyond 2^31 elements"]["verdict"] == "FAIL" and "wrong" in done.stderr, done


def test_sanitizer_from_packed_programs(folder):
    bundle(folder)
    subprocess.run(["tar", "-czf", "bin.tar.gz", "bin"], cwd=folder, check=True)
    shutil.rmtree(folder / "bin")
    done, rows = check(folder, "sanitizer")
    assert done.returncode == 0, done
    assert {rows[n]["verdict"] for n in ("memcheck", "racecheck", "initcheck", "synccheck")} == {
        "ok"}, rows


if __name__ == "__main__":
    main(globals())
