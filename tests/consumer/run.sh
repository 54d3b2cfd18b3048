#!/usr/bin/env bash
# Installs a build, moves the installed tree, hides the build tree, and builds and runs the examples
# against what is left: once with CMake's find_package, once with pkg-config.
#
#   tests/consumer/run.sh BUILD_DIR
set -euo pipefail
build=$(realpath "$1")
source=$(realpath "$(dirname "$0")/../..")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/moved/here

cmake --install "$build" --prefix "$scratch/installed" >"$scratch/install.log"
mkdir -p "$scratch/moved"
mv "$scratch/installed" "$prefix"

# Nothing that was installed may know where it was built or where it was installed first.
if grep -rlF -e "$build" -e "$scratch/installed" "$prefix/lib" --include='*.cmake' --include='*.pc'; then
  echo "the files above name the build tree or the first prefix" >&2
  exit 1
fi
library=$(find "$prefix" -name 'libdiabolo.so.?')
readelf -d "$library" | grep -q "SONAME.*$(basename "$library")"
if readelf -d "$library" | grep -E 'R(UN)?PATH'; then
  echo "the installed library has a path to other libraries" >&2
  exit 1
fi

# in_private COMMAND...: where namespaces are allowed, the build tree cannot be seen by it.
in_private() {
  if [ -n "${hides_build:-}" ]; then
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare --mount --map-root-user sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$build" "$@"
  else
    "$@"
  fi
}
if unshare --mount --map-root-user true 2>/dev/null; then hides_build=yes; fi

echo "== CMake"
cp -r "$source/examples" "$scratch/examples"
in_private cmake -S "$scratch/examples" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" \
  >"$scratch/configure.log"
in_private cmake --build "$scratch/cmake" >"$scratch/build.log"
in_private "$scratch/cmake/hello_cpp"
in_private "$scratch/cmake/hello_c"

echo "== pkg-config"
export PKG_CONFIG_PATH
# As docs/library.md says, where nobody has chosen CMAKE_INSTALL_LIBDIR.
PKG_CONFIG_PATH=$prefix/lib/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs diabolo)"
rpath=-Wl,-rpath,$(pkg-config --variable=libdir diabolo)
"${CC:-cc}" -std=c99 -Wall -Wextra -Wpedantic -Werror "$scratch/examples/hello.c" -o "$scratch/hello_c" \
  "${flags[@]}" "$rpath" -lm
"${CXX:-c++}" -std=c++20 -Wall -Wextra -Wpedantic -Werror "$scratch/examples/hello.cpp" \
  -o "$scratch/hello_cpp" "${flags[@]}" "$rpath"
in_private "$scratch/hello_cpp"
in_private "$scratch/hello_c"

echo "== command"
in_private "$prefix/bin/diabolo" --version
echo "consumer: ok"
