"""Every command on small data, and what it writes."""
import json
import os
import subprocess
import sys

import numpy

from command import DIABOLO, SMALL, error_of, json_of, main, rows, run, train

WARMUP = "_warmup_steps"


def prepared(folder):
    numpy.save(folder / "x.npy", rows(300))
    train(folder / "x.npy", folder / "run", "--epochs", "3")
    return folder / "x.npy", folder / "run"


def test_train_writes_a_run_directory(folder):
    data, model = prepared(folder)
    assert (model / "config.toml").read_text().count("[") > 10
    epochs = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[2]["loss"] < epochs[0]["loss"]
    assert epochs[2]["reconstruction"] == epochs[2]["loss"] and "penalty" not in epochs[2]
    train(data, folder / "l2", "--epochs", "1", "--set", "model.penalty.l2=0.01")
    terms = json.loads((folder / "l2" / "metrics.jsonl").read_text())
    assert terms["penalty"] > 0
    assert abs(terms["reconstruction"] + terms["penalty"] - terms["loss"]) < 1e-5 * terms["loss"]
    assert json_of("inspect", model)["provenance"]["rows"] == 300


def test_every_penalty_is_given_by_a_setting_or_in_a_file(folder):
    data, _ = prepared(folder)
    keys = [entry["key"] for entry in json_of("train", "--help-config")["keys"]]
    weights = [key.removesuffix(WARMUP) for key in keys
               if key.startswith("model.penalty.") and key.endswith(WARMUP)]
    assert "model.penalty.l2" in weights and set(weights) < set(keys)
    for weight in weights:
        name = weight.rpartition(".")[2]
        (folder / "x.toml").write_text(f"[model.penalty]\n{name} = 0.1\n{name}{WARMUP} = 15\n")
        ways = [["--config", folder / "x.toml"],
                ["--set", f"{weight}=0.1", "--set", f"{weight}{WARMUP}=15"]]
        lines = []
        for way in ways:
            error = train(data, folder / "p", "--epochs", "2", "--overwrite", *way).stderr.decode()
            lines.append((folder / "p" / "metrics.jsonl").read_text().splitlines())
            term = "penalty" if name == "l2" else name
            assert f" + {term} " in error, error
        for one, other in zip(*lines):
            epoch, again = json.loads(one), json.loads(other)
            assert epoch["loss"] == again["loss"] and epoch[term] == again[term] > 0
            assert abs(epoch["reconstruction"] + epoch[term] - epoch["loss"]) < 1e-5 * epoch["loss"]
        assert json.loads(lines[0][1])[term] > 1.5 * json.loads(lines[0][0])[term]
        text = error_of("train", data, "-o", folder / "q", *SMALL, "--set", f"{weight}{WARMUP}=15",
                        code=2)
        assert f"{weight}{WARMUP}: means nothing" in text, text


def test_train_says_what_becomes_of_the_rows(folder):
    numpy.save(folder / "x.npy", rows(300).reshape(300, 4, 4))
    said = train(folder / "x.npy", folder / "run", "--epochs", "1", "--validation",
                 "0.1").stderr.decode()
    assert ("data: f32[300,4,4], rows flattened to 16 features, scale standard, validated on "
            "30 rows\n") in said, said


def test_an_output_that_cannot_reach_its_targets_is_named_once(folder):
    data = folder / "x.npy"
    numpy.save(data, rows(300))
    for scale, output, count in (("standard", "sigmoid", 1), ("standard", "relu", 1),
                                 ("standard", "tanh", 1), ("standard", "auto", 0),
                                 ("standard", "leaky_relu", 0), ("minmax", "sigmoid", 0)):
        said = train(data, folder / "run", "--epochs", "2", "--overwrite", "--scale", scale,
                     "--set", f"model.decoder.output={output}").stderr.decode()
        assert said.count("cannot come back") == count, (scale, output, said)
        assert count == 0 or 'use "identity", or data.scale = "minmax"' in said


