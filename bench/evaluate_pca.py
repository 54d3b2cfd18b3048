#!/usr/bin/env python3
"""PCA of `diabolo evaluate` beside NumPy: seconds, and the mse that each finds.

  bench/evaluate_pca.py [--diabolo build/release/diabolo] [--folder /tmp]
                        [--shapes 2000x2000,60x3072]

Rows are 20 directions and as much noise, the hard case of an iteration. A shape's `evaluate` is
timed with PCA and without (`--pca-from none`); NumPy forms the smaller matrix of products and takes
all of its eigenvectors (`eigh`), nothing read from a file. One line of JSON for each shape.
"""
import argparse
import json
import pathlib
import subprocess
import time

import numpy

SHAPES = "60x3072,60x4000,2000x2000,6000x2000,1000x20000,3000x6000"
CODE = 16


def make_rows(count, features):
    random = numpy.random.default_rng(1)
    signal = random.normal(size=(count, 20)) @ random.normal(size=(20, features)) * 0.3
    return (signal + random.normal(size=(count, features))).astype("f4")


def numpy_pca(rows):
    """The mse that the leading directions of standardised rows leave, and the seconds."""
    began = time.perf_counter()
    deviation = rows.std(axis=0, dtype=float)
    scaled = (rows - rows.mean(axis=0, dtype=float)) / deviation
    products = scaled @ scaled.T if len(rows) < rows.shape[1] else scaled.T @ scaled
    values = numpy.linalg.eigh(products)[0]
    return values[:-CODE].sum() / rows.size, time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diabolo", default="build/release/diabolo")
    parser.add_argument("--folder", default="/tmp", type=pathlib.Path)
    parser.add_argument("--shapes", default=SHAPES)
    options = parser.parse_args()
    data, model = options.folder / "pca_rows.npy", options.folder / "pca_run"

    def diabolo(*arguments):
        began = time.perf_counter()
        out = subprocess.run([options.diabolo, *map(str, arguments)], check=True,
                             capture_output=True).stdout
        return out, time.perf_counter() - began

    for shape in options.shapes.split(","):
        rows = make_rows(*map(int, shape.split("x")))
        numpy.save(data, rows)
        diabolo("train", data, "-o", model, "--overwrite", "--epochs", 1, "--code-size", CODE,
                "--set", "model.encoder.hidden=[8]")
        out, seconds = diabolo("evaluate", model, data, "--json")
        _, without = diabolo("evaluate", model, data, "--json", "--pca-from", "none")
        mse, numpy_seconds = numpy_pca(rows)
        found = json.loads(out)["pca"]["mse"]
        print(json.dumps({"shape": shape, "pca_s": round(seconds - without, 3),
                          "evaluate_s": round(seconds, 3), "numpy_s": round(numpy_seconds, 3),
                          "mse": found, "excess": round(found / mse - 1, 7)}), flush=True)


if __name__ == "__main__":
    main()
