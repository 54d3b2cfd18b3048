#!/usr/bin/env bash
# From a fresh Debian 12 machine to codes of real images: installs what is missing, builds the
# command, trains the `dense` preset on Fashion-MNIST and encodes its 10,000 test images.
#
#   scripts/quickstart.sh [FOLDER]     results go to FOLDER (default: quickstart)
#
#   DIABOLO_JOBS=N                     compilers at once (all cores)
#   DIABOLO_EPOCHS=N                   passes over the 60,000 training images (20)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/packages.sh

folder=${1:-quickstart}
images=/usr/share/datasets/fashion-mnist
build=build/quickstart
jobs=${DIABOLO_JOBS:-$(nproc)}

step() { printf '\n== %s\n' "$*"; }

# Compute capability of the first GPU without its dot, e.g. 90; nothing without a driver.
gpu_capability() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
  case $capability in
    [0-9]*.[0-9]) echo "${capability/./}" ;;
  esac
}

# Why this machine gets the CPU version; nothing if it gets one for its GPU, of that capability.
why_cpu() {
  local capability=$1 release
  if [ -z "$capability" ]; then
    echo "no NVIDIA driver here"
  elif [ "$capability" -lt 80 ]; then
    echo "the GPU has compute capability ${capability%?}.${capability#"${capability%?}"}, 8.0 or newer is needed"
  elif ! command -v nvcc >/dev/null; then
    echo "there is a GPU but no nvcc (CUDA Toolkit 12.4 or newer)"
  else
    release=$(nvcc --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')
    if [ "$(printf '%s\n' "$release" 12.4 | sort -V | head -n 1)" != 12.4 ]; then
      echo "there is a GPU but nvcc is of CUDA $release, 12.4 or newer is needed"
    elif ! nvcc --list-gpu-code | grep -x "sm_$capability" >/dev/null; then
      echo "nvcc of CUDA $release does not know this GPU (sm_$capability)"
    fi
  fi
}

# The CMake arguments for this machine, after one line that says which build it is.
choose_build() {
  local capability reason
  PATH=$PATH:/usr/local/cuda/bin
  capability=$(gpu_capability)
  reason=$(why_cpu "$capability")
  if [ -n "$reason" ]; then
    echo "$reason: building for the CPU"
    arguments=(--preset release)
    return
  fi
  [ "$capability" = 90 ] && capability=90a
  echo "building for the CPU and this GPU ($capability-real)"
  arguments=(--preset cuda-quick "-DCMAKE_CUDA_ARCHITECTURES=$capability-real")
}

build_command() {
  cmake "${arguments[@]}" -B "$build" -DDIABOLO_TESTS=OFF -DDIABOLO_BENCH=OFF >"$folder/build.log"
  cmake --build "$build" --target diabolo_command -j "$jobs" >>"$folder/build.log" || {
    tail -n 40 "$folder/build.log" >&2
    return 1
  }
}

step "packages"
install_packages build data

step "build"
mkdir -p "$folder"
choose_build
build_command
diabolo=$build/diabolo

step "train: 60,000 images of 28x28 to codes of 32 numbers"
"$diabolo" train "$images/train-images-idx3-ubyte.gz" --preset dense \
  --epochs "${DIABOLO_EPOCHS:-20}" -o "$folder/run" --overwrite

step "encode: the 10,000 test images"
"$diabolo" encode "$folder/run" "$images/t10k-images-idx3-ubyte.gz" -o "$folder/codes.npy"

step "test error, beside PCA with codes of the same size (smaller mse is better)"
"$diabolo" evaluate "$folder/run" "$images/t10k-images-idx3-ubyte.gz"

cat <<END

$folder/codes.npy holds one row of 32 numbers per image; in Python:
  import numpy; print(numpy.load("$folder/codes.npy").shape)

Try next ($SECONDS s so far)
  $diabolo inspect $folder/run
  $diabolo reconstruct $folder/run $images/t10k-images-idx3-ubyte.gz -o $folder/images.npy
  $diabolo score $folder/run $images/t10k-images-idx3-ubyte.gz -o $folder/scores.csv --explain 3
  $diabolo train YOUR_DATA.npy --code-size 8 -o $folder/mine
  $diabolo --help, docs/guide.md
END
