"""kill -9 at random moments of train and encode: what is resumed ends with the same bits.

kill_test.py [KILLS [SEED]]: so many kills of each (2), at moments drawn from the seed (a fixed
one).
"""
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy

from command import DIABOLO, SMALL, rows, run, train


def killed(arguments, after_s):
    """Starts the command and kills it after a while; whether it had not ended by itself."""
    process = subprocess.Popen([DIABOLO, *map(str, arguments)], stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def kill_trainings(folder, kills):
    """Kills a training again and again, going on each time; then lets it end."""
    arguments = ["--epochs", "40", "--set", "train.checkpoint_seconds=0"]
    data = folder / "x.npy"
    numpy.save(data, rows(4000))
    whole_s = timed(lambda: train(data, folder / "whole", *arguments))
    done = 0
    for attempt in range(20 * kills):
        target = folder / f"killed{attempt}"
        command = ["train", data, "-o", target, *SMALL, *arguments]
        while done < kills:
            goes_on = (target / "checkpoint.safetensors").exists()
            mode = ["--resume"] if goes_on else ["--overwrite"]
            if not killed(command + mode, random.uniform(0.02, whole_s)):
                break
            done += 1
        goes_on = (target / "checkpoint.safetensors").exists()
        run(*command, "--resume" if goes_on else "--overwrite")
        for name in ("model.safetensors",):
            assert (target / name).read_bytes() == (folder / "whole" / name).read_bytes(), name
        if done >= kills:
            return done
    raise AssertionError("the training always ended before it could be killed")


def kill_encodes(folder, kills):
    data, model = folder / "many.npy", folder / "whole"
    numpy.save(data, rows(40000))
    options = ["--checkpoint-seconds", "0", "--batch-size", "64", "--threads", "1"]
    command = ["encode", model, data, *options, "-o"]
    whole_s = timed(lambda: run(*command, folder / "whole.npy"))
    wanted, done, resumed = (folder / "whole.npy").read_bytes(), 0, 0
    for attempt in range(20 * kills):
        target = folder / f"codes{attempt}.npy"
        if not killed(command + [target], random.uniform(0.02, whole_s)):
            continue
        if target.exists():  # killed on the way out: its name is given to whole outputs only
            assert target.read_bytes() == wanted, "a partial output under the final name"
            target.unlink()
            continue
        done += 1
        resumed += b"of them from before" in run(*command, target, "--resume").stderr
        assert target.read_bytes() == wanted
        assert sorted(path.name for path in folder.glob(f"codes{attempt}.*")) == [target.name]
        target.unlink()
        if done >= kills:
            assert resumed > 0 or kills < 4, "nothing was ever continued"
            return done
    raise AssertionError("the encoding always ended before it could be killed")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20261123
    random.seed(seed)
    print(f"kills: {count} of train, {count} of encode; seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        print("train:", kill_trainings(pathlib.Path(temporary), count), "kills, equal bits",
              flush=True)
        print("encode:", kill_encodes(pathlib.Path(temporary), count), "kills, equal bits")
