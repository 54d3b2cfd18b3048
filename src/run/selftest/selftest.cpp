#include "run/selftest/selftest.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "ops/registry.h"
#include "run/selftest/check.h"

namespace diabolo {
namespace {

using selftest::Case;
using selftest::CaseData;
using selftest::CheckResult;
using selftest::Expected;

// A case ready to be compared with: the reference runs once for all kernels.
struct PreparedCase {
  const Case& test_case;
  CaseData data;
  std::map<bool, Expected> expected;  // by whether operands may be rounded to tf32

  explicit PreparedCase(const Case& one) : test_case(one), data(selftest::data_of(one)) {}
  const Expected& for_device(const DeviceInfo& device) {
    const bool tf32 = device.space == Space::kCuda && device.cuda.allows_tf32;
    const auto found = expected.find(tf32);
    if (found != expected.end()) return found->second;
    return expected[tf32] = selftest::expected_of(test_case, data, tf32);
  }
};

// One op's kernels on all devices.
class OpRun {
 public:
  OpRun(const OpDef& op, std::span<Backend* const> backends) : backends_(backends) {
    for (Backend* backend : backends_) streams_.push_back(backend->create_stream());
    for (const Kernel& kernel : op.kernels) {
      bool is_somewhere = false;
      for (size_t k = 0; k < backends_.size(); ++k) {
        if (kernel.space != backends_[k]->info().space) continue;
        is_somewhere = true;
        add(op, kernel, k, backends_[k]->info().name);
      }
      if (!is_somewhere) add(op, kernel, kNowhere, "-");
    }
  }

  void run(const Case& test_case) {
    PreparedCase prepared(test_case);
    for (Entry& entry : entries_)
      if (entry.backend != kNowhere) run(prepared, entry);
  }

  std::vector<SelftestRow> rows() const {
    std::vector<SelftestRow> rows;
    for (const Entry& entry : entries_) {
      SelftestRow row = entry.row;
      if (entry.backend == kNowhere)
        row.reason = entry.kernel->space == Space::kCuda ? "no CUDA device" : "no host backend";
      rows.push_back(row);
    }
    return rows;
  }

 private:
  static constexpr size_t kNowhere = ~size_t{0};
  struct Entry {
    const Kernel* kernel = nullptr;
    size_t backend = kNowhere;
    SelftestRow row;
  };

  void add(const OpDef& op, const Kernel& kernel, size_t backend, const std::string& device) {
    Entry& entry = entries_.emplace_back();
    entry.kernel = &kernel;
    entry.backend = backend;
    entry.row.op = op.name;
    entry.row.kernel = kernel.name;
    entry.row.device = device;
  }

  void run(PreparedCase& prepared, Entry& entry) {
    SelftestRow& row = entry.row;
    const Case& test_case = prepared.test_case;
    if (test_case.is_large && entry.kernel->is_reference) return;
    Backend& backend = *backends_[entry.backend];
    const std::string refusal = selftest::refusal(test_case, *entry.kernel, backend.info());
    if (!refusal.empty()) {
      if (row.verdict == SelftestVerdict::kSkip) row.reason = refusal;
      return;
    }
    if (row.verdict == SelftestVerdict::kSkip) row.verdict = SelftestVerdict::kPass;
    if (row.cases++ == 0) row.reason.clear();
    const CheckResult result =
        check_kernel(test_case, prepared.data, prepared.for_device(backend.info()), *entry.kernel,
                     backend, *streams_[entry.backend]);
    row.worst = std::max(row.worst, result.worst);
    if (result.failure.empty() || row.verdict == SelftestVerdict::kFail) return;
    row.verdict = SelftestVerdict::kFail;
    row.reason = cat(test_case.name, ": ", result.failure);
  }

  std::span<Backend* const> backends_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Entry> entries_;
};

bool is_wanted(const Case& test_case, const SelftestOptions& options) {
  if (options.quick_only && !test_case.is_quick) return false;
  return test_case.name.find(options.filter) != std::string::npos;
}

}  // namespace

std::vector<SelftestRow> run_selftest(std::span<Backend* const> backends,
                                      const SelftestOptions& options) {
  std::vector<SelftestRow> rows;
  for (const OpDef* op : all_ops()) {
    const selftest::OpCases* cases = selftest::find_cases(*op);
    DIABOLO_CHECK(cases != nullptr, op->name, " has no cases");
    std::vector<Case> wanted;
    for (Case& test_case : cases_of(*cases))
      if (is_wanted(test_case, options)) wanted.push_back(std::move(test_case));
    if (wanted.empty()) continue;
    if (options.progress && !options.progress(op->name)) return rows;
    OpRun run(*op, backends);
    for (const Case& test_case : wanted) run.run(test_case);
    const auto op_rows = run.rows();
    rows.insert(rows.end(), op_rows.begin(), op_rows.end());
  }
  if (rows.empty())
    throw Error(ErrorCode::kUsage,
                cat("filter: no case's name contains '", options.filter,
                    "'; names look like 'dense_forward/relu f32 7x13x31 uniform'"));
  return rows;
}

}  // namespace diabolo