def test_encode_decode_reconstruct_open_in_numpy(folder):
    data, model = folder / "x.npy", folder / "run"
    numpy.save(data, rows(300))
    train(data, model, "--epochs", "60", "--learning-rate", "0.01")
    run("encode", model, data, "-o", folder / "codes.npy")
    run("decode", model, folder / "codes.npy", "-o", folder / "decoded.npy")
    run("reconstruct", model, data, "-o", folder / "again.npy")
    codes, decoded = numpy.load(folder / "codes.npy"), numpy.load(folder / "decoded.npy")
    assert codes.shape == (300, 3) and codes.dtype == numpy.float32
    assert decoded.shape == (300, 16)
    assert numpy.array_equal(decoded, numpy.load(folder / "again.npy"))
    assert numpy.mean((decoded - numpy.load(data)) ** 2) < 0.3 * numpy.var(numpy.load(data))
    run("encode", model, data, "-o", "-", "--output-format", "csv")
    run("encode", model, data, "-o", folder / "codes.csv")
    assert numpy.array_equal(numpy.loadtxt(folder / "codes.csv", delimiter=",", skiprows=1,
                                           dtype=numpy.float32), codes)
    run("encode", model, data, "-o", folder / "half.npy", "--code-dtype", "f16")
    assert numpy.load(folder / "half.npy").dtype == numpy.float16


def test_generate_draws_rows(folder):
    data, model = folder / "x.npy", folder / "run"
    numpy.save(data, rows(300))
    train(data, model, "--epochs", "3", "--set", 'model.code.kind="variational"')

    def drawn(name, *options, load=numpy.load):
        run("generate", model, "-o", folder / name, *options)
        return load(folder / name)

    first = drawn("a.npy", "-n", 500)
    assert first.shape == (500, 16) and len(numpy.unique(first, axis=0)) > 400
    few = drawn("b.npy", "-n", 7, "--batch-size", 2, "--threads", 1, "--seed", 0)
    assert numpy.array_equal(few, first[:7])
    assert not numpy.array_equal(drawn("c.npy", "-n", 7, "--seed", 1), few)
    still = drawn("d.npy", "-n", 500, "--temperature", "0.01")
    assert still.std(axis=0).max() < 0.1 * first.std(axis=0).max()
    table = drawn("e.csv", "-n", 7,
                  load=lambda path: numpy.loadtxt(path, delimiter=",", skiprows=1, dtype="f4"))
    assert numpy.array_equal(table, few)
    assert drawn("f.raw", load=lambda path: numpy.fromfile(path, "f4")).shape == (16,)
    assert b"input" not in run("generate", model, "-o", "-", "--dry-run").stdout
    for bad in ("0", "-1", "x", "nan", "inf"):
        said = error_of("generate", model, "-o", "-", "--temperature", bad, code=2)
        assert "--temperature" in said
    train(data, folder / "plain", "--epochs", "1")
    said = error_of("generate", folder / "plain", "-o", folder / "g.npy", code=2)
    assert "no distribution is known of codes of the kind plain" in said
    assert not list(folder.glob("g.npy*"))


def test_rows_do_not_depend_on_batch_or_threads(folder):
    data, model = prepared(folder)
    outputs = []
    for i, options in enumerate([["--batch-size", "1"], ["--batch-size", "7"],
                                 ["--threads", "1"], []]):
        run("encode", model, data, "-o", folder / f"{i}.npy", *options)
        outputs.append((folder / f"{i}.npy").read_bytes())
    assert len(set(outputs)) == 1


def test_trainings_do_not_depend_on_the_environment_of_openmp(folder):
    numpy.save(folder / "x.npy", rows(300))
    arguments = [argument for argument in SMALL if argument not in ("--threads", "1")]
    weights = set()
    for name in ("OTHER", "OMP_DYNAMIC=true", "OMP_MAX_ACTIVE_LEVELS=0", "OMP_NUM_THREADS=1"):
        environment = dict(os.environ, **dict([(name + "=").split("=")[:2]]))
        run("train", folder / "x.npy", "-o", folder / "run", *arguments, "--epochs", "2",
            "--overwrite", env=environment)
        weights.add((folder / "run" / "model.safetensors").read_bytes())
    assert len(weights) == 1
    limited = dict(os.environ, OMP_THREAD_LIMIT="1")
    losses = []
    for more, environment in ((["--threads", "1"], None), ([], limited)):
        run("train", folder / "x.npy", "-o", folder / "run", *arguments, *more, "--epochs", "2",
            "--overwrite", env=environment)
        losses.append(json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[1]))
    assert losses[0]["loss"] == losses[1]["loss"]


