#include "graph/dump.h"

#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "ops/product_work.h"

namespace diabolo {
namespace {

struct Totals {
  double flops = 0;
  double bytes = 0;
};

Totals totals(const Plan& plan) {
  Totals sum;
  for (const Step& step : plan.steps()) {
    sum.flops += step.cost.flops;
    sum.bytes += step.cost.bytes;
  }
  return sum;
}

std::string shapes(const Plan& plan, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) {
    const Value& value = plan.graph().value(id);
    text += cat(text.empty() ? "" : " ", value.desc.text());
    if (plan.offset(id) != Plan::kNotInArena) text += cat("@", plan.offset(id));
  }
  return text;
}

nlohmann::json values_json(const Plan& plan, const std::vector<ValueId>& ids) {
  auto list = nlohmann::json::array();
  for (const ValueId id : ids) {
    const Value& value = plan.graph().value(id);
    nlohmann::json entry = {
        {"name", value.name}, {"shape", value.desc.text()}, {"role", name(value.role)}};
    if (plan.offset(id) != Plan::kNotInArena) entry["offset"] = plan.offset(id);
    if (value.alias_of != kNoValue)
      entry["reshaped"] = plan.graph().value(value.alias_of).desc.text();
    list.push_back(std::move(entry));
  }
  return list;
}

nlohmann::json product_json(const ProductWork& work) {
  return {{"m", work.shape.m},     {"n", work.shape.n},     {"k", work.shape.k},
          {"tile_m", work.tile.m}, {"tile_n", work.tile.n}, {"splits", work.splits}};
}

// Of products by the CUDA tiles what bench/predict.py counts.
void add_products(nlohmann::json& entry, const Plan& plan, size_t index) {
  const Step& step = plan.steps()[index];
  const Node& node = plan.graph().node(step.node);
  const std::vector<TensorView> in = shapes_only(plan.graph(), node.in);
  const auto work = product_work(*node.op, *step.kernel, plan.call(index, in, {}), plan.device());
  if (work.size() == 1) entry["product"] = product_json(work[0]);
  if (work.size() < 2) return;
  for (const ProductWork& layer : work) entry["chain"].push_back(product_json(layer));
}

}  // namespace

std::string plan_text(const Plan& plan) {
  std::ostringstream out;
  out << "plan for " << plan.device().name << ": " << plan.steps().size() << " steps, arena "
      << plan.arena_bytes() << " bytes";
  if (plan.zeroed_bytes()) out << ", zeroed once " << plan.zeroed_bytes() << " bytes";
  out << "\n";
  for (size_t k = 0; k < plan.steps().size(); ++k) {
    const Step& step = plan.steps()[k];
    const Node& node = plan.graph().node(step.node);
    const std::string what = node.op->describe(node.attrs);
    out << std::setw(3) << k << "  " << node.name << ": " << step.kernel->name
        << (what.empty() ? "" : " (" + what + ")") << "\n"
        << "       " << shapes(plan, node.in) << " -> " << shapes(plan, node.out) << "\n"
        << "       " << std::setprecision(4) << step.cost.flops / 1e6 << " Mflop, "
        << step.cost.bytes / 1e6 << " MB";
    if (step.scratch_bytes)
      out << ", scratch " << step.scratch_bytes << " bytes @" << step.scratch_offset;
    if (step.zeroed_bytes)
      out << ", zeroed once " << step.zeroed_bytes << " bytes @" << step.zeroed_offset;
    if (step.joins_previous) out << ", in one launch with step " << k - 1;
    if (step.parts_reader >= 0) out << ", parts are added by step " << step.parts_reader;
    out << "\n";
    for (const Rejection& rejection : step.rejected)
      out << "       not " << rejection.kernel->name << ": " << rejection.reason << "\n";
  }
  const Totals sum = totals(plan);
  out << "total " << sum.flops / 1e6 << " Mflop, " << sum.bytes / 1e6 << " MB moved\n";
  return out.str();
}

nlohmann::json plan_json(const Plan& plan) {
  const Totals sum = totals(plan);
  nlohmann::json json = {{"device", plan.device().name},
                         {"arena_bytes", plan.arena_bytes()},
                         {"zeroed_bytes", plan.zeroed_bytes()},
                         {"flops", sum.flops},
                         {"bytes", sum.bytes},
                         {"steps", nlohmann::json::array()}};
  for (size_t k = 0; k < plan.steps().size(); ++k) {
    const Step& step = plan.steps()[k];
    const Node& node = plan.graph().node(step.node);
    nlohmann::json entry = {{"node", node.name},
                            {"op", node.op->name},
                            {"kernel", step.kernel->name},
                            {"attributes", node.op->describe(node.attrs)},
                            {"in", values_json(plan, node.in)},
                            {"out", values_json(plan, node.out)},
                            {"flops", step.cost.flops},
                            {"bytes", step.cost.bytes},
                            {"scratch_bytes", step.scratch_bytes},
                            {"scratch_offset", step.scratch_offset},
                            {"zeroed_bytes", step.zeroed_bytes},
                            {"zeroed_offset", step.zeroed_offset},
                            {"joins_previous", step.joins_previous},
                            {"rejected", nlohmann::json::array()}};
    add_products(entry, plan, k);
    if (step.parts_reader >= 0) entry["parts_reader"] = step.parts_reader;
    for (const Rejection& rejection : step.rejected)
      entry["rejected"].push_back(
          {{"kernel", rejection.kernel->name}, {"reason", rejection.reason}});
    json["steps"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace diabolo
