#include "kernels/cpu/product.h"

#include <omp.h>

#include <array>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

namespace diabolo::kernels::cpu {
namespace {

// oneDNN reads the number of threads when a primitive is made and keeps to it when it runs.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

const dnnl::stream& cpu_stream() {
  static const dnnl::stream stream(cpu_engine());
  return stream;
}

dnnl::memory::data_type type_of(Element element) {
  return element == Element::kBf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

dnnl::memory::desc desc_of(const Matrix& m) {
  const dnnl::memory::dims strides =
      m.is_transposed ? dnnl::memory::dims{1, m.rows} : dnnl::memory::dims{m.cols, 1};
  return {{m.rows, m.cols}, type_of(m.element), strides};
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
  const ThreadCount scope(shape.threads);
  const dnnl::memory::desc a = desc_of(shape.a);
  const dnnl::memory::desc b = desc_of(shape.b);
  const dnnl::memory::desc c = desc_of({shape.c, shape.a.rows, shape.b.cols, false});
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

}  // namespace

struct Product::Kernel {
  explicit Kernel(const ProductShape& s)
      : shape(s), description(describe(s)), primitive(make(description, s.threads)) {}

  static dnnl::matmul make(const dnnl::matmul::primitive_desc& description, int threads) {
    const ThreadCount scope(threads);
    return dnnl::matmul(description);
  }

  ProductShape shape;
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
};

// The arguments as the C interface takes them: the C++ one would build a list in every call.
struct Product::Bound {
  static constexpr int kMaxArguments = 5;
  std::array<dnnl::memory, kMaxArguments> memories;
  std::array<dnnl_exec_arg_t, kMaxArguments> arguments{};
  int count = 0;

  void add(int name, const dnnl::memory::desc& desc, const void* data) {
    // oneDNN takes every address as mutable; it writes only to the destination and the scratch.
    memories[count] = dnnl::memory(desc, cpu_engine(), const_cast<void*>(data));
    arguments[count] = {name, memories[count].get()};
    ++count;
  }
};

const char* product_refusal(Element element, const CpuFeatures& cpu) {
  return element == Element::kBf16 && !cpu.has_bf16 ? "this CPU has no bf16 instructions" : nullptr;
}

uint64_t Product::scratch_bytes(const ProductShape& shape) {
  return describe(shape).scratchpad_desc().get_size();
}

Product::Product(const ProductShape& shape) : kernel_(std::make_shared<const Kernel>(shape)) {}

Product Product::bind(const void* a, const void* b, const float* bias, void* c,
                      void* scratch) const {
  const auto& description = kernel_->description;
  auto bound = std::make_shared<Bound>();
  bound->add(DNNL_ARG_SRC, description.src_desc(), a);
  bound->add(DNNL_ARG_WEIGHTS, description.weights_desc(), b);
  if (kernel_->shape.has_bias) bound->add(DNNL_ARG_BIAS, description.bias_desc(), bias);
  bound->add(DNNL_ARG_DST, description.dst_desc(), c);
  if (description.scratchpad_desc().get_size() > 0) {
    bound->add(DNNL_ARG_SCRATCHPAD, description.scratchpad_desc(), scratch);
  }
  Product result(*this);
  result.bound_ = std::move(bound);
  return result;
}

void Product::run() const {
  const dnnl_status_t status = dnnl_primitive_execute(kernel_->primitive.get(), cpu_stream().get(),
                                                      bound_->count, bound_->arguments.data());
  if (status != dnnl_success) throw std::runtime_error("oneDNN could not run a matrix product");
}

}  // namespace diabolo::kernels::cpu
