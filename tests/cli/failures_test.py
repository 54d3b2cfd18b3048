"""Every exit status, what the error line says, and what stays on disk."""
import os
import re
import resource
import shutil
import signal
import subprocess

import numpy

from command import DIABOLO, SMALL, error_of, main, prepared, rows, run, train


def test_usage_is_2(folder):
    data, model = prepared(folder)
    assert "'train'" in error_of("trian", code=2)
    assert "--vresion" in error_of("--vresion", code=2)
    assert "--epochs" in error_of("train", data, "--epoch", "3", code=2)
    assert "denoising" in error_of("train", data, "-o", folder / "r", "--preset", "denoisin",
                                   code=2)
    assert "-o" in error_of("train", data, code=2)
    assert "tf32" in error_of("encode", model, data, "-o", folder / "c.npy", "--device", "cpu",
                              "--precision", "tf32", code=2)
    assert "cuda:N" in error_of("encode", model, data, "-o", folder / "c.npy", "--device", "gpu",
                                code=2)
    assert "plan" in error_of("plan", code=2)
    assert "sm_90" in error_of("plan", model, "--for", "sm_91", code=2)
    for another in (["--preset", "deep"], ["--data", data], ["--features", 16], ["--code-size", 5]):
        assert "MODEL has its own" in error_of("plan", model, *another, code=2)
    assert error_of(code=2) == "a command is required (diabolo --help lists them)"


def test_a_training_goes_on_where_its_data_are(folder):
    numpy.save(folder / "x.npy", rows(100))
    train("x.npy", "run", "--epochs", "1", cwd=folder)
    other = folder / "other"
    other.mkdir()
    error = error_of("train", "--resume", "-o", folder / "run", "--epochs", "2", code=3, cwd=other)
    assert error.startswith("x.npy: is not there") and "train DATA --resume" in error, error
    run("train", "../x.npy", "--resume", "-o", "../run", "--epochs", "2", cwd=other)
    said = train(folder / "x.npy", folder / "m", "--epochs", "1", "--set",
                 "optimizer.momentum=0.5").stderr.decode()
    assert "warning: optimizer.momentum = 0.5 means nothing with" in said, said


def test_usage_errors_say_what_was_expected(folder):
    data, model = prepared(folder)
    encode = ["encode", model, data, "-o", folder / "c.npy"]
    for arguments, expected in (
            (["encode", model, data, "-o", ""], "--output: expected a path"),
            (["encode", "", data, "-o", folder / "c.npy"], "MODEL: expected a path"),
            ([*encode, "--batch-size", "1e3"], "an integer from 1 to 65536, found '1e3'"),
            ([*encode, "--shape", "a"], "--shape: "),
            ([*encode, "--on-bad-value", "a"], "--on-bad"),
            (["score", model, data, "-o", folder / "s.csv", "--explain", 17], "at most 16"),
            (["train", data, "-o", folder / "r", "--set", "optimizer.beta1=1"], "to 0.9999999,"),
            (["train", data, "-o", folder / "r", "--seed", -1], "to 9007199254740992,"),
            (["train", "--resume", "-o", model, "--preset", "dense"], "DATA is missing")):
        assert expected in error_of(*arguments, code=2), arguments
    assert "nowhere: there is no checkpoint" in error_of("train", "--resume", "-o",
                                                         folder / "nowhere", code=4)
    train(data, model, "--epochs", "3", "--overwrite", "--learning-rate", ".01")
    error = error_of("train", "--resume", "-o", model, "--seed", "5", "--code-size", "4", code=4)
    assert "model.code.size = 3, now 4; train.seed = 0, now 5" in error, error
    assert "at least 3" in error_of("train", "--resume", "-o", model, "--epochs", "2", code=2)


def test_a_used_run_directory_is_refused(folder):
    data, model = prepared(folder)
    before = (model / "model.safetensors").read_bytes()
    error = error_of("train", data, "-o", model, *SMALL, code=2)
    assert "--resume" in error and "--overwrite" in error
    assert (model / "model.safetensors").read_bytes() == before
    train(data, model, "--epochs", "2", "--overwrite")


