// A line of metrics.jsonl.
#include <nlohmann/json.hpp>

#include "train/trainer.h"

namespace diabolo {

nlohmann::json EpochMetrics::json() const {
  nlohmann::json out = {{"epoch", epoch},
                        {"step", step},
                        {"samples", samples},
                        {"loss", loss},
                        {"reconstruction", reconstruction},
                        {"samples_per_s", samples_per_s},
                        {"seconds", seconds},
                        {"learning_rate", learning_rate}};
  if (validation_loss) out["validation_loss"] = *validation_loss;
  if (penalty) out["penalty"] = *penalty;
  return out;
}

}  // namespace diabolo
