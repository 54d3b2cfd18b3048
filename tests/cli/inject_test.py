"""The real binary under strace: its n-th system call of a kind fails, once or from then on, or
kills it.

What must hold: exit 0, 3, 4 or 5, one line of error, the previous file intact, no temporary file
left; after a kill, --resume ends with the same bytes. tests/base/file_fault_test.cpp does the same
call by call inside of the process. Skipped (status 77) where strace is absent or may not trace.
"""
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy

from command import DIABOLO, SMALL, main, rows, run, train

ERRORS = ["ENOSPC", "EIO", "EINTR"]
ALLOWED_CODES = (0, 3, 4, 5)


def traced(call, what, paths, arguments, log="/dev/null"):
    """Runs the command with one kind of call injected, or only logged, on the named paths only."""
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}"]
    for path in paths:
        command += ["-P", str(path)]
    if what:
        command += ["-e", f"inject={call}:{what}"]
    command += [DIABOLO, *map(str, arguments)]
    # The leak check of a sanitized build cannot run under a tracer.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(command, capture_output=True, timeout=120, env=environment)


def expect_clean(result, folder, case):
    """Checks what must hold; whether the command failed."""
    error = result.stderr.decode(errors="replace")
    assert result.returncode in ALLOWED_CODES, (case, result.returncode, error)
    lines = [line for line in error.splitlines() if line.startswith("diabolo: ")]
    assert len(lines) == (result.returncode != 0), (case, error)
    left = [path.name for path in folder.rglob("*.diabolo-tmp")]
    assert not left, (case, left)
    return result.returncode != 0


def small_model(folder):
    data = folder / "x.npy"
    numpy.save(data, rows(400))
    train(data, folder / "run", "--epochs", "2")
    return data, folder / "run"


def test_encode_survives_failing_calls(folder):
    data, model = small_model(folder)
    out, expected = folder / "out.npy", folder / "expected.npy"
    encode = ["encode", model, data, "-o", out, "--device", "cpu"]
    run("encode", model, data, "-o", expected, "--device", "cpu")
    partial = pathlib.Path(f"{out}.partial")
    written = [partial, folder / ".out.npy.partial.journal.diabolo-tmp"]
    kinds = [("pwrite64", written), ("write", written), ("fsync", []), ("rename", []),
             ("ftruncate", []), ("pread64", [data, model / "model.safetensors"]),
             ("openat", [data, partial, model / "model.safetensors"])]
    failures = 0
    for (call, paths), error, when in itertools.product(kinds, ERRORS, ["1", "2", "1+"]):
        shutil.copy(expected, out)
        case = (call, error, when)
        result = traced(call, f"error={error}:when={when}", paths, encode)
        failures += expect_clean(result, folder, case)
        assert out.read_bytes() == expected.read_bytes(), case
    assert failures >= 20, failures  # else nothing was injected


def test_encode_resumes_after_a_kill_at_a_call(folder):
    data, model = small_model(folder)
    out, expected = folder / "out.npy", folder / "expected.npy"
    encode = ["encode", model, data, "-o", out, "--device", "cpu"]
    run("encode", model, data, "-o", expected, "--device", "cpu")
    kills = 0
    for call, when in itertools.product(["pwrite64", "fsync", "rename", "ftruncate", "unlink"],
                                        [1, 2, 3]):
        out.unlink(missing_ok=True)
        result = traced(call, f"signal=SIGKILL:when={when}", [], encode)
        kills += result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert not out.exists() or out.read_bytes() == expected.read_bytes(), (call, when)
        run(*encode, "--resume")
        assert out.read_bytes() == expected.read_bytes(), (call, when)
    assert kills >= 5, kills


# Builds with sanitizers, which are slow, try every third call.
STEP = 3 if os.environ.get("DIABOLO_SANITIZE") else 1
SAVE_CALLS = ["openat", "ftruncate", "write", "fsync", "rename"]


def saving(target):
    """A training that saves two checkpoints and the model; the paths that it saves them through."""
    paths = [target, target / ".checkpoint.safetensors.diabolo-tmp",
             target / "checkpoint.safetensors", target / ".model.safetensors.diabolo-tmp"]
    flat = ["--set", "model.encoder.hidden=[]"]  # few tensors, so few calls
    return ["train", target.parent / "x.npy", "-o", target, *SMALL, *flat, "--epochs", "2"], paths


def calls_of(command, paths, log):
    """How often the command makes each of SAVE_CALLS on the paths."""
    counts = {}
    for call in SAVE_CALLS:
        result = traced(call, "", paths, [*command, "--overwrite"], log)
        assert result.returncode == 0, result.stderr
        counts[call] = sum(f" {call}(" in line for line in log.read_text().splitlines())
    return counts


def test_train_resumes_after_a_kill_at_each_call_of_a_save(folder):
    numpy.save(folder / "x.npy", rows(100))
    command, paths = saving(folder / "killed")
    counts = calls_of(command, paths, folder / "log")
    assert min(counts.values()) >= 2, counts
    whole = (folder / "killed" / "model.safetensors").read_bytes()
    tries = kills = 0
    for call in SAVE_CALLS:
        for when in range(1, counts[call] + 1, STEP):
            tries += 1
            result = traced(call, f"signal=SIGKILL:when={when}", paths, [*command, "--overwrite"])
            kills += result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
            goes_on = (folder / "killed" / "checkpoint.safetensors").exists()
            run(*command, "--resume" if goes_on else "--overwrite")
            assert (folder / "killed" / "model.safetensors").read_bytes() == whole, (call, when)
    assert kills >= tries - 2, (kills, tries)  # calls on two threads count apart


def test_a_failing_save_keeps_a_run_that_resumes(folder):
    data, before = small_model(folder)
    train(data, folder / "whole", "--epochs", "4")
    whole = (folder / "whole" / "model.safetensors").read_bytes()
    failures = 0
    target = folder / "copy"
    goes_on = ["train", data, "-o", target, *SMALL, "--epochs", "4", "--resume"]
    written = saving(target)[1][1:]
    kinds = [("fsync", []), ("rename", []), ("write", written), ("openat", written)]
    for (call, paths), error, when in itertools.product(kinds, ["ENOSPC", "EIO"], ["1", "3+"]):
        case = (call, error, when)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(before, target)
        result = traced(call, f"error={error}:when={when}", paths, goes_on)
        failures += expect_clean(result, folder, case)
        run(*goes_on)
        assert (target / "model.safetensors").read_bytes() == whole, case
    assert failures >= 8, failures


if __name__ == "__main__":
    may_trace = shutil.which("strace") and subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    if not may_trace:
        print("skipped: strace is absent or may not trace")
        sys.exit(77)
    main(globals())
