#!/usr/bin/env bash
# Builds what a GPU machine without packages needs into one folder: the command, the benchmarks, the
# tests that need a GPU, the peers' scripts and Fashion-MNIST.
#
#   scripts/make_bundle.sh [ARCHITECTURE] [FOLDER]     default: 90a bundle
#
# All but the C library is linked statically; Google Benchmark, which Debian has as a shared library, is
# built from its source, fetched once. oneDNN is left out. Programs travel packed (gpu_check.sh unpacks
# them): each has the kernels in it. The whole folder, data included, takes at most 64 MiB.
set -euo pipefail
cd "$(dirname "$0")/.."
architecture=${1:-90a}
folder=${2:-bundle}
build=build/bundle
limit_kib=$((64 * 1024))

cmake --preset bundle -DCMAKE_CUDA_ARCHITECTURES="${architecture}-real"
programs=(diabolo op_bench train_bench encode_bench)
tests=(cuda_verbs_native_test cuda_dense_native_test cuda_flat_native_test cuda_math_native_test
  ladder_test huge_test)
cmake --build --preset bundle --target diabolo_command "${programs[@]:1}" "${tests[@]}"

rm -rf "$folder"
mkdir -p "$folder"/{bin,data,scripts,bench/baselines}
for program in "${programs[@]}" "${tests[@]}"; do
  strip -o "$folder/bin/$program" "$build/$program"
done
shared=$(ldd "$folder"/bin/* | awk '/=> \// {print $1}' | sort -u |
  grep -vE '^(libc|libm|libdl|librt|libpthread)\.' || true)
if [ -n "$shared" ]; then
  echo "make_bundle: not linked statically:" $shared >&2
  exit 1
fi
cp scripts/gpu_check.sh "$folder/scripts/"
cp bench/compare.py "$folder/bench/"
cp bench/baselines/*.py "$folder/bench/baselines/"
git rev-parse --short HEAD > "$folder/COMMIT"
fashion=/usr/share/datasets/fashion-mnist
cp "$fashion"/train-images-idx3-ubyte.gz "$fashion"/t10k-images-idx3-ubyte.gz \
   "$fashion"/t10k-labels-idx1-ubyte.gz "$folder/data/"

tar -C "$folder" -czf "$folder/bin.tar.gz" bin
rm -r "$folder/bin"
used=$(du -sk "$folder" | cut -f1)
echo "$folder: $used KiB, of these bin.tar.gz $(du -sk "$folder/bin.tar.gz" | cut -f1) and data" \
  "$(du -sk "$folder/data" | cut -f1)"
if [ "$used" -gt "$limit_kib" ]; then
  echo "make_bundle: $folder is larger than $limit_kib KiB" >&2
  exit 1
fi
echo "carry $folder to the GPU machine and run there: bash $folder/scripts/gpu_check.sh"
