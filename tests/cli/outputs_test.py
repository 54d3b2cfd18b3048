"""What an output is, and what it never replaces: what is read, and what somebody else made."""
import os

import numpy

from command import SMALL, error_of, json_of, main, prepared, rows, run, train


def test_an_output_replaces_neither_input_nor_model(folder):
    data, model = prepared(folder)
    weights = model / "model.safetensors"
    (folder / "link.npy").symlink_to(data)
    (folder / "y.npy.partial").write_bytes(data.read_bytes())
    before = {path: path.read_bytes() for path in (data, weights, folder / "y.npy.partial")}
    for source, output in ((data, data), (data, folder / "link.npy"), (data, weights),
                           (folder / "y.npy.partial", folder / "y.npy")):
        for more in ([], ["--dry-run"]):
            assert "another output" in error_of("encode", model, source, "-o", output, *more,
                                                code=2)
    assert {path: path.read_bytes() for path in before} == before
    assert "nowhere: cannot use the folder" in error_of(
        "encode", model, data, "-o", folder / "nowhere" / "c.npy", code=5)


def test_a_list_of_rows_replaces_nothing_but_such_a_list(folder):
    data, model = prepared(folder)
    bad = rows(300)
    bad[7, 3] = numpy.nan
    numpy.save(folder / "bad.npy", bad)
    output, place = folder / "s.npy", folder / "s.npy.rows.npy"
    weights = (model / "model.safetensors").read_bytes()
    kept = [(["--on-bad-value", policy], part) for policy in ("zero", "skip")
            for part in ("", ".partial")]
    for more, part in kept:  # the model, the input, somebody's array
        side = folder / (place.name + part)
        for content, given in ((weights, [side, folder / "bad.npy"]),
                               (data.read_bytes(), [model, side])):
            side.write_bytes(content)
            error = error_of("score", *given, "-o", output, *more, code=2)
            assert side.read_bytes() == content
            assert side.name in error and "choose another output" in error, error
        for array in (numpy.arange(5.), numpy.array([3, 1], numpy.uint64),
                      numpy.zeros((2, 2), numpy.uint64)):
            if part and array.dtype == numpy.uint64 and array.ndim == 1:
                continue  # of a list under way only the header is known
            numpy.save(open(side, "wb"), array)
            before = side.read_bytes()
            error = error_of("score", model, folder / "bad.npy", "-o", output, *more, code=2)
            assert side.name in error and "not a list of rows" in error, error
            assert side.read_bytes() == before and not output.exists()
        side.unlink()
        side.mkdir()
        error = error_of("score", model, folder / "bad.npy", "-o", output, *more, code=2)
        assert side.name in error and not output.exists(), error
        side.rmdir()
    for name in ("one.npy", "one.csv", "one.raw"):
        run("score", model, folder / "bad.npy", "-o", folder / "one.npy", "--on-bad-value", "skip")
        numpy.save(open(folder / f"{name}.rows.npy", "wb"), numpy.arange(5, dtype=numpy.uint64))
        run("score", model, data, "-o", folder / name)
        assert not (folder / f"{name}.rows.npy").exists()


