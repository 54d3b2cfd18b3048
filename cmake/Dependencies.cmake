# Everything from outside, found once.
if(DIABOLO_STATIC)
  set(ZLIB_USE_STATIC_LIBS ON)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-ffunction-sections;-fdata-sections>")
  add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections)
endif()
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(PkgConfig REQUIRED)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
if(DIABOLO_STATIC)
  find_library(DIABOLO_XXHASH_ARCHIVE libxxhash.a REQUIRED)
  set_target_properties(PkgConfig::xxhash PROPERTIES
    INTERFACE_LINK_LIBRARIES "${DIABOLO_XXHASH_ARCHIVE}")
  set_target_properties(PkgConfig::tomlplusplus PROPERTIES
    INTERFACE_LINK_LIBRARIES "" INTERFACE_COMPILE_OPTIONS ""
    INTERFACE_COMPILE_DEFINITIONS TOML_HEADER_ONLY=1)
endif()

if(DIABOLO_ONEDNN)
  find_package(dnnl 2.6 REQUIRED)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()

if(DIABOLO_CUDA)
  # One list for the whole project (docs/gpu.md); `cuda-quick` overrides it.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES
        80-real 86-real 89-real 90a-real 100-real 120-real 80-virtual)
  endif()
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know nvcc's flag for it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  find_package(CUDAToolkit 12.4 REQUIRED)
endif()

if(DIABOLO_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  find_path(RAPIDCHECK_INCLUDE_DIR rapidcheck.h REQUIRED)
  find_library(RAPIDCHECK_LIBRARY rapidcheck REQUIRED)
endif()
if(DIABOLO_BENCH AND DIABOLO_STATIC)  # Debian has Google Benchmark as a shared library, and its source
  include(FetchContent)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_INSTALL OFF)
  set(BENCHMARK_ENABLE_WERROR OFF)
  FetchContent_Declare(benchmark
    URL http://deb.debian.org/debian/pool/main/b/benchmark/benchmark_1.7.1.orig.tar.gz
        https://github.com/google/benchmark/archive/refs/tags/v1.7.1.tar.gz
    URL_HASH SHA256=6430e4092653380d9dc4ccb45a1e2dc9259d581f4866dc0759713126056bc1d7)
  FetchContent_MakeAvailable(benchmark)
  target_compile_options(benchmark PRIVATE -Os)
elseif(DIABOLO_BENCH)
  find_package(benchmark REQUIRED)
endif()
