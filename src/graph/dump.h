// A plan as text or JSON: what `diabolo plan` prints.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "graph/plan.h"

namespace diabolo {

std::string plan_text(const Plan& plan);
nlohmann::json plan_json(const Plan& plan);

}  // namespace diabolo
