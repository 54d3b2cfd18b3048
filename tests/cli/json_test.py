"""Every command's --json against the tables of docs/json.md: one line, one object, on success and
on failure; no field that is not in a table, none missing, and none in a table that never comes."""
import json
import pathlib
import re
import signal
import subprocess
import time

import numpy

from command import DIABOLO, SMALL, main, rows, run

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "json.md"
TYPES = {"text": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict,
         "list of text": list}
FILE_VERBS = "encode, decode, reconstruct, score"


def tables():
    """{section: {field: (type, is it always there)}}"""
    sections = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        fields = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|", part, re.MULTILINE)
        sections[part.splitlines()[0]] = {name: (kind, there == "always")
                                          for name, kind, there in fields}
    return sections


TABLES = tables()
SEEN = set()  # (section, field)
ONLY_ELSEWHERE = {("inspect MODEL", "feature_names"), ("inspect MODEL", "metadata"),
                  ("inspect MODEL", "states[].name"), ("inspect MODEL", "states[].shape"),
                  ("devices", "devices[].architecture"), ("selftest", "error.code"),
                  ("selftest", "error.name"), ("selftest", "error.message")}


def check(section, found):
    """Holds an object to the table of a section; `every object` is part of all but failures."""
    table = TABLES[section]
    if section != "failure":
        table = {**TABLES["every object"], **table}

    def visit(value, prefix):
        assert isinstance(value, dict), (section, prefix, value)
        names = {name[len(prefix):] for name in table if name.startswith(prefix)}
        direct = {re.split(r"[.\[]", name)[0] for name in names}
        for key, inner in value.items():
            assert key in direct, f"{section}: {prefix}{key} is in no table"
            path = prefix + key
            if path in table:
                SEEN.add((section, path))
                kind = table[path][0]
                assert isinstance(inner, TYPES[kind]), (section, path, inner)
                assert isinstance(inner, bool) == (kind == "boolean"), (section, path, inner)
            elif isinstance(inner, list):
                for item in inner:
                    visit(item, path + "[].")
            else:
                visit(inner, path + ".")
        for name in names:
            if re.search(r"[.\[]", name) is None and table[prefix + name][1]:
                assert name in value, f"{section}: {prefix}{name} is missing"

    visit(found, "")


def object_of(*arguments, code=0, **options):
    """What --json leaves on standard output: exactly one object, in exactly one line."""
    result = run(*arguments, "--json", code=code, **options)
    text = result.stdout.decode()
    assert text.endswith("}\n") and text.count("\n") == 1, text
    return json.loads(text), result


def succeeds(section, *arguments):
    found, _ = object_of(*arguments)
    assert found["command"] == arguments[0]
    check(section, found)
    return found


def prepared(folder):
    numpy.save(folder / "x.npy", rows(300))
    run("train", folder / "x.npy", "-o", folder / "run", *SMALL, "--epochs", "1")
    return folder / "x.npy", folder / "run"


def test_a_training(folder):
    data = folder / "x.npy"
    numpy.save(data, rows(300))
    values = rows(300)
    values[7, 3] = numpy.nan
    numpy.save(folder / "bad.npy", values)
    train = ["train", folder / "bad.npy", "-o", folder / "run", *SMALL, "--on-bad-value", "skip"]
    found = succeeds("train", *train, "--epochs", "2", "--validation", "0.1",
                     "--set", "model.penalty.l2=0.001")
    assert (found["rows_read"], found["rows_skipped"]) == (300, 1)
    assert found["validation_rows"] == 30 and found["epochs"] == 2
    assert found["output"] == str(folder / "run") and len(found["model_hash"]) == 32
    assert any("left out" in warning for warning in found["warnings"])
    succeeds("train", *train, "--epochs", "2", "--overwrite", "--validation", data)
    succeeds("train --dry-run", *train, "--dry-run")
    succeeds("train --print-config", *train, "--print-config")
    assert len(succeeds("train --help-config", "train", "--help-config")["keys"]) > 30


def test_file_commands(folder):
    data, model = prepared(folder)
    values = rows(300)
    values[7, 3] = numpy.nan
    numpy.save(folder / "bad.npy", values)
    run("encode", model, data, "-o", folder / "codes.npy")
    for verb in FILE_VERBS.split(", "):
        source = folder / ("codes.npy" if verb == "decode" else "bad.npy")
        command = [verb, model, source, "-o", folder / "out.csv", "--on-bad-value", "skip"]
        found = succeeds(FILE_VERBS, *command)
        assert found["input"] == str(source) and found["output"] == str(folder / "out.csv")
        assert found["rows_skipped"] == (verb != "decode")
        assert found["rows_written"] == found["rows_read"] - found["rows_skipped"]
        succeeds(FILE_VERBS + " --dry-run", verb, model, source, "-o", folder / "out.npy",
                 "--dry-run")


def test_generating(folder):
    numpy.save(folder / "x.npy", rows(300))
    run("train", folder / "x.npy", "-o", folder / "run", *SMALL, "--epochs", "1", "--set",
        'model.code.kind="variational"')
    found = succeeds("generate", "generate", folder / "run", "-n", "5", "-o", folder / "g.npy")
    assert found["rows_written"] == 5
    succeeds("generate --dry-run", "generate", folder / "run", "-o", folder / "h.npy", "--dry-run")


def test_evaluations(folder):
    images = numpy.random.default_rng(1).integers(0, 256, (300, 4, 4), dtype=numpy.uint8)
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape)
    (folder / "images").write_bytes(head + images.tobytes())
    run("train", folder / "images", "-o", folder / "run", *SMALL, "--epochs", "1")
    numpy.save(folder / "labels.npy", numpy.arange(300) % 9 == 0)
    found = succeeds("evaluate", "evaluate", folder / "run", folder / "images", "--labels",
                     folder / "labels.npy")
    assert found["rows"] == 300 and found["model_hash"]
    succeeds("evaluate", "evaluate", folder / "run", folder / "images", "--pca-from", "none")


