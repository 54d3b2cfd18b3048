// plain: the encoder's last layer, as it is.
#include "model/code.h"

namespace diabolo {

constinit const CodeDef kPlainCode = {.name = "plain",
                                      .what = "the encoder's last layer, as it is"};

}  // namespace diabolo
