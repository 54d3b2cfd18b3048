// The files of upstream_test.py: what numpy writes is copied by our reader and writer, and a model
// file is made for the reader of the safetensors package.
//   upstream_files copy IN OUT.npy ROWS     in blocks of ROWS rows
//   upstream_files model OUT
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"
#include "data/writer.h"
#include "model/safetensors.h"

namespace diabolo {
namespace {

void copy(const std::string& in, const std::string& out, uint64_t block_rows) {
  const auto data = open_dataset(in);
  const auto writer = make_row_writer(out, "npy", data->x().row);
  AtomicWriter sink(out);
  writer->begin(sink, data->rows());
  std::vector<std::byte> block(block_rows * data->x().row.bytes());
  for (uint64_t first = 0; first < *data->rows(); first += block_rows) {
    const uint64_t rows = std::min(block_rows, *data->rows() - first);
    const auto part = std::span(block).first(rows * data->x().row.bytes());
    data->read(0, first, rows, part);
    sink.write(part);
  }
  writer->finish(sink, *data->rows());
  sink.commit();
}

void write_model(const std::string& out) {
  std::vector<float> weight(12);
  std::iota(weight.begin(), weight.end(), 0.0f);
  const std::vector<uint8_t> small = {1, 2, 3};
  const std::vector<double> scalar = {2.5};
  SafetensorsWriter writer;
  writer.set_metadata("config", "[model]\nname = \"caf\xc3\xa9\"\n");
  writer.add("weight", TensorDesc(DType::kF32, {3, 4}), std::as_bytes(std::span(weight)));
  writer.add("small", TensorDesc(DType::kU8, {3}), std::as_bytes(std::span(small)));
  writer.add("scalar", TensorDesc(DType::kF64, {}), std::as_bytes(std::span(scalar)));
  writer.add("none", TensorDesc(DType::kF32, {0, 2}), std::span<const std::byte>());
  writer.write(out);
}

}  // namespace
}  // namespace diabolo

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  try {
    if (command == "copy" && argc == 5) {
      diabolo::copy(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10));
    } else if (command == "model" && argc == 3) {
      diabolo::write_model(argv[2]);
    } else {
      std::fprintf(stderr, "usage: upstream_files copy IN OUT.npy ROWS | model OUT\n");
      return 2;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