def test_what_there_is(folder):
    data, model = prepared(folder)
    hash_text = succeeds("inspect MODEL", "inspect", model)["model_hash"]
    assert succeeds("inspect DATA", "inspect", data)["rows"] == 300
    for mode in ("train", "score"):
        assert succeeds("plan", "plan", model, "--mode", mode)["model_hash"] == hash_text
    succeeds("plan", "plan", "--data", data)
    succeeds("plan", "plan", "--data", data, "--for", "sm_90")
    succeeds("selftest", "selftest", "--quick", "--filter", "add/")
    succeeds("devices", "devices")
    cpu = succeeds("devices", "devices", "--measure")["devices"][0]
    assert cpu["f32_flops"] > 1e8 and ("bf16_flops" in cpu) == cpu["bf16"]
    if not cpu["bf16"]:
        SEEN.add(("devices", "devices[].bf16_flops"))
    assert len(succeeds("presets", "presets")["presets"]) > 1
    assert succeeds("presets", "presets", "deep")["presets"][0]["name"] == "deep"


def test_failures(folder):
    data, model = prepared(folder)
    error_line = re.compile(r"^diabolo: (.*)$", re.MULTILINE)
    for code, name, arguments in (
            (2, "usage", []), (2, "usage", ["trian"]), (2, "usage", ["train", "--epoch", 3]),
            (2, "usage", ["encode", model]), (2, "usage", ["presets", "denoisin"]),
            (2, "usage", ["devices", "--threads", 1]), (2, "usage", ["plan"]),
            (2, "usage", ["selftest", "--device", "gpu"]), (2, "usage", ["evaluate", model]),
            (2, "usage", ["encode", model, data, "-o", "-"]), (2, "usage", ["devices", "-q", "-v"]),
            (3, "data", ["encode", model, folder / "nowhere", "-o", folder / "c.npy"]),
            (3, "data", ["inspect", folder / "nowhere"]),
            (4, "model", ["decode", folder / "nowhere", data, "-o", folder / "c.npy"]),
            (5, "resource", ["score", model, data, "-o", folder / "none" / "c.npy"]),
            (6, "device", ["reconstruct", model, data, "-o", folder / "c.npy", "--device",
                           "cuda:99"]),
            (7, "diverged", ["train", data, "-o", folder / "r", *SMALL, "--epochs", 30,
                             "--set", "optimizer.kind=sgd", "--learning-rate", 100000])):
        found, result = object_of(*arguments, code=code)
        check("failure", found)
        error = found["error"]
        assert (error["code"], error["name"]) == (code, name), found
        assert error["message"] == error_line.search(result.stderr.decode())[1]
        assert ("command" in found) == (arguments != [] and arguments != ["trian"])


def test_standard_output_is_not_shared(folder):
    data, model = prepared(folder)
    found, _ = object_of("encode", model, data, "-o", "/dev/stdout", code=2)
    assert "taken" in found["error"]["message"]
    with open("/dev/full", "wb") as full:
        result = subprocess.run([DIABOLO, "presets", "--json"], stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 5 and result.stderr.count(b"\n") == 1


def test_signals(folder):
    """One that is polled for, and one that ends the process at once."""
    data, model = prepared(folder)
    training = ["train", data, "-o", folder / "r", *SMALL, "--epochs", 10000000]
    for arguments, begun in ((training, folder / "r" / "checkpoint.safetensors"),
                             (["encode", model, "-", "-o", folder / "c.npy"],
                              folder / "c.npy.partial")):
        process = subprocess.Popen([DIABOLO, *map(str, arguments), "--json", "--progress", "none"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        if begun.name.endswith(".partial"):
            process.stdin.write(data.read_bytes()[:1000])  # the rest does not come
            process.stdin.flush()
        while not begun.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        text = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 143 and text.count("\n") == 1, (process.returncode, text)
        found = json.loads(text)
        check("failure", found)
        assert found["error"]["code"] == 143 and found["command"] == arguments[0]


def test_quiet_leaves_errors_alone(folder):
    data, model = prepared(folder)
    values = rows(300)
    values[7, 3] = numpy.nan
    numpy.save(folder / "bad.npy", values)
    skip = ["--on-bad-value", "skip", "-q"]
    for arguments in (["train", folder / "bad.npy", "-o", folder / "r", *SMALL, "--epochs", 2,
                       "--progress", "plain", *skip],
                      ["encode", model, folder / "bad.npy", "-o", folder / "c.csv", *skip],
                      ["evaluate", model, data, "-q"], ["inspect", model, "-q"],
                      ["plan", model, "-q"], ["devices", "-q"], ["presets", "-q"],
                      ["selftest", "--quick", "--filter", "add/", "-q"]):
        assert run(*arguments).stderr == b"", arguments
    assert run("inspect", folder / "nowhere", "-q", code=3).stderr.count(b"\n") == 1


if __name__ == "__main__":
    def test_every_field_of_the_page_came(_):
        documented = {(section, name) for section, fields in TABLES.items() for name in fields}
        missing = documented - SEEN - ONLY_ELSEWHERE
        missing -= {(section, name) for section, name in documented if section == "every object"}
        assert not missing, f"in docs/json.md, never seen: {sorted(missing)}"

    tests = dict(globals())
    # The last in the alphabet, in which they run.
    tests["test_z"] = tests.pop("test_every_field_of_the_page_came")
    main(tests)
