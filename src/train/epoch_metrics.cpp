// A line of metrics.jsonl.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/trainer.h"

namespace diabolo {

nlohmann::json EpochMetrics::json() const {
  nlohmann::json out = {{"epoch", epoch},
                        {"step", step},
                        {"samples", samples},
                        {"loss", loss},
                        {"samples_per_s", samples_per_s},
                        {"seconds", seconds},
                        {"learning_rate", learning_rate}};
  if (validation_loss) out["validation_loss"] = *validation_loss;
  for (const TermValue& term : terms) {
    DIABOLO_CHECK(!out.contains(term.name), term.name, " stands there twice");
    out[term.name] = term.value;
  }
  return out;
}

}  // namespace diabolo