def device_of(*arguments, **options):
    """What a training says about its device and threads, on standard error."""
    return run(*arguments, "--epochs", "1", "--overwrite", **options).stderr.decode()


def test_all_cpus_are_used_however_openmp_binds_its_first_thread(folder):
    cpus = len(os.sched_getaffinity(0))
    if cpus < 2:
        print("skipped: needs two CPUs")
        return
    if b"libomp" in subprocess.run(["ldd", DIABOLO], capture_output=True).stdout:
        print("skipped: LLVM's OpenMP does not tell the CPUs that it had before it bound a thread")
        return
    numpy.save(folder / "x.npy", rows(300))
    arguments = ["train", folder / "x.npy", "-o", folder / "run", *SMALL]
    arguments = [argument for argument in arguments if argument not in ("--threads", "1")]
    weights = set()
    for binding in ({}, {"OMP_PROC_BIND": "close"}, {"OMP_PROC_BIND": "true"},
                    {"OMP_PROC_BIND": "spread"}, {"OMP_PROC_BIND": "false"}):
        said = device_of(*arguments, env=dict(os.environ, **binding))
        assert f"{cpus} threads" in said, (binding, said)
        assert "threads:" not in said, (binding, said)
        weights.add((folder / "run" / "model.safetensors").read_bytes())
    assert len(weights) == 1
    first = min(os.sched_getaffinity(0))
    for binding in ({}, {"OMP_PROC_BIND": "close"}):  # what the process may not use stays unused
        said = device_of(*arguments, env=dict(os.environ, **binding),
                         preexec_fn=lambda: os.sched_setaffinity(0, {first}))
        assert "1 thread)" in said and "threads: one is used" in said, (binding, said)


def test_more_threads_than_cpus_are_as_many_as_there_are(folder):
    cpus = len(os.sched_getaffinity(0))
    data, model = prepared(folder)
    said = run("encode", model, data, "-o", folder / "c.npy", "--threads", "4000").stderr.decode()
    assert f"threads: 4000 asked for, {cpus} used" in said, said
    small = [argument for argument in SMALL if argument not in ("--threads", "1")]
    arguments = ["train", data, "-o", folder / "many", *small, "--threads", "64"]
    assert f"64 asked for, {cpus} used" in device_of(*arguments)
    assert "threads = 64" in (folder / "many" / "config.toml").read_text()


def test_onednn_may_be_held_to_fewer_instructions(folder):
    data, model = prepared(folder)
    numpy.save(folder / "wide.npy", rows(600, features=784))
    run("train", folder / "wide.npy", "-o", folder / "wide", "--epochs", "1")
    held = dict(os.environ, DNNL_MAX_CPU_ISA="AVX2", ONEDNN_MAX_CPU_ISA="AVX2")
    outputs = set()
    for batch in (1, 600):
        run("encode", folder / "wide", folder / "wide.npy", "-o", folder / "c.npy",
            "--batch-size", batch, env=held)
        outputs.add((folder / "c.npy").read_bytes())
    assert len(outputs) == 1
    assert "bf16" in error_of("encode", model, data, "-o", folder / "c.npy", "--precision", "bf16",
                              code=2, env=held)


def test_score_writes_numbers_and_explanations(folder):
    data, model = prepared(folder)
    run("score", model, data, "-o", folder / "s.npy")
    scores = numpy.load(folder / "s.npy").ravel()
    assert scores.shape == (300,)
    run("score", model, data, "-o", folder / "s.csv", "--explain", 2)
    lines = (folder / "s.csv").read_text().splitlines()
    assert len(lines) == 301
    assert lines[0] == "score,worst_1_feature,worst_1_error,worst_2_feature,worst_2_error"
    assert numpy.isclose(float(lines[1].split(",")[0]), scores[0], rtol=1e-6)
    summary = json_of("score", model, data, "-o", folder / "s.npy")
    above = int(numpy.sum(scores > summary["threshold"]))
    assert abs(summary["above_threshold"] - above) <= 1 and 5 <= above <= 25


