#include "cuda_host/tile_sets.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace diabolo {
namespace {

// Choosers never ask for these; whoever does is told, instead of getting an output that nobody
// wrote.
TEST(TileSets, ATileThatIsNotBuiltIsAnError) {
  EXPECT_THROW(test::launch_medium_tile_of_tf32(), std::logic_error);
  EXPECT_THROW(test::launch_medium_tile_of_a_set_without(), std::logic_error);
}

}  // namespace
}  // namespace diabolo
