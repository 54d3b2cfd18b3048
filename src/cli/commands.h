// The commands, one file each.
#pragma once

#include <functional>

#include "cli/arguments.h"

namespace diabolo::cli {

std::function<int()> describe_train(Arguments& arguments);
std::function<int()> describe_encode(Arguments& arguments);
std::function<int()> describe_decode(Arguments& arguments);
std::function<int()> describe_reconstruct(Arguments& arguments);
std::function<int()> describe_score(Arguments& arguments);
std::function<int()> describe_evaluate(Arguments& arguments);
std::function<int()> describe_inspect(Arguments& arguments);
std::function<int()> describe_plan(Arguments& arguments);
std::function<int()> describe_selftest(Arguments& arguments);
std::function<int()> describe_devices(Arguments& arguments);
std::function<int()> describe_presets(Arguments& arguments);

}  // namespace diabolo::cli