def test_overwrite_keeps_what_is_there_until_the_new_training_can_begin(folder):
    data, model = prepared(folder)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    bad = rows(300)
    bad[7, 7] = numpy.inf
    numpy.save(folder / "bad.npy", bad)
    overwrite = ["-o", model, *SMALL, "--overwrite"]
    error_of("train", folder / "bad.npy", *overwrite, code=3)
    error_of("train", data, *overwrite, "--validation", "1.5", code=2)
    error_of("train", data, *overwrite, "--validation", folder / "nowhere.npy", code=3)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_bad_data_is_3(folder):
    data, model = prepared(folder)
    assert "nowhere.npy" in error_of("encode", model, folder / "nowhere.npy", "-o",
                                     folder / "c.npy", code=3)
    bad = rows(300)
    bad[181, 7] = numpy.nan
    numpy.save(folder / "bad.npy", bad)
    for command in (["train", folder / "bad.npy", "-o", folder / "r", *SMALL],
                    ["encode", model, folder / "bad.npy", "-o", folder / "c.npy"]):
        error = error_of(*command, code=3)
        assert "bad.npy: row 181, column 7 is NaN" in error and "--on-bad-value" in error
    assert not (folder / "c.npy").exists()
    run("encode", model, folder / "bad.npy", "-o", folder / "c.npy", "--on-bad-value", "skip")
    assert numpy.load(folder / "c.npy").shape == (299, 3)
    kept = numpy.load(folder / "c.npy.rows.npy")
    assert kept.dtype == numpy.uint64 and list(kept) == [i for i in range(300) if i != 181]
    for label, expected in ((0, "300 and 0"), (numpy.nan, "row 0 has a label that is not finite")):
        numpy.save(folder / "labels.npy", numpy.full(300, label))
        error = error_of("evaluate", model, data, "--labels", folder / "labels.npy", code=3)
        assert "labels.npy: " in error and expected in error
    (folder / "nothing").write_bytes(b"")
    assert "nothing: is empty" in error_of("inspect", folder / "nothing", code=3)
    whole = data.read_bytes()
    (folder / "short.npy").write_bytes(whole[:-100])
    assert "short.npy" in error_of("encode", model, folder / "short.npy", "-o", folder / "d.npy",
                                   code=3)


def test_bytes_after_the_last_row_of_a_pipe_are_3(folder):
    data, model = prepared(folder)
    twice = 2 * data.read_bytes()
    for arguments in (["score", model, "-", "-o", folder / "s.npy"],
                      ["train", "-", "-o", folder / "r", *SMALL, "--scale", "none"]):
        for content in (twice, data.read_bytes() + b"x"):
            assert "goes on after them" in error_of(*arguments, code=3, input=content)
    assert not (folder / "s.npy").exists()


def test_a_file_name_that_the_configuration_cannot_keep_is_2(folder):
    data, _ = prepared(folder)
    odd = os.fsencode(folder) + b"/bad\xff.npy"
    os.rename(data, odd)
    assert "is not UTF-8" in error_of("train", os.fsdecode(odd), "-o", folder / "r", *SMALL, code=2)


def test_numbers_that_are_not_finite_are_3(folder):
    """Of the results too; a score is infinite instead, and above every threshold."""
    _, model = prepared(folder)
    extreme = rows(300)
    extreme[[40, 200]] = 3e38 * numpy.sign(extreme[[40, 200]])
    extreme[7] *= 1e9
    numpy.save(folder / "extreme.npy", extreme)
    for verb in ("encode", "reconstruct", "score"):
        out = folder / f"{verb}.npy"
        result = subprocess.run([DIABOLO, verb, model, folder / "extreme.npy", "-o", out],
                                capture_output=True, timeout=60)
        if result.returncode == 0:
            assert not numpy.isnan(numpy.load(out)).any()
            assert verb == "score" or numpy.isfinite(numpy.load(out)).all()
        else:
            assert result.returncode == 3 and b"row 40, column " in result.stderr, result.stderr
            assert not out.exists()
    extreme[[40, 200]] = 0
    numpy.save(folder / "extreme.npy", extreme)
    error = error_of("encode", model, folder / "extreme.npy", "-o", folder / "h.npy",
                     "--code-dtype", "f16", code=3)
    assert "row 7, column " in error and "f16 cannot hold" in error


def test_unfinished_work_of_something_else_is_9(folder):
    data, model = prepared(folder)
    out = folder / "c.npy"
    (folder / "c.npy.partial").write_bytes(b"something")
    (folder / "c.npy.partial.journal").write_bytes(b"else")
    assert "without --resume" in error_of("encode", model, data, "-o", out, "--resume", code=9)
    run("encode", model, data, "-o", out)
    run("encode", model, data, "-o", out, "--resume")


def test_a_format_that_is_given_counts_not_the_name(folder):
    data, model = prepared(folder)
    (folder / "x.bin").write_bytes(data.read_bytes())
    run("encode", model, folder / "x.bin", "-o", folder / "c.npy", "--format", "npy",
        "--dtype", "f32")


