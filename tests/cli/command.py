"""What the tests of the command share: running it, small data, a small trained model."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

DIABOLO = os.environ.get("DIABOLO", "build/release/diabolo")
SMALL = ["--set", "model.encoder.hidden=[16,8]", "--code-size", "3", "--batch-size", "32",
         "--threads", "1", "--device", "cpu"]


def run(*arguments, code=0, **options):
    """Runs the command; checks the exit status, and that an error is one line."""
    options.setdefault("timeout", 240)
    result = subprocess.run([DIABOLO, *map(str, arguments)], capture_output=True, **options)
    error = result.stderr.decode(errors="replace")
    assert result.returncode == code, (arguments, result.returncode, error)
    if code not in (0, 141):
        lines = [line for line in error.splitlines() if line.startswith("diabolo: ")]
        assert len(lines) == 1 and error.endswith("\n"), error
    return result


def error_of(*arguments, code, **options):
    """The error line, without "diabolo: "."""
    lines = run(*arguments, code=code, **options).stderr.decode().splitlines()
    return [line for line in lines if line.startswith("diabolo: ")][0][len("diabolo: "):]


def json_of(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def rows(count, features=16, seed=1):
    """Correlated numbers, so that there is something to learn."""
    random = numpy.random.default_rng(seed)
    mixed = random.normal(size=(count, 3)) @ random.normal(size=(3, features))
    return (mixed + 0.1 * random.normal(size=mixed.shape)).astype(numpy.float32)


def train(data, run_directory, *arguments, **options):
    return run("train", data, "-o", run_directory, *SMALL, *arguments, **options)


def prepared(folder):
    """Data, and a training of one epoch on them."""
    numpy.save(folder / "x.npy", rows(300))
    train(folder / "x.npy", folder / "run", "--epochs", "1")
    return folder / "x.npy", folder / "run"


def main(tests):
    """Runs every function test_* of a module, each in a folder of its own."""
    failed = 0
    for name, test in sorted(tests.items()):
        if not name.startswith("test_") or not callable(test):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(pathlib.Path(folder))
                print("passed", name)
            except Exception as error:  # noqa: BLE001: the next test still runs
                failed += 1
                print("FAILED", name, repr(error)[:2000])
    sys.exit(1 if failed else 0)
