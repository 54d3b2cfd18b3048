"""What diabolo 0.1 wrote opens, goes on and gives the same numbers: tests/fixtures/0.1."""
import json
import pathlib
import shutil

import numpy

from command import SMALL, json_of, main, run

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "0.1"
TRAINING = ["--validation", "held.npy", "--set", "model.penalty.l2=1e-5", "--epochs", "300",
            "--set", "train.checkpoint_seconds=0.001", *SMALL]


def copied(folder):
    shutil.copytree(FIXTURES, folder, dirs_exist_ok=True)
    return folder


def tensors_of(path):
    """The tensors of a model file by name, as bytes: its metadata may grow."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    begin = 8 + length
    return {name: data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]
            for name, entry in header.items()}


def is_same(one, other):
    """Whether two model files hold the same bits, as far as the older has them."""
    old, new = tensors_of(one), tensors_of(other)
    return all(new.get(name) == values for name, values in old.items())


def last_losses(run_directory):
    line = json.loads((run_directory / "metrics.jsonl").read_text().splitlines()[-1])
    return line["epoch"], line["loss"], line["validation_loss"]


def test_models_open_and_give_the_same_numbers(folder):
    copied(folder)
    for verb, expected in (("encode", "codes.npy"), ("score", "scores.npy")):
        run(verb, folder / "images", folder / "images-idx3-ubyte", "-o", folder / "out.npy",
            "--device", "cpu")
        found, wanted = numpy.load(folder / "out.npy"), numpy.load(folder / expected)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, (found.shape, verb)
        # Another instruction set adds up in another order.
        assert numpy.abs(found - wanted).max() <= 1e-5 * numpy.abs(wanted).max(), verb
    inspected = json_of("inspect", folder / "images")
    assert abs(inspected["threshold"] - 0.0537138) < 1e-6, inspected


def test_an_interrupted_training_goes_on_to_the_same_model(folder):
    copied(folder)
    epochs = len((folder / "run" / "metrics.jsonl").read_text().splitlines())
    assert epochs == 24, epochs  # one more line than the checkpoint counts
    run("train", "--resume", "-o", "run", cwd=folder)
    run("train", "rows.npy", "-o", "fresh", *TRAINING, cwd=folder)
    computes_as_then = is_same(FIXTURES / "whole/model.safetensors",
                               folder / "fresh/model.safetensors")
    print("this machine computes", "as" if computes_as_then else "otherwise than", "the first one")
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    if computes_as_then:
        assert is_same(FIXTURES / "whole/model.safetensors", folder / "run/model.safetensors")
        assert last_losses(folder / "run") == last_losses(folder / "fresh")
    else:
        # Two hundred epochs in other bits: the same training, not the same numbers.
        _, loss, held = last_losses(folder / "run")
        _, wanted, wanted_held = last_losses(folder / "fresh")
        assert abs(loss - wanted) < 0.1 * wanted and abs(held - wanted_held) < 0.1 * wanted_held


def test_an_interrupted_training_goes_on_with_other_threads(folder):
    """Their number was part of what identifies a training; it no longer is."""
    copied(folder)
    run("train", "--resume", "-o", "run", "--threads", "3", cwd=folder)
    assert last_losses(folder / "run")[0] > 24


def test_a_changed_weight_is_seen(folder):
    """The comparison above can fail."""
    copied(folder)
    path = folder / "whole/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert not is_same(FIXTURES / "whole/model.safetensors", path)


if __name__ == "__main__":
    main(globals())