def as_bf16(numbers):
    return (numpy.asarray(numbers, numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16)


def test_raw_files_are_read_as_they_were_written(folder):
    """Each type of training, and of codes, in the model and on the command line: there and back."""
    numbers = rows(60)
    for rows_are, codes_are, asked in (("f32", "f32", "f16"), ("f16", "f16", "f32"),
                                       ("bf16", "bf16", None), ("f64", "f16", "bf16")):
        made = {"f32": numpy.float32, "f16": numpy.float16, "f64": numpy.float64}.get(rows_are)
        source, model = folder / f"{rows_are}.raw", folder / f"m{rows_are}"
        source.write_bytes((numbers.astype(made) if made else as_bf16(numbers)).tobytes())
        train(source, model, "--epochs", "1", "--dtype", rows_are, "--shape", "16", "--set",
              f"output.code_dtype={codes_are}")
        run("encode", model, source, "-o", folder / "c.npy", "--code-dtype", "f32")
        run("decode", model, folder / "c.npy", "-o", folder / "d.npy")
        rebuilt = numpy.load(folder / "d.npy")
        loss = {"f16": 0.01, "bf16": 0.05}

        def is_near(path, of=rebuilt, tolerance=loss.get(codes_are, 1e-5)):
            found = numpy.load(path)
            assert found.shape == of.shape and numpy.abs(found - of).max() < tolerance, rows_are

        run("encode", model, source, "-o", folder / "c.raw")
        said = run("decode", model, folder / "c.raw", "-o", folder / "b.npy").stderr.decode()
        assert f"c.raw: raw rows, taken for {codes_are}[3]" in said, said
        is_near(folder / "b.npy")
        if asked:
            said = run("encode", model, source, "-o", folder / "c.raw", "--code-dtype", asked)
            assert f"are taken for {codes_are} unless --dtype {asked} says" in str(said.stderr)
            run("decode", model, folder / "c.raw", "-o", folder / "b.npy", "--dtype", asked)
            is_near(folder / "b.npy", tolerance=loss.get(asked, 1e-5))
        run("reconstruct", model, source, "-o", folder / "r.npy")
        run("score", model, folder / "r.npy", "-o", folder / "s.npy")
        scores = numpy.load(folder / "s.npy")
        for command, of in (("reconstruct", source), ("decode", folder / "c.npy")):
            run(command, model, of, "-o", folder / "r.RAW")
            run("score", model, folder / "r.RAW", "-o", folder / "t.npy")
            is_near(folder / "t.npy", scores, loss.get(rows_are, 1e-5))
            mse = json_of("evaluate", model, folder / "r.RAW")["reconstruction"]["mse"]
            assert abs(mse - scores.mean()) < loss.get(rows_are, 1e-5), (command, mse)


def test_raw_rows_of_integers_need_a_type(folder):
    numpy.save(folder / "t.npy", (rows(60) * 20 + 100).clip(0, 255).astype(numpy.uint8))
    train(folder / "t.npy", folder / "m", "--epochs", "1")
    error = error_of("reconstruct", folder / "m", folder / "t.npy", "-o", folder / "r.raw", code=2)
    assert "r.raw: the model's rows are u8" in error and "--output-dtype f32" in error, error
    assert not (folder / "r.raw").exists()
    said = run("reconstruct", folder / "m", folder / "t.npy", "-o", folder / "r.raw",
               "--output-dtype", "f32").stderr.decode()
    assert "unless --dtype f32 says otherwise" in said, said
    run("score", folder / "m", folder / "r.raw", "-o", folder / "s.npy", "--dtype", "f32")
    assert numpy.load(folder / "s.npy").shape == (60,)


def test_outputs_are_what_their_names_say(folder):
    data, model = prepared(folder)
    run("encode", model, data, "-o", folder / "o.csv")
    text = (folder / "o.csv").read_text()
    for name, of in (("o.CSV", text), ("o.tsv", text.replace(",", "\t"))):
        run("encode", model, data, "-o", folder / name)
        assert (folder / name).read_text() == of, name
        run("decode", model, folder / name, "-o", folder / "back.NPY")
        assert numpy.load(folder / "back.NPY").shape[1] == 16
    for name in ("o.csv.gz", "o.txt"):
        error = error_of("encode", model, data, "-o", folder / name, code=2)
        assert "is no format of outputs" in error and not (folder / name).exists(), error
    run("encode", model, data, "-o", folder / "o.txt", "--output-format", "tsv")
    # What the model says of codes is of files that have such a type.
    train(data, folder / "half", "--epochs", "1", "--set", "output.code_dtype=bf16")
    run("encode", folder / "half", data, "-o", folder / "half.csv")


def test_no_output_replaces_a_file_of_the_run_that_holds_the_model(folder):
    data, model = prepared(folder)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    assert len(before) == 4
    for name in before:
        for given in (model, model / "model.safetensors"):
            error = error_of("score", given, data, "-o", model / name, code=2)
            assert name in error and "choose another output" in error, error
    run("score", model, data, "-o", model / "scores.npy")
    (model / "scores.npy").unlink()
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_training_replaces_nothing_that_it_reads(folder):
    data, model = prepared(folder)
    numpy.save(folder / "labels.npy", numpy.arange(300) % 9 == 0)
    for name, source, options in (
            ("metrics.jsonl", data, lambda path: [path]),
            ("checkpoint.safetensors", data, lambda path: [data, "--validation", path]),
            ("metrics.jsonl", folder / "labels.npy", lambda path: [data, "--labels", path]),
            ("config.toml", model / "config.toml", lambda path: [data, "--config", path])):
        content = source.read_bytes()
        (model / name).write_bytes(content)
        os.link(model / name, folder / "link.npy")
        for path in (model / name, folder / "link.npy"):
            error = error_of("train", *options(path), "-o", model, *SMALL, "--overwrite", code=2)
            assert path.name in error and "is the input itself" in error, error
        assert (model / name).read_bytes() == content
        (folder / "link.npy").unlink()
    mine = folder / "mine"
    mine.mkdir()
    (mine / "config.toml").write_text("# mine")
    (mine / "model.safetensors").write_bytes(b"weights of another program")
    error = error_of("train", data, "-o", mine, *SMALL, "--overwrite", code=2)
    assert "no training wrote this folder" in error, error
    assert (mine / "config.toml").read_text() == "# mine"
    assert len(list(mine.iterdir())) == 2
    (mine / "config.toml").unlink(), (mine / "model.safetensors").unlink()
    (mine / "notes").write_text("stay")
    train(data, mine, "--overwrite", "--epochs", "1")
    assert (mine / "notes").read_text() == "stay"


if __name__ == "__main__":
    main(globals())
