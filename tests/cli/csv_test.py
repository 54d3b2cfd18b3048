"""Tables of text: columns with names from training to results."""
import csv
import gzip
import json

import numpy

from command import error_of, json_of, main, rows, run, train

COUNT = 300


def write(path, numbers, labels=None, separator=",", end="\n"):
    """Numbers as they are behind an id, and before labels and a comment where there are any."""
    names = ["name"] + [f"x{i}" for i in range(numbers.shape[1])]
    lines = [names + (["kind", "note"] if labels is not None else [])]
    for i, row in enumerate(numbers):
        lines.append([f'"id {i}{separator} ""q"""'] + [repr(float(v)) for v in row])
        if labels is not None:
            lines[-1] += [str(labels[i]), "some text"]
    path.write_text(end.join(separator.join(line) for line in lines) + end)
    return path


def read(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def prepared(folder):
    numbers = rows(COUNT).astype(float)
    labels = [int(i % 10 == 0) * 7 for i in range(COUNT)]
    table = write(folder / "t.csv", numbers, labels)
    numpy.save(folder / "t.npy", numbers)
    numpy.save(folder / "labels.npy", numpy.array(labels, numpy.uint8))
    train(table, folder / "run", "--epochs", "2", "--id-column", "name", "--label-column", "kind",
          "--drop-columns", "note")
    return table, folder / "run"


def test_a_table_is_what_its_numbers_are(folder):
    table, model = prepared(folder)
    train(folder / "t.npy", folder / "other", "--epochs", "2")
    run("encode", model, table, "-o", folder / "a.npy")
    run("encode", folder / "other", folder / "t.npy", "-o", folder / "b.npy")
    assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes()
    ours, theirs = (json_of("evaluate", model, table), json_of(
        "evaluate", folder / "other", folder / "t.npy", "--labels", folder / "labels.npy"))
    assert ours["anomaly"] == theirs["anomaly"] and ours["pca"] == theirs["pca"]


def test_ids_go_through(folder):
    table, model = prepared(folder)
    run("encode", model, table, "-o", folder / "codes.npy")
    codes = numpy.load(folder / "codes.npy")
    for command, width in (("encode", 3), ("score", 1), ("reconstruct", 16)):
        run(command, model, table, "-o", folder / "out.csv")
        lines = read(folder / "out.csv")
        assert len(lines) == COUNT + 1 and {len(line) for line in lines} == {width + 1}
        assert lines[0][0] == "name"
        assert [line[0] for line in lines[1:]] == [f'id {i}, "q"' for i in range(COUNT)]
        if command == "encode":
            found = numpy.array([line[1:] for line in lines[1:]], numpy.float32)
            assert (found == codes).all()
            (folder / "codes.csv").write_bytes((folder / "out.csv").read_bytes())
    # A table of codes goes back, with its ids.
    run("decode", model, folder / "codes.csv", "-o", folder / "from_csv.csv")
    run("decode", model, folder / "codes.npy", "-o", folder / "from_npy.csv")
    from_csv, from_npy = read(folder / "from_csv.csv"), read(folder / "from_npy.csv")
    assert [line[1:] for line in from_csv] == from_npy and from_csv[5][0] == 'id 4, "q"'
    said = run("score", model, table, "-o", folder / "s.npy").stderr.decode()
    assert "no room for the ids" in said, said


def test_ids_and_numbers_of_rows_stay_with_them(folder):
    _, model = prepared(folder)
    lines = write(folder / "u.csv", rows(COUNT).astype(float)).read_text().splitlines()
    for row in (0, 17, 299):
        cells = lines[row + 1].split(",")
        lines[row + 1] = ",".join(cells[:-1] + [""])
    (folder / "u.csv").write_text("\n".join(lines))
    run("encode", model, folder / "u.csv", "-o", folder / "out.csv", "--on-bad-value", "skip")
    kept = [i for i in range(COUNT) if i not in (0, 17, 299)]
    found = read(folder / "out.csv")
    assert found[0][:2] == ["name", "row"]
    assert [(line[0], line[1]) for line in found[1:]] == [(f'id {i}, "q"', str(i)) for i in kept]
    error = error_of("encode", model, folder / "u.csv", "-o", folder / "o.csv", code=3)
    assert "u.csv: row 0 (line 2), column 'x15' is NaN" in error, error
    error = error_of("train", folder / "u.csv", "-o", folder / "n", "--id-column", "0", code=3)
    assert "u.csv: row 0 (line 2), column 'x15' is NaN" in error, error


def test_every_way_in_gives_the_same(folder):
    table, model = prepared(folder)
    run("encode", model, table, "-o", folder / "a.csv")
    expected = read(folder / "a.csv")
    numbers = numpy.load(folder / "t.npy")
    for name, separator, end in (("t.tsv", "\t", "\n"), ("semi.csv", ";", "\r\n")):
        write(folder / name, numbers, separator=separator, end=end)
        run("encode", model, folder / name, "-o", folder / "b.csv")
        found = read(folder / "b.csv")
        assert [line[1:] for line in found] == [line[1:] for line in expected], name
        assert found[3][0] == f'id 2{separator} "q"', found[3]
    (folder / "z.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    run("encode", model, folder / "z.csv.gz", "-o", folder / "b.csv")
    assert read(folder / "b.csv") == expected
    piped = run("encode", model, "-", "--format", "csv", "-o", "-", "--output-format", "csv",
                input=table.read_bytes()).stdout
    assert piped == (folder / "a.csv").read_bytes()


def test_what_is_not_there_or_no_number_is_named(folder):
    table, model = prepared(folder)
    error = error_of("train", table, "-o", folder / "n", code=3)
    assert "row 0 (line 2), column 'name': 'id 0, \"q\"' is no number" in error, error
    error = error_of("train", table, "-o", folder / "n2", "--label-column", "kin", code=2)
    assert "has no column 'kin'" in error and "'name', 'x0'" in error, error
    error = error_of("encode", model, folder / "t.npy", "-o", folder / "o.npy", "--id-column", "0",
                     code=2)
    assert "leave those options out" in error, error
    (folder / "ragged.csv").write_text(table.read_text() + "1,2\n")
    error = error_of("encode", model, folder / "ragged.csv", "-o", folder / "o.npy", code=3)
    assert "row 300 (line 302): has 2 cells, the first line has 19" in error, error


def test_columns_in_another_order_are_refused(folder):
    table, model = prepared(folder)
    lines = [line.split(",x") for line in table.read_text().splitlines()[:1]]
    header = lines[0][0] + ",x" + ",x".join([lines[0][2], lines[0][1], *lines[0][3:]])
    text = table.read_text()
    (folder / "other.csv").write_text(header + text[text.index("\n"):])
    for command in ("encode", "evaluate"):
        options = ["-o", folder / "o.npy"] if command == "encode" else []
        error = error_of(command, model, folder / "other.csv", *options, code=3)
        assert "feature 0 is column 'x1', in training it was 'x0'" in error, error
    assert json_of("inspect", model)["feature_names"] == [f"x{i}" for i in range(16)]
    (folder / "named.csv").write_text(text.replace("x3", "speed"))
    said = run("encode", model, folder / "named.csv", "-o", folder / "o.npy").stderr.decode()
    assert "warning: " in said and "column 'speed'" in said, said


def test_rows_for_pca_have_the_same_order(folder):
    table, model = prepared(folder)
    text = table.read_text()
    (folder / "other.csv").write_text(text.replace("x0,x1,", "x1,x0,", 1))
    error = error_of("evaluate", model, table, "--pca-from", folder / "other.csv", code=3)
    assert "other.csv: feature 0 is column 'x1'" in error, error


def test_an_option_goes_before_what_was_trained_with(folder):
    table, model = prepared(folder)
    table.write_text(table.read_text().replace("some text", "7").replace(",7\n", ",0\n", 200))
    kept = json_of("evaluate", model, table)
    other = json_of("evaluate", model, table, "--label-column", "note", "--drop-columns", "kind")
    assert kept["reconstruction"] == other["reconstruction"]
    assert kept["anomaly"] != other["anomaly"]
    assert "anomaly" in json_of("evaluate", model, table, "--label-column", "note",
                                "--drop-columns", "kind,name", "--id-column", "none")


def test_codes_have_no_labels(folder):
    table, _ = prepared(folder)
    train(table, folder / "m", "--epochs", "2", "--id-column", "name", "--label-column", "17",
          "--drop-columns", "18,1")
    run("encode", folder / "m", table, "-o", folder / "c.csv")
    run("decode", folder / "m", folder / "c.csv", "-o", folder / "d.csv")
    lines = (folder / "c.csv").read_text().splitlines()
    assert len(read(folder / "d.csv")) == COUNT + 1 == len(lines)


def test_a_validation_file_needs_no_ids(folder):
    table, _ = prepared(folder)
    numbers = rows(60).astype(float)
    numpy.save(folder / "v.npy", numbers)
    names = ",".join(f"x{i}" for i in range(16))
    lines = [",".join(repr(float(v)) for v in row) for row in numbers]
    (folder / "v.csv").write_text("\n".join([names, *lines]) + "\n")
    losses = []
    for name in ("v.npy", "v.csv"):
        train(table, folder / name[2:], "--epochs", "2", "--id-column", "name", "--label-column",
              "kind", "--drop-columns", "note", "--validation", folder / name, "--header", "yes",
              "--separator", "comma", "--dtype", "f64")
        metrics = (folder / name[2:] / "metrics.jsonl").read_text().splitlines()
        losses.append(json.loads(metrics[-1])["validation_loss"])
    assert losses[0] == losses[1], losses


def test_a_table_is_read_as_the_training_read_it(folder):
    """Numbers for names, another separator, numbers of columns: none is asked for again."""
    numbers = numpy.round(rows(COUNT) * 30 + 100).clip(0, 255).astype(int)
    names = ["7,5"] + [str(10 * i + 1) for i in range(16)]  # of a header that looks like data
    lines = [names] + [[f"{i},5", *map(str, row)] for i, row in enumerate(numbers)]
    (folder / "t.csv").write_text("\n".join(";".join(line) for line in lines) + "\n")
    train(folder / "t.csv", folder / "m", "--epochs", "1", "--header", "yes", "--separator",
          "semicolon", "--dtype", "u8", "--id-column", "0")
    said = run("encode", folder / "m", folder / "t.csv", "-o", folder / "a.csv").stderr.decode()
    assert ("as in training: separator semicolon, header yes, id column '7,5', numbers u8"
            in said), said
    assert len(read(folder / "a.csv")) == COUNT + 1
    other = [line[1:3] + line[:1] + line[3:] for line in lines]  # the id in another place
    (folder / "u.csv").write_text("\n".join(";".join(line) for line in other) + "\n")
    run("encode", folder / "m", folder / "u.csv", "-o", folder / "b.csv")
    assert read(folder / "b.csv") == read(folder / "a.csv")


def test_columns_by_number_are_kept_by_name(folder):
    table, model = prepared(folder)
    train(table, folder / "m", "--epochs", "2", "--id-column", "0", "--label-column", "17",
          "--drop-columns", "18")
    assert 'id_column = "name"' in (folder / "m" / "config.toml").read_text()
    moved = [[line[-1]] + line[:-1] for line in read(table)]
    (folder / "u.csv").write_text("\n".join(",".join(f'"{c.replace(chr(34), chr(34) * 2)}"'
                                                    for c in line) for line in moved))
    for name, of in (("a.csv", table), ("b.csv", folder / "u.csv")):
        run("encode", folder / "m", of, "-o", folder / name)
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_names_and_numbers_stay_what_they_were(folder):
    """Digits that are names, and numbers of a table without any."""
    numbers = rows(60, features=5).astype(float)

    def table(name, names, columns):
        lines = [names] if names else []
        lines += [[repr(float(v)) for v in row] for row in columns]
        (folder / name).write_text("\n".join(",".join(line) for line in lines) + "\n")
        return folder / name

    both = numpy.hstack([numpy.arange(60)[:, None], numbers])
    named = table("named.csv", ["id", "0", "1", "2", "3", "4"], both)
    plain = table("plain.csv", None, both)
    train(named, folder / "m", "--epochs", "1", "--header", "yes", "--drop-columns", "1")
    assert 'drop_columns = "name:1"' in (folder / "m" / "config.toml").read_text()
    run("train", "--resume", "-o", folder / "m", "--epochs", "2")
    error = error_of("score", folder / "m", plain, "-o", folder / "o.csv", code=2)
    assert "plain.csv: the first line is numbers" in error, error
    error = error_of("score", folder / "m", plain, "-o", folder / "o.csv", "--header", "no", code=3)
    assert "column '1' of the training (left out) is known by name" in error, error
    outputs = []
    for at, of, options in ((0, named, []), (1, plain, ["--header", "no", "--drop-columns", "2"])):
        run("score", folder / "m", of, "-o", folder / f"{at}.csv", *options)
        outputs.append((folder / f"{at}.csv").read_bytes())
    assert outputs[0] == outputs[1]
    # A number of a table without names is that column, whatever the others are called.
    train(plain, folder / "n", "--epochs", "1", "--label-column", "0")
    moved = table("moved.csv", ["y", "0", "1", "2", "3", "4"], both)
    for name, of, options in (("a.csv", plain, []), ("b.csv", moved, ["--header", "yes"])):
        run("score", folder / "n", of, "-o", folder / name, *options)
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_codes_go_back_as_they_are(folder):
    """With the ids that encode was asked for, and with the numbers of the rows."""
    table, model = prepared(folder)
    lines = read(table)
    lines[5][1] = ""
    with open(folder / "gap.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    train(table, folder / "m", "--epochs", "1", "--drop-columns", "name,kind,note")
    run("encode", folder / "m", folder / "gap.csv", "-o", folder / "c.csv", "--on-bad-value",
        "skip", "--id-column", "name", "--drop-columns", "kind,note")
    assert read(folder / "c.csv")[0] == ["name", "row", "x0", "x1", "x2"]
    run("decode", folder / "m", folder / "c.csv", "-o", folder / "d.csv")
    assert len(read(folder / "d.csv")) == COUNT and read(folder / "d.csv")[5][0] == 'id 5, "q"'
    swapped = [[line[0], line[1], line[3], line[2], line[4]] for line in read(folder / "c.csv")]
    with open(folder / "s.csv", "w", newline="") as file:
        csv.writer(file).writerows(swapped)
    error = error_of("decode", folder / "m", folder / "s.csv", "-o", folder / "e.csv", code=3)
    assert "are in another order" in error, error


def test_rows_keep_their_numbers(folder):
    """Those that they were left with when others went, through every command and back."""
    table, _ = prepared(folder)
    lines = read(table)
    lines[4][3] = ""
    with open(folder / "gap.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    train(table, folder / "m", "--epochs", "1", "--id-column", "name", "--drop-columns",
          "kind,note")
    expected = [str(i) for i in range(COUNT) if i != 3]
    skip = ["--on-bad-value", "skip"]
    run("encode", folder / "m", folder / "gap.csv", "-o", folder / "c.csv", *skip)
    run("reconstruct", folder / "m", folder / "gap.csv", "-o", folder / "r.csv", *skip)
    for command, of, options in (("decode", "c.csv", []), ("decode", "c.csv", skip),
                                 ("score", "r.csv", []), ("encode", "r.csv", skip)):
        run(command, folder / "m", folder / of, "-o", folder / "o.csv", *options)
        found = read(folder / "o.csv")
        assert found[0][:2] == ["name", "row"], (command, found[0])
        assert [line[1] for line in found[1:]] == expected, command
        assert found[4][0] == 'id 4, "q"', found[4]
    assert read(folder / "r.csv")[0] == ["name", "row"] + [f"x{i}" for i in range(16)]
    run("decode", folder / "m", folder / "c.csv", "-o", folder / "d.npy", *skip)
    assert numpy.load(folder / "d.npy.rows.npy").tolist() == [int(i) for i in expected]
    coded = read(folder / "c.csv")
    coded[9][3] = "nan"
    with open(folder / "hole.csv", "w", newline="") as file:
        csv.writer(file).writerows(coded)
    run("decode", folder / "m", folder / "hole.csv", "-o", folder / "h.npy", *skip)
    left = [int(i) for i in expected if i != coded[9][1]]
    assert numpy.load(folder / "h.npy.rows.npy").tolist() == left
    assert (folder / "h.npy.rows.npy").stat().st_size == 128 + 8 * len(left), "numbers too many"
    said = run("decode", folder / "m", folder / "c.csv", "-o", folder / "d.npy").stderr.decode()
    assert "d.npy: has no room for the numbers of the rows" in said, said
    (folder / "bad.csv").write_text((folder / "c.csv").read_text().replace(",4,", ",four,", 1))
    error = error_of("decode", folder / "m", folder / "bad.csv", "-o", folder / "o.csv", code=3)
    assert "column 'row': 'four' is no number of a row" in error, error


def test_results_are_called_as_the_table_was(folder):
    names = ["x0", "a,b", "7", "speed"]
    numbers = rows(60, features=3).astype(float)
    with open(folder / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([names] + [[f"n{i}", *row] for i, row in enumerate(numbers)])
    train(folder / "t.csv", folder / "m", "--epochs", "1", "--header", "yes", "--id-column", "x0")
    run("reconstruct", folder / "m", folder / "t.csv", "-o", folder / "r.csv")
    assert read(folder / "r.csv")[0] == names
    said = run("score", folder / "m", folder / "r.csv", "-o", folder / "s.csv").stderr.decode()
    assert "warning" not in said, said
    run("encode", folder / "m", folder / "t.csv", "-o", folder / "c.csv")
    assert read(folder / "c.csv")[0] == ["x0_", "x0", "x1", "x2"]
    run("decode", folder / "m", folder / "c.csv", "-o", folder / "d.csv")
    assert [line[0] for line in read(folder / "d.csv")[1:]] == [f"n{i}" for i in range(60)]


def test_ids_and_features_may_be_called_row(folder):
    for names, header in ((["row", "a", "b"], ["row", "row_"]),
                          (["id", "row", "b"], ["id", "row_"])):
        with open(folder / "t.csv", "w", newline="") as file:
            cells = [[f"n{i}", f"0.{i}1", f"0.{99 - i}2"] for i in range(40)]
            cells[7][2] = ""
            csv.writer(file).writerows([names] + cells)
        skip = ["--on-bad-value", "skip"]
        train(folder / "t.csv", folder / names[0], "--epochs", "1", "--id-column", names[0], *skip)
        run("reconstruct", folder / names[0], folder / "t.csv", "-o", folder / "r.csv", *skip)
        assert read(folder / "r.csv")[0] == header + names[1:]
        run("encode", folder / names[0], folder / "r.csv", "-o", folder / "c.csv", *skip)
        run("decode", folder / names[0], folder / "c.csv", "-o", folder / "d.csv", *skip)
        found = read(folder / "d.csv")
        assert found[0] == header + names[1:]
        assert [line[:2] for line in found[7:10]] == [["n6", "6"], ["n8", "8"], ["n9", "9"]]


def test_one_known_column_in_another_place_is_enough(folder):
    table, model = prepared(folder)
    text = table.read_text().replace("x0,x1,x2", "x1,speed,x2", 1)
    (folder / "u.csv").write_text(text)
    error = error_of("encode", model, folder / "u.csv", "-o", folder / "o.npy", code=3)
    assert "feature 0 is column 'x1', in training it was 'x0'" in error, error


def test_what_the_first_line_is_is_said(folder):
    table, model = prepared(folder)
    said = run("encode", model, table, "-o", folder / "o.npy").stderr.decode()
    assert "t.csv: first line: names" in said, said
    assert json_of("inspect", table, "--id-column", "name")["first_line"] == "names"
    (folder / "n.csv").write_text("1,2\n3,4\n")
    assert "first line" in run("inspect", folder / "n.csv").stdout.decode()
    assert json_of("inspect", folder / "n.csv")["first_line"] == "data"


def test_names_that_are_not_kept_are_said(folder):
    numbers = rows(50).astype(float)
    write(folder / "u.csv", numbers)
    text = (folder / "u.csv").read_bytes().replace(b"x3", b"\xff", 1)
    (folder / "u.csv").write_bytes(text)
    said = train(folder / "u.csv", folder / "u", "--epochs", "1", "--id-column", "name")
    assert "column names are not kept" in said.stderr.decode(), said.stderr


def test_labels_are_checked_when_training(folder):
    table, _ = prepared(folder)
    options = ["--id-column", "name", "--drop-columns", "note", "--label-column", "kind"]
    error = error_of("train", table, "-o", folder / "a", *options, "--labels",
                     folder / "labels.npy", code=2)
    assert "data.labels or data.label_column" in error, error
    head, rest = table.read_text().split("\n", 1)
    (folder / "u.csv").write_text(head + "\n" + rest.replace(",7,", ",ill,"))
    error = error_of("train", folder / "u.csv", "-o", folder / "b", *options, code=3)
    assert "row 0 (line 2), column 'kind': 'ill' is no" in error, error
    (folder / "u.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    error = error_of("train", folder / "u.csv.gz", "-o", folder / "c", *options, code=3)
    assert "is compressed" in error and "unpack it first" in error, error


def test_how_labels_are_read_is_said(folder):
    table, model = prepared(folder)
    (folder / "kind.csv").write_text("kind\n" + "0\n" * (COUNT - 1) + "1\n")
    labels = ["--labels", folder / "kind.csv"]
    numpy.save(folder / "x.npy", rows(COUNT).astype(float))
    for said in (train(folder / "x.npy", folder / "l", "--epochs", "1", *labels),
                 run("evaluate", model, folder / "x.npy", *labels)):
        assert "kind.csv: first line: names" in said.stderr.decode(), said.stderr


def test_labels_of_one_kind_are_said(folder):
    _, model = prepared(folder)
    write(folder / "ordinary.csv", rows(50).astype(float), [0] * 50)
    result = run("evaluate", model, folder / "ordinary.csv", "--json")
    assert "anomaly" not in json.loads(result.stdout)
    assert "no anomalous row" in result.stderr.decode(), result.stderr


if __name__ == "__main__":
    main(globals())
