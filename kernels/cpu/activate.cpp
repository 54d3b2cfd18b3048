// An activation alone.
#include "kernels/activate.h"

#include "kernels/cpu/define.h"
#include "kernels/cpu/passes.h"

namespace diabolo::kernels::cpu {
namespace {

template <class T>
Launch make(const Activate<T>& p, const CpuFeatures& cpu, void*) {
  const Team team(cpu, p.n, pass_cost::kCurve);
  return [p, team, forward = forward_block(team.isa, p.activation)](void*) {
    activate(team, forward, p.z, p.y, static_cast<T*>(nullptr), p.n);
  };
}

}  // namespace

DIABOLO_CPU_DEFINE(Activate<float>)
DIABOLO_CPU_DEFINE(Activate<Bf16>)

}  // namespace diabolo::kernels::cpu
