#include "selftest/case.h"

#include <array>

#include "base/error.h"

namespace diabolo::selftest {

Case& CaseList::add(const OpDef& op, const Attrs& attrs, const std::string& variant,
                    std::vector<Operand> in, std::vector<Fill> out) {
  std::vector<TensorDesc> in_desc;
  for (const Operand& operand : in) in_desc.push_back(operand.desc);
  const std::vector<TensorDesc> out_desc = op.infer(attrs, in_desc);
  if (out.empty()) out.assign(out_desc.size(), Fill::kGarbage);
  DIABOLO_CHECK(out.size() == out_desc.size(), op.name, ": ", out_desc.size(), " outputs");
  Case& added = cases_.emplace_back();
  added.name = cat(op.name, "/", variant);
  added.op = &op;
  added.attrs = attrs;
  added.in = std::move(in);
  for (size_t k = 0; k < out.size(); ++k) added.out.push_back({out_desc[k], out[k]});
  return added;
}

std::vector<Case> cases_of(const OpCases& op) {
  CaseList list;
  op.list(list);
  return list.take();
}

std::span<const OpCases* const> all_op_cases() {
#define DIABOLO_ADDRESS(Name) &k##Name##Cases,
  static constexpr std::array kAll = {DIABOLO_OPS(DIABOLO_ADDRESS)};
  return kAll;
}

const OpCases* find_cases(const OpDef& op) {
  for (const OpCases* entry : all_op_cases())
    if (entry->op == &op) return entry;
  return nullptr;
}

const char* name(Fill fill) {
  static constexpr const char* kNames[] = {"garbage",   "uniform", "unit",     "integers", "binary",
                                           "sparse",    "large",   "tiny",     "zeros",    "ones",
                                           "nan",       "broken",  "rankings", "bytes",    "order",
                                           "bad order", "state",   "halted"};
  return kNames[static_cast<int>(fill)];
}

}  // namespace diabolo::selftest
