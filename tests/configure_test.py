"""What CMake says where packages are missing, and that what can be left out is not needed."""
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
HIDDEN = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("GTest", "benchmark", "dnnl")]
HIDDEN += ["-DRAPIDCHECK_LIBRARY=OFF", "-DDIABOLO_OPENCL_INCLUDE_DIR=/usr/include"]


def configure(folder, *arguments):
    command = ["cmake", "-S", SOURCE, "-B", folder, "-DDIABOLO_BENCH=ON", *HIDDEN, *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, " ".join((result.stdout + result.stderr).split())


def main():
    with tempfile.TemporaryDirectory() as folder:
        code, text = configure(folder)
        assert code != 0, text
        for expected in ("libgtest-dev libgmock-dev librapidcheck-dev: for the tests; "
                         "-DDIABOLO_TESTS=OFF",
                         "libbenchmark-dev: for the benchmarks; -DDIABOLO_BENCH=OFF",
                         "libdnnl-dev: for fast products on the CPU; -DDIABOLO_ONEDNN=OFF",
                         "apt-get install libdnnl-dev libgtest-dev"):
            assert expected in text, text
        code, text = configure(folder, "-DDIABOLO_TESTS=OFF", "-DDIABOLO_BENCH=OFF",
                               "-DDIABOLO_ONEDNN=OFF")
        assert code == 0, text
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
