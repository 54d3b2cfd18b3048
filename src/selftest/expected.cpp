#include "selftest/expected.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/common/scalar.h"
#include "selftest/fill.h"

namespace diabolo::selftest {
namespace {

// The derived bound is of first order, and for round to nearest. Twice that covers the terms of
// higher order and tensor cores, which truncate when they add.
constexpr double kSafety = 2;

constexpr double kBf16Unit = 0x1p-8;

double rounded_to_bf16(double value) {
  return kernels::to_float(kernels::to_bf16(static_cast<float>(value)));
}

template <class T>
std::vector<T> lifted(const std::vector<std::byte>& bytes, const TensorDesc& desc) {
  std::vector<T> result;
  if (!is_float(desc.dtype())) return result;
  result.reserve(static_cast<size_t>(desc.elems()));
  for (int64_t k = 0; k < desc.elems(); ++k)
    result.push_back(T(element_at(bytes.data(), desc.dtype(), k)));
  return result;
}

template <class T>
ReferenceCall<T> reference_call(const Case& test_case, const CaseData& data,
                                std::vector<std::vector<std::byte>>& raw_out) {
  ReferenceCall<T> call(test_case.attrs);
  for (size_t k = 0; k < test_case.in.size(); ++k) {
    call.in_desc.push_back(test_case.in[k].desc);
    call.in.push_back(lifted<T>(data.in[k], test_case.in[k].desc));
    call.raw_in.push_back(data.in[k].data());
  }
  for (size_t k = 0; k < test_case.out.size(); ++k) {
    call.out_desc.push_back(test_case.out[k].desc);
    call.out.push_back(lifted<T>(data.out[k], test_case.out[k].desc));
    call.raw_out.push_back(raw_out[k].data());
  }
  return call;
}

template <class T>
ExpectedTensor tensor_of(const std::vector<T>& tracked, DType dtype, double slack) {
  ExpectedTensor result;
  for (const T& x : tracked) {
    const double value = x.value(), error = kSafety * x.error() + slack;
    const bool is_bf16 = dtype == DType::kBf16;
    result.value.push_back(is_bf16 && error == 0 ? rounded_to_bf16(value) : value);
    const double rounding = is_bf16 && error > 0 ? kBf16Unit * (std::fabs(value) + error) : 0;
    result.bound.push_back(error + rounding);
  }
  return result;
}

ExpectedTensor exact_tensor(const std::vector<std::byte>& bytes, const TensorDesc& desc) {
  ExpectedTensor result;
  for (int64_t k = 0; k < desc.elems(); ++k)
    result.value.push_back(element_at(bytes.data(), desc.dtype(), k));
  result.bound.assign(result.value.size(), 0);
  return result;
}

template <class T>
std::vector<ExpectedTensor> run(void (*reference)(ReferenceCall<T>&), const Case& test_case,
                                const CaseData& data) {
  DIABOLO_CHECK(reference != nullptr, test_case.name, " has no reference of its type");
  std::vector<std::vector<std::byte>> raw_out = data.out;
  ReferenceCall<T> call = reference_call<T>(test_case, data, raw_out);
  reference(call);
  std::vector<ExpectedTensor> result;
  for (size_t k = 0; k < call.out.size(); ++k) {
    const TensorDesc& desc = call.out_desc[k];
    result.push_back(call.out[k].empty() ? exact_tensor(raw_out[k], desc)
                                         : tensor_of(call.out[k], desc.dtype(), call.slack));
  }
  return result;
}

std::vector<ExpectedTensor> run_once(const Case& test_case, const CaseData& data,
                                     bool rounds_to_tf32) {
  const OpCases* cases = find_cases(*test_case.op);
  DIABOLO_CHECK(cases != nullptr, test_case.op->name, " has no cases");
  bool is_f64 = false;
  for (const Operand& operand : test_case.in) is_f64 |= operand.desc.dtype() == DType::kF64;
  for (const Operand& operand : test_case.out) is_f64 |= operand.desc.dtype() == DType::kF64;
  if (is_f64) return run(cases->reference.in_f64, test_case, data);
  if (rounds_to_tf32 && cases->reference.in_tf32)
    return run(cases->reference.in_tf32, test_case, data);
  return run(cases->reference.in_f32, test_case, data);
}

// |actual - expected| in units of the bound.
double distance(double actual, double expected, double bound) {
  if (std::isnan(expected)) return std::isnan(actual) ? 0 : INFINITY;
  if (actual == expected) return 0;
  if (std::isnan(actual) || std::isinf(expected) || bound == 0) return INFINITY;
  return std::fabs(actual - expected) / bound;
}

}  // namespace

CaseData data_of(const Case& test_case) {
  CaseData data;
  for (size_t k = 0; k < test_case.in.size(); ++k)
    data.in.push_back(fill_bytes(test_case.in[k], test_case.name, cat("in ", k)));
  for (size_t k = 0; k < test_case.out.size(); ++k)
    data.out.push_back(fill_bytes(test_case.out[k], test_case.name, cat("out ", k)));
  return data;
}

Expected expected_of(const Case& test_case, const CaseData& data, bool rounds_to_tf32) {
  using Choice = Ambiguity::Choice;
  Expected expected;
  ambiguity = {};
  expected.candidates.push_back(run_once(test_case, data, rounds_to_tf32));
  if (ambiguity.count == 0) return expected;
  for (const Choice choice : {Choice::kTrue, Choice::kFalse}) {
    ambiguity.choice = choice;
    expected.candidates.push_back(run_once(test_case, data, rounds_to_tf32));
  }
  ambiguity = {};
  return expected;
}

Comparison compare(const Case& test_case, const Expected& expected,
                   const std::vector<std::vector<std::byte>>& actual) {
  Comparison result;
  for (size_t output = 0; output < test_case.out.size(); ++output) {
    const TensorDesc& desc = test_case.out[output].desc;
    int64_t wrong = 0;
    for (int64_t k = 0; k < desc.elems(); ++k) {
      const auto at = static_cast<size_t>(k);
      const double value = element_at(actual[output].data(), desc.dtype(), k);
      double nearest = INFINITY;
      for (const auto& candidate : expected.candidates) {
        const ExpectedTensor& tensor = candidate[output];
        nearest = std::min(nearest, distance(value, tensor.value[at], tensor.bound[at]));
      }
      result.worst = std::max(result.worst, nearest);
      if (nearest <= 1) continue;
      const ExpectedTensor& first = expected.candidates[0][output];
      if (++wrong == 1 && result.failure.empty())
        result.failure = cat("output ", output, " ", desc.text(), " element ", k, ": ", value,
                             " instead of ", first.value[at], " +- ", first.bound[at]);
    }
    if (wrong > 1) result.failure += cat(" (and ", wrong - 1, " more)");
  }
  return result;
}

}  // namespace diabolo::selftest
