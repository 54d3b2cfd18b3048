// The commands, one file each; the tasks of a model share one.
#pragma once

#include <functional>

#include "cli/arguments.h"

namespace diabolo::cli {

std::function<int()> describe_train(Arguments& arguments);
std::function<int()> describe_file_task(Arguments& arguments);  // of the task it is named after
std::function<int()> describe_evaluate(Arguments& arguments);
std::function<int()> describe_inspect(Arguments& arguments);
std::function<int()> describe_plan(Arguments& arguments);
std::function<int()> describe_selftest(Arguments& arguments);
std::function<int()> describe_devices(Arguments& arguments);
std::function<int()> describe_presets(Arguments& arguments);

}  // namespace diabolo::cli