def test_evaluate_beside_pca_and_with_labels(folder):
    data, model = prepared(folder)
    odd = rows(300, seed=2)
    labels = numpy.zeros(300, numpy.uint8)
    labels[::10] = 1
    odd[::10] += 100
    numpy.save(folder / "odd.npy", odd)
    numpy.save(folder / "labels.npy", labels)
    metrics = json_of("evaluate", model, folder / "odd.npy", "--labels", folder / "labels.npy")
    assert metrics["rows"] == 300 and metrics["pca"]["code_size"] == 3
    assert metrics["anomaly"]["auroc"] > 0.99
    assert "psnr_db" not in metrics["reconstruction"]  # not unit scale
    text = run("evaluate", model, data, "--pca-from", data).stdout.decode()
    assert "PCA with 3 components" in text


def test_labels_of_a_training_are_checked_and_serve_its_evaluation(folder):
    data, labels = folder / "x.npy", folder / "labels.npy"
    numpy.save(data, rows(300))
    for bad in (numpy.zeros(299), numpy.full(300, numpy.nan), numpy.zeros((300, 2))):
        numpy.save(labels, bad)
        assert "labels.npy: " in error_of("train", data, "-o", folder / "run", *SMALL, "--labels",
                                          labels, code=3)
    for values, are_used in ((numpy.arange(300) % 10 == 0, True), (numpy.zeros(300), False)):
        numpy.save(labels, values)
        train(data, folder / "run", "--epochs", "1", "--overwrite", "--labels", labels)
        found = json_of("evaluate", folder / "run", data)
        assert ("anomaly" in found) == are_used
        told = [warning for warning in found["warnings"] if "has no anomalous row" in warning]
        assert len(told) == (not are_used), found
        numpy.save(folder / "other.npy", rows(300, seed=3))
        assert "anomaly" not in json_of("evaluate", folder / "run", folder / "other.npy")


