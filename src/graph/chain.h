// Dense layers that follow each other, joined to one launch where the device has a kernel for that
// and it is expected to pay. Beside the rewrite rules of fuse.h, which hold everywhere: this one
// looks at the device. The bits are those of the layers one by one; a layer that policy `fast`
// leaves to a library stays with it.
#pragma once

#include "graph/graph.h"
#include "graph/plan.h"

namespace diabolo {

Graph chain_layers(const Graph& graph, const DeviceInfo& device, const Policy& policy);

}  // namespace diabolo
