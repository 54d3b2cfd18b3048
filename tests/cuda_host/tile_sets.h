// Launches of tile products of a size that is not built.
#pragma once

namespace diabolo::test {

void launch_medium_tile_of_tf32();
void launch_medium_tile_of_a_set_without();

}  // namespace diabolo::test
