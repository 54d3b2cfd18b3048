"""Two writers of one folder or file: one of them works as if it were alone, the other ends with 8.

Also: a start that finds the disk full leaves nothing in the way of the next.
"""
import json
import shutil
import subprocess
import time

import numpy

from command import DIABOLO, SMALL, error_of, main, rows, run, train

LONG = ["--epochs", "1000000"]


def start(*arguments):
    return subprocess.Popen([DIABOLO, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def ended(process):
    """Status and error lines."""
    error = process.communicate(timeout=120)[1].decode()
    return process.returncode, [line for line in error.splitlines() if line.startswith("diabolo: ")]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_refused_training_leaves_the_one_that_runs_alone(folder):
    data, target = folder / "x.npy", folder / "run"
    numpy.save(data, rows(300))
    first = start("train", data, "-o", target, *SMALL, *LONG)
    wait_for((target / "config.toml").exists)
    config = (target / "config.toml").read_bytes()
    for mode in ([], ["--resume"], ["--overwrite"],
                 ["--overwrite", "--set", "model.encoder.hidden=[5]"]):
        error = error_of("train", data, "-o", target, *SMALL, *mode, code=8)
        assert f"process {first.pid}" in error and str(target) in error, error
        assert (target / "config.toml").read_bytes() == config, mode
    assert first.poll() is None
    first.terminate()
    assert ended(first)[0] == 143
    lines = (target / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["epoch"] for line in lines]
    assert epochs == list(range(1, len(epochs) + 1))
    train(data, target, "--resume", "--epochs", len(epochs) + 2)
    assert not (target / ".diabolo-lock").exists()


def test_of_two_that_start_together_one_trains(folder):
    data = folder / "x.npy"
    numpy.save(data, rows(2000))
    epochs = ["--epochs", "30"]
    train(data, folder / "alone", *epochs)
    wanted = (folder / "alone" / "model.safetensors").read_bytes()
    refused = 0
    for turn, apart_s in enumerate((0, 0, 0.003, 0.01, 0.03, 0.1, 0.5)):
        target = folder / f"run{turn}"
        command = ["train", data, "-o", target, *SMALL, *epochs]
        first = start(*command)
        time.sleep(apart_s)
        second = start(*command)
        ends = sorted((ended(first), ended(second)))
        # The second may come when the first has ended; then the folder is simply not empty.
        assert ends[0][0] == 0 and ends[1][0] in (2, 8) and len(ends[1][1]) == 1, ends
        refused += ends[1][0] == 8
        assert (target / "model.safetensors").read_bytes() == wanted, apart_s
        assert len((target / "metrics.jsonl").read_text().splitlines()) == 30
        assert sorted(path.name for path in target.iterdir()) == [
            "checkpoint.safetensors", "config.toml", "metrics.jsonl", "model.safetensors"]
    assert refused >= 2, refused


def test_two_that_continue_or_overwrite_together_exclude_each_other(folder):
    data = folder / "x.npy"
    numpy.save(data, rows(2000))
    train(data, folder / "before", "--epochs", "2")
    train(data, folder / "alone", "--epochs", "30")
    wanted = (folder / "alone" / "model.safetensors").read_bytes()
    for mode in ("--resume", "--overwrite"):
        target = folder / mode
        shutil.copytree(folder / "before", target)
        command = ["train", data, "-o", target, *SMALL, "--epochs", "30", mode]
        ends = sorted(map(ended, [start(*command), start(*command)]))
        assert ends[0][0] == 0 and ends[1][0] in (0, 8), ends
        assert (target / "model.safetensors").read_bytes() == wanted
        assert len((target / "metrics.jsonl").read_text().splitlines()) == 30


def test_two_encodings_into_one_file_exclude_each_other(folder):
    data, many = folder / "x.npy", folder / "many.npy"
    numpy.save(data, rows(300))
    numpy.save(many, rows(20000))
    train(data, folder / "model", "--epochs", "1")
    slow = ["--batch-size", "1", "--checkpoint-seconds", "0"]
    command = ["encode", folder / "model", many, "-o", folder / "codes.npy", *slow]
    first = start(*command)
    wait_for((folder / "codes.npy.partial").exists)
    for mode in ([], ["--resume"]):
        error = error_of(*command, *mode, code=8)
        assert f"process {first.pid}" in error and "codes.npy" in error, error
    first.terminate()
    assert ended(first)[0] == 143
    run(*command[:-4], "--resume")


def test_a_full_disk_leaves_nothing_in_the_way(folder):
    data, target = folder / "x.npy", folder / "run"
    numpy.save(data, rows(300))
    result = subprocess.run(
        ["bash", "-c", 'ulimit -f 4; trap "" XFSZ; exec "$@"', "-", DIABOLO, "train", data, "-o",
         target, *SMALL, "--epochs", "2", "--set", "model.encoder.hidden=[64]"],
        capture_output=True, timeout=60)
    assert result.returncode == 5, result
    assert not target.exists()
    train(data, target, "--epochs", "2")


if __name__ == "__main__":
    main(globals())