def test_pca_is_fitted_on_the_file_trained_on_and_on_no_other(folder):
    here, there = folder / "here", folder / "there"
    here.mkdir(), there.mkdir()
    data, labels = here / "x.npy", here / "labels.npy"
    numpy.save(data, rows(300))
    numpy.save(labels, numpy.arange(300) % 10 == 0)
    numpy.save(there / "x.npy", rows(300, seed=9))  # what a relative path would find
    run("train", "x.npy", "-o", folder / "run", "--epochs", "1", "--labels", "labels.npy", *SMALL,
        cwd=here)
    assert json_of("inspect", folder / "run")["provenance"]["data_file"] == str(data)

    def evaluated(*more):
        result = run("evaluate", folder / "run", data, "--json", *more, cwd=there)
        return json.loads(result.stdout), result.stderr.decode()

    metrics, said = evaluated()
    assert "pca" in metrics and "anomaly" in metrics and "left out" not in said
    mse = metrics["pca"]["mse"]
    earlier, stamp = data.read_bytes(), data.stat()
    numpy.save(data, rows(300, seed=2))  # as long, and as old
    os.utime(data, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    metrics, said = evaluated()
    assert "pca" not in metrics and "anomaly" not in metrics
    assert "PCA is left out: " in said and "--pca-from" in said and str(data) in said, said
    assert "labels are left out: " in said, said
    assert "pca" in evaluated("--pca-from", there / "x.npy")[0]
    data.write_bytes(earlier)
    os.utime(data)  # a copy of the file is the file
    assert evaluated()[0]["pca"]["mse"] == mse
    numpy.save(labels, numpy.arange(300) % 9 == 0)
    metrics, said = evaluated()
    assert "pca" in metrics and "anomaly" not in metrics and "labels are left out" in said
    labels.rename(folder / "elsewhere.npy")
    data.rename(folder / "moved.npy")
    data.symlink_to(folder / "moved.npy")
    assert "pca" in evaluated()[0]
    data.unlink()
    result = run("evaluate", folder / "run", folder / "moved.npy")
    assert f"PCA is left out: {data} is not there" in result.stderr.decode()
    with open(folder / "moved.npy", "rb") as rows_in:
        run("train", "-", "-o", folder / "piped", "--epochs", "1", *SMALL, "--set",
            "data.scale=none", stdin=rows_in)
    assert "data_file" not in json_of("inspect", folder / "piped")["provenance"]


def test_pca_reads_the_training_rows_as_the_training_did(folder):
    data = rows(300)
    numpy.save(folder / "clean.npy", data)
    data[7, 3] = numpy.nan
    numpy.save(folder / "x.npy", data)
    train(folder / "x.npy", folder / "run", "--epochs", "1", "--on-bad-value", "skip")
    evaluate = ["evaluate", folder / "run", folder / "clean.npy"]
    expected = json_of(*evaluate)["pca"]
    assert json_of(*evaluate, "--on-bad-value", "error")["pca"] == expected
    run(*evaluate, "--on-bad-value", "error", "--pca-from", folder / "x.npy", code=3)


def test_inspect_plan_selftest_devices_presets(folder):
    data, model = prepared(folder)
    assert json_of("inspect", data)["shape"] == "f32[300,16]"
    assert json_of("inspect", model)["parameters"] == 16*16+16 + 16*8+8 + 8*3+3 + \
        3*8+8 + 8*16+16 + 16*16+16
    for mode in ["train", "validate", "encode", "decode", "reconstruct", "score"]:
        plan = json_of("plan", model, "--mode", mode, "--for", "cpu")
        assert plan["steps"] and plan["memory_bytes"] >= plan["arena_bytes"]
    plan = json_of("plan", "--preset", "deep", "--features", "784", "--for", "sm_90")
    assert all(step["kernel"].startswith("cuda.") for step in plan["steps"])
    checked = json_of("selftest", "--quick", "--filter", "add/", "--device", "cpu")["kernels"]
    assert {row["verdict"] for row in checked if row["kernel"].startswith("cpu")} == {"pass"}
    said = run("selftest", "--quick", "--filter", "add/", "--device", "cpu", "--verbose").stderr
    assert b"\nchecking add\n" in b"\n" + said, said
    assert json_of("devices")["devices"][0]["device"] == "cpu"
    names = [preset["name"] for preset in json_of("presets")["presets"]]
    assert names == ["dense", "denoising", "deep", "vae", "conv"]


def test_plan_of_a_model_has_the_rows_that_it_was_trained_on(folder):
    numpy.save(folder / "x.npy", rows(100))
    numpy.save(folder / "v.npy", rows(30))

    def planned(*arguments):
        step, validation = (json_of("plan", *arguments, "--for", "cpu", "--mode", mode)
                            for mode in ("train", "validate"))
        return step["memory"]["@order"] // 4, validation["memory"]["input"] // (4 * 16)

    for validation, order, held in (("0.25", 75, 25), (folder / "v.npy", 100, 30)):
        options = ("--epochs", "1", "--validation", validation)
        train(folder / "x.npy", folder / "run", *options, "--overwrite")
        assert planned(folder / "run") == (order, held)
        assert planned("--data", folder / "x.npy", "--preset", "dense", "--set",
                       f'train.validation="{validation}"') == (order, held)


def test_configuration_flag_before_file_before_preset(folder):
    numpy.save(folder / "x.npy", rows(50))
    (folder / "c.toml").write_text('[train]\nepochs = 4\nseed = 9\n[model]\ncode.size = 5\n')
    printed = run("train", folder / "x.npy", "--preset", "deep", "--config", folder / "c.toml",
                  "--seed", "11", "--set", "model.decoder.tied = true", "--set",
                  'model.loss.kind = "l1"', "--print-config").stdout
    (folder / "printed.toml").write_bytes(printed)
    text = printed.decode()
    for line in ["epochs = 4", "seed = 11", "hidden = [1000,500,250]", "size = 5", "tied = true",
                 'kind = "l1"', 'scale = "standard"', 'preset = "deep"']:
        assert line in text, line
    again = run("train", "--config", folder / "printed.toml", "--print-config").stdout
    assert again == printed
    assert "samples" not in run("train", "--help-config").stderr.decode()
    error = error_of("train", folder / "x.npy", "-o", folder / "r", "--set", "train.epoch=3",
                     code=2)
    assert "train.epochs" in error


CONFIGURATION = ["--set", "model.encoder.hidden=[16,8]", "--code-size", "3", "--batch-size", "32"]


def test_dry_runs_write_nothing(folder):
    data, model = prepared(folder)
    before = sorted(folder.rglob("*"))
    estimate = json_of("train", data, "-o", folder / "other", "--dry-run")
    assert estimate["rows"] == 300 and estimate["arena_bytes"] > 0
    plan = json_of("plan", "--data", data, *CONFIGURATION)
    kept = sum(size for name, size in plan["memory"].items() if name.startswith("@"))
    assert kept == json_of("train", data, "-o", folder / "other", "--dry-run",
                           *CONFIGURATION)["store_bytes"]
    assert kept + plan["arena_bytes"] + plan["memory"]["input"] == plan["memory_bytes"]
    sizes = json_of("encode", model, data, "-o", folder / "codes.npy", "--dry-run")
    assert sizes["rows"] == 300 and sizes["output_bytes"] >= 300 * 3 * 4
    assert sizes["weight_bytes"] == 4 * json_of("inspect", model)["parameters"]
    assert 300 * 3 * 4 < sizes["buffer_bytes"] < 1 << 20  # one block of codes, and two lanes
    assert sorted(folder.rglob("*")) == before
    numpy.save(folder / "empty.npy", numpy.zeros((0, 16), numpy.float32))
    assert "no rows" in error_of("train", folder / "empty.npy", "-o", folder / "other",
                                 "--dry-run", code=3)


# What a process begins with counts, too: the peak of the process that starts it.
MEASURED = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def peak_bytes(*command):
    call = [sys.executable, "-c", MEASURED, DIABOLO, *map(str, command)]
    return 1024 * int(subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout.split()[-1])


def test_a_file_takes_the_memory_that_a_dry_run_says(folder):
    if os.environ.get("DIABOLO_SANITIZE"):
        return  # whose memory is another
    row = rows(1, features=100_000)
    for count in (1, 400):
        numpy.save(folder / f"{count}.npy", numpy.broadcast_to(row, (count, row.size)))
    run("train", folder / "1.npy", "-o", folder / "run", *SMALL, "--epochs", "1",
        "--set", "model.encoder.hidden=[2]")
    program = peak_bytes("inspect", folder / "run")
    for verb in ("encode", "reconstruct"):
        call = [verb, folder / "run", folder / "400.npy", "-o", folder / "out.npy"]
        estimate = json_of(*call, "--dry-run")
        said, found = estimate["buffer_bytes"], peak_bytes(*call) - program
        # Beside it: what oneDNN and the threads take, some 8 MB.
        assert 0.9 * said < found < said + (16 << 20), (verb, said, found)


def test_a_training_takes_the_memory_that_a_dry_run_says(folder):
    if os.environ.get("DIABOLO_SANITIZE"):
        return  # whose memory is another
    data, net = folder / "wide.npy", ["--set", "model.encoder.hidden=[2]", "--epochs", "2"]
    numpy.save(data, rows(64, features=200_000))
    command = ["train", data, "-o", folder / "run", *SMALL, *net]
    said = json_of(*command, "--dry-run")
    # Beside it: the program with its libraries, oneDNN's own 32 MiB, memory that malloc keeps.
    found = peak_bytes(*command)
    assert found < said["peak_bytes"] + (200 << 20), (found, said)


def test_streams(folder):
    data, model = prepared(folder)
    run("encode", model, data, "-o", folder / "codes.raw")
    wanted = (folder / "codes.raw").read_bytes()
    result = run("encode", model, "-", "-o", "-", input=data.read_bytes())
    assert result.stdout.endswith(wanted) and b"rows/s" in result.stderr
    raw = numpy.load(data).tobytes()
    result = run("encode", model, "-", "-o", "-", "--dtype", "f32", "--shape", "16",
                 "--output-format", "raw", input=raw)
    assert result.stdout == wanted
    piped = subprocess.run(f"cat {data} | {DIABOLO} encode {model} - -o - --output-format raw"
                           f" | cat > {folder / 'piped'}", shell=True, capture_output=True)
    assert piped.returncode == 0 and (folder / "piped").read_bytes() == wanted


if __name__ == "__main__":
    main(globals())
