// Products by oneDNN. Written against oneDNN 2.6's and 3's common ground; where the two differ the
// code asks DNNL_VERSION_MAJOR.
#include <omp.h>
#include <pthread.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>
#include <mutex>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "kernels/cpu/product.h"

namespace diabolo::kernels::cpu {
namespace {

// oneDNN reads the number of threads when a primitive is made and keeps to it when it runs: with
// one it begins no OpenMP region.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// One at a time makes what oneDNN needs: whoever has asked for memory must still find it there. And
// nobody does in the moment of a fork(): the child would find this lock, or one within oneDNN, held
// by a thread that it does not have.
std::mutex& making() {
  static std::mutex mutex;
  [[maybe_unused]] static const int at_fork =
      pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
  return mutex;
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

const dnnl::stream& cpu_stream() {
  static const dnnl::stream stream(cpu_engine());
  return stream;
}

dnnl::memory::desc desc_of(const Matrix& m) {
  const auto type =
      m.element == Element::kBf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  const auto strides = m.is_transposed ? dnnl::memory::dims{1, m.row_stride()}
                                       : dnnl::memory::dims{m.row_stride(), 1};
  return {{m.rows, m.cols}, type, strides};
}

dnnl::primitive_attr attributes_of(const ProductShape& shape) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  // Not left to the environment: a lower precision would be a different kernel.
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  if (shape.accumulates) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  return attributes;
}

dnnl::matmul::primitive_desc describe(const ProductShape& shape) {
  const dnnl::memory::desc a = desc_of(shape.a);
  const dnnl::memory::desc b = desc_of(shape.b);
  const dnnl::memory::desc c =
      desc_of({shape.c, shape.a.rows, shape.b.cols, false, shape.c_stride});
  const dnnl::memory::desc bias =
      shape.has_bias ? desc_of({Element::kF32, 1, shape.b.cols, false}) : dnnl::memory::desc();
  const dnnl::primitive_attr attributes = attributes_of(shape);
#if DNNL_VERSION_MAJOR >= 3
  return shape.has_bias ? dnnl::matmul::primitive_desc(cpu_engine(), a, b, bias, c, attributes)
                        : dnnl::matmul::primitive_desc(cpu_engine(), a, b, c, attributes);
#else
  const dnnl::matmul::desc what =
      shape.has_bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
  return {what, attributes, cpu_engine()};
#endif
}

// oneDNN 2.6 writes into memory for its code without asking whether there was any. It is better to
// have asked for as much before, and more: a product has up to some 30 pieces of 256 KiB.
void require_memory() {
  constexpr size_t kEnoughBytes = size_t{32} << 20;
  void* const probe =
      mmap(nullptr, kEnoughBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) throw std::bad_alloc();
  munmap(probe, kEnoughBytes);
}

// A primitive with its arguments as the C interface takes them: the C++ one would build a list in
// every call.
class BoundMatmul {
 public:
  explicit BoundMatmul(const dnnl::matmul& matmul) : matmul_(matmul) {}

  void add(int name, const dnnl::memory::desc& desc, const void* data) {
    // oneDNN takes every address as mutable; it writes only to the destination and the scratch.
    memories_[count_] = dnnl::memory(desc, cpu_engine(), const_cast<void*>(data));
    arguments_[count_] = {name, memories_[count_].get()};
    ++count_;
  }

  // At its first run oneDNN makes what it has put off until then.
  void run() {
    if (has_run_) return execute();
    const std::lock_guard lock(making());
    require_memory();
    has_run_ = true;
    execute();
  }

 private:
  void execute() {
    const dnnl_status_t status = dnnl_primitive_execute(
        matmul_.get(), cpu_stream().get(), static_cast<int>(count_), arguments_.data());
    if (status != dnnl_success) throw std::runtime_error("oneDNN could not run a matrix product");
  }

  static constexpr size_t kMaxArguments = 5;
  dnnl::matmul matmul_;
  std::array<dnnl::memory, kMaxArguments> memories_;
  std::array<dnnl_exec_arg_t, kMaxArguments> arguments_{};
  size_t count_ = 0;
  bool has_run_ = false;
};

class OneDnnProduct final : public Product {
 public:
  explicit OneDnnProduct(const ProductShape& shape) : has_bias_(shape.has_bias) {
    const std::lock_guard lock(making());
    require_memory();
    const OneThread scope;
    description_ = describe(shape);
    matmul_ = dnnl::matmul(description_);
  }

  uint64_t scratch_bytes() const override { return description_.scratchpad_desc().get_size(); }

  std::function<void()> bind(const Operands& operands) const override {
    const auto bound = std::make_shared<BoundMatmul>(matmul_);
    bound->add(DNNL_ARG_SRC, description_.src_desc(), operands.a);
    bound->add(DNNL_ARG_WEIGHTS, description_.weights_desc(), operands.b);
    if (has_bias_) bound->add(DNNL_ARG_BIAS, description_.bias_desc(), operands.bias);
    bound->add(DNNL_ARG_DST, description_.dst_desc(), operands.c);
    if (scratch_bytes() > 0) {
      bound->add(DNNL_ARG_SCRATCHPAD, description_.scratchpad_desc(), operands.scratch);
    }
    return [bound] { bound->run(); };
  }

 private:
  bool has_bias_;
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul matmul_;
};

}  // namespace

OneDnnSets onednn_sets() {
  const int used = dnnl_get_effective_cpu_isa();
  const auto has = [used](int set) { return (used & set) == set; };
  return {has(dnnl_cpu_isa_avx512_core), has(dnnl_cpu_isa_avx512_core_bf16)};
}

std::unique_ptr<const Product> make_onednn_product(const ProductShape& shape) {
  return std::make_unique<const OneDnnProduct>(shape);
}

}  // namespace diabolo::kernels::cpu