def test_data_that_do_not_fit_are_3(folder):
    """Wherever they come in."""
    data, model = prepared(folder)
    narrow, labels = folder / "narrow.npy", folder / "labels.npy"
    numpy.save(narrow, rows(10, features=5))
    numpy.save(labels, numpy.arange(299) % 9 == 0)
    output = ["-o", folder / "c.npy"]
    training = ["train", data, "-o", folder / "r", *SMALL]
    for arguments in (["encode", model, narrow, *output], ["reconstruct", model, narrow, *output],
                      ["decode", model, narrow, *output], ["score", model, narrow, *output],
                      ["evaluate", model, narrow],
                      ["evaluate", model, data, "--pca-from", narrow],
                      [*training, "--validation", narrow]):
        error = error_of(*arguments, code=3)
        assert "narrow.npy: expected" in error and "f32[10,5]" in error, error
    for fit in (["evaluate", model, data, "--labels"], [*training, "--labels"]):
        assert "299" in error_of(*fit, labels, code=3)
        assert "one number per row" in error_of(*fit, data, code=3)


def test_bad_models_are_4(folder):
    data, model = prepared(folder)
    error_of("inspect", folder / "nothing.safetensors", code=4)
    whole = bytearray((model / "model.safetensors").read_bytes())
    for place in (3, 40, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 4
        (folder / "m.safetensors").write_bytes(broken)
        error_of("encode", folder / "m.safetensors", data, "-o", folder / "c.npy", code=4)
    (folder / "m.safetensors").write_bytes(whole[:-7])
    error_of("encode", folder / "m.safetensors", data, "-o", folder / "c.npy", code=4)
    assert not (folder / "c.npy").exists()


def test_folders_that_are_no_whole_run_are_4(folder):
    data, model = prepared(folder)
    (folder / "empty").mkdir()
    for command in (["inspect", folder / "empty"],
                    ["score", folder / "empty", data, "-o", folder / "s.npy"]):
        assert "a folder without a model" in error_of(*command, code=4)
    (model / "config.toml").write_text("[model")
    error = error_of("train", "-o", model, "--resume", code=4)
    assert "config.toml" in error and "--config FILE" in error


def test_only_near_names_are_suggested(folder):
    assert "did you mean 'train'" in error_of("trian", code=2)
    for far in (["zzzzzz"], ["plan", "--for", "toaster"], ["train", "x", "--zzzzzzzzzz"],
                ["plan", "--preset", "zzzz", "--features", 4]):
        assert "did you mean" not in error_of(*far, code=2)


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_disks_that_take_no_more_are_5(folder):
    data, model = prepared(folder)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([DIABOLO, "presets"], stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 5 and b"No space left" in result.stderr
    error_of("encode", model, data, "-o", "/dev/full", code=5)
    (folder / "c.npy").write_bytes(b"before")
    error_of("encode", model, data, "-o", folder / "c.npy", code=5, preexec_fn=limit_files)
    assert (folder / "c.npy").read_bytes() == b"before"
    error_of("train", data, "-o", folder / "large", *SMALL, code=5, preexec_fn=limit_files)
    error_of("encode", model, data, "-o", folder / "x.npy" / "c.npy", code=5)
    error_of("train", data, "-o", "/proc/diabolo", *SMALL, code=5)


def test_no_cuda_device_is_6_and_auto_takes_the_cpu(folder):
    data, model = prepared(folder)
    hidden = dict(os.environ, CUDA_VISIBLE_DEVICES="")
    for device in ("cuda", "cuda:3"):
        error_of("encode", model, data, "-o", folder / "c.npy", "--device", device, code=6,
                 env=hidden)
    encode = ["encode", model, data, "-o", folder / "c.npy"]
    for arguments, count in ((["train", data, "-o", folder / "r", *SMALL[:-2], "--epochs", 1], 1),
                             (encode, 0), ([*encode, "--verbose"], 1)):
        lines = run(*arguments, env=hidden).stderr.decode().splitlines()
        chosen = [line for line in lines if line.startswith("device: cpu")]
        assert len(chosen) == count and all("no CUDA device" in line for line in chosen), lines


def test_divergence_is_7(folder):
    data, model = prepared(folder)
    error_of("train", data, "-o", folder / "r", *SMALL, "--set", "optimizer.kind=sgd",
             "--learning-rate", "100000", "--epochs", "30", code=7)
    # Before its first epoch has ended it has nothing that could replace a good model.
    before = (model / "model.safetensors").read_bytes()
    values = numpy.load(data)
    values[:, 0] *= numpy.float32(1e30)
    numpy.save(folder / "wild.npy", values)
    error = error_of("train", folder / "wild.npy", "-o", model, *SMALL, "--overwrite", "--scale",
                     "none", code=7)
    assert f"{model / 'model.safetensors'} stays as it was" in error, error
    assert (model / "model.safetensors").read_bytes() == before
    run("score", model, data, "-o", folder / "s.npy")


def test_a_closed_pipe_is_141_quietly(folder):
    data, model = prepared(folder)
    for command in (["presets"], ["encode", str(model), str(data), "-o", "-"]):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([DIABOLO, *command], stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        assert result.returncode == 141, result
        assert b"diabolo:" not in result.stderr


def allow_few_processes(count):
    """Users with many rights have no limit: the command runs as nobody."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    return limit


def test_too_few_threads_are_5(folder):
    if os.geteuid() != 0 or os.cpu_count() < 2:
        print("skipped: needs root, to be somebody else, and two CPUs")
        return
    data, model = prepared(folder)
    command_file = shutil.copy(DIABOLO, folder / "diabolo")  # where everybody may go
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # that would take a thread too
    codes = set()
    for count in range(1, 8):
        for command in (["train", data, "-o", folder / "r", "--overwrite", "--epochs", "1"],
                        ["evaluate", model, data], ["encode", model, data, "-o", folder / "c.npy"]):
            result = subprocess.run([command_file, *map(str, command)], capture_output=True,
                                    env=environment, preexec_fn=allow_few_processes(count))
            codes.add(result.returncode)
            assert result.returncode in (0, 5), (count, command, result)
            assert result.returncode == 0 or b"ulimit -u" in result.stderr, result
    assert codes == {0, 5}


def test_too_little_memory_is_5(folder):
    if os.environ.get("DIABOLO_SANITIZE"):
        print("skipped: sanitizers need more address space than there would be")
        return
    numpy.save(folder / "x.npy", numpy.zeros((2000, 784), numpy.uint8))
    codes = set()
    for megabytes in range(60, 600, 20):
        def limit(size=megabytes << 20):
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        result = subprocess.run([DIABOLO, "train", folder / "x.npy", "-o", folder / "r",
                                 "--overwrite", "--epochs", "1"], capture_output=True,
                                preexec_fn=limit)
        assert result.returncode in (0, 5), (megabytes, result)
        assert result.returncode == 0 or re.search(b"free|ulimit", result.stderr), result
        codes.add(result.returncode)
    assert codes == {0, 5}


def test_closed_streams_get_into_no_file(folder):
    data, model = prepared(folder)
    run("encode", model, data, "-o", folder / "wanted.npy")
    for closed in ("2>&-", "<&- >&- 2>&-"):
        command = f"{DIABOLO} encode {model} {data} -o {folder}/c.npy {closed}"
        assert subprocess.run(command, shell=True).returncode == 0
        assert (folder / "c.npy").read_bytes() == (folder / "wanted.npy").read_bytes()
    command = " ".join([DIABOLO, "train", str(data), "-o", str(folder / "r"), *SMALL])
    assert subprocess.run(command + " --epochs 1 <&- >&- 2>&-", shell=True).returncode == 0
    train(data, folder / "r", "--epochs", "1", "--resume")
    result = subprocess.run(f"{DIABOLO} presets >&-", shell=True, stderr=subprocess.PIPE)
    assert result.returncode == 5 and b"standard output" in result.stderr


def test_color_and_progress(folder):
    data, model = prepared(folder)
    assert b"\033" not in run("inspect", "/nowhere", code=3).stderr
    colored = subprocess.run([DIABOLO, "inspect", "/nowhere", "--color", "always"],
                             capture_output=True).stderr
    assert colored.startswith(b"\033[1;31mdiabolo:\033[0m ")
    shown, hidden = os.openpty()
    training = subprocess.Popen([DIABOLO, "train", data, "-o", folder / "bar", *SMALL, "--epochs",
                                 "20000"], stderr=hidden, env=dict(os.environ, TERM="xterm"))
    os.close(hidden)
    text = b""
    try:
        while chunk := os.read(shown, 65536):  # meanwhile: a full terminal stops who writes
            text += chunk
            if re.search(rb"\r\033\[Kepoch \d+/20000 .*samples/s", text):
                training.send_signal(signal.SIGINT)
    except OSError:
        pass  # the end of a terminal
    assert training.wait(60) == 130 and b"samples/s" in text, text[-500:]
    quiet = train(data, folder / "quiet", "--epochs", "3", "--progress", "none").stderr
    assert b"samples/s  loss" not in quiet
    plain = train(data, folder / "plain", "--epochs", "3", "--progress", "plain").stderr
    assert re.search(rb"^epoch 3/3 100%  .*samples/s  loss", plain, re.MULTILINE), plain
    encode = ["encode", model, "-", "-o", folder / "c.raw", "--progress"]
    assert b"300 rows  " in run(*encode, "plain", input=data.read_bytes()).stderr
    assert run(*encode, "none", input=data.read_bytes()).stderr.count(b"\n") == 1


if __name__ == "__main__":
    main(globals())
