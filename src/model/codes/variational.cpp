// variational: a code is a Gaussian with independent numbers. The encoder's last layer gives its
// mean, a head beside it the logarithm of its variance; while the model is trained the decoder
// reads a draw of it. Kingma & Welling 2014: the estimator is their equation 10, the divergence
// that of appendix B.
#include "model/code.h"
#include "model/model_graph.h"
#include "ops/gaussian_kl.h"
#include "ops/reparameterise.h"

namespace diabolo {
namespace {

ModelOption beta() {
  return {.table = "model.code",
          .name = "beta",
          .meaning = "weight of the divergence from the standard normal; 1: the evidence bound",
          .high = 1e6,
          .standard = {.number = 1}};
}

ModelOption beta_warmup() {
  return {.table = "model.code",
          .name = "beta_warmup_steps",
          .meaning = "steps over which beta rises from 0",
          .type = ConfigType::kInt,
          .high = 1e12};
}

std::vector<ModelOption> options() {
  return {beta(), beta_warmup()};
}

std::vector<Layer> heads(const Layer& last) {
  Layer head{.name = "code.log_variance", .line = last.line, .in = last.in};
  head.line.block->shape(head);
  return {head};
}

// From the prior.
ValueId draw(ModelGraph& model) {
  return model.normal_draws();
}

TrainedCode train(const CodeBuild& build) {
  const ValueId state = build.model.step_state();
  return {build.code, build.model.graph()
                          .add(kReparameterise, ReparameteriseAttrs{},
                               {build.code, build.heads[0], state}, "code draw")
                          .front()};
}

// Per row and feature, as the reconstruction is: so that loss times D is -ELBO in nats for bce.
std::vector<ValueId> build_kl(const TermBuild& build) {
  const CodeBuild code = build.model.code_build();
  Graph& graph = build.model.graph();
  const auto rows = static_cast<double>(graph.value(code.code).desc.extent(0));
  const auto features = static_cast<double>(build.network.features);
  const GaussianKlAttrs attrs{.scale = static_cast<float>(1 / (rows * features))};
  return {weighed(build, graph.add(kGaussianKl, attrs, {code.code, code.heads[0]}, "kl").front())};
}

constexpr TermDef kKl = {.name = "kl", .build = build_kl};

std::vector<TermSpec> terms(const ModelConfig& config) {
  return {{.name = kKl.name,
           .weight = beta().number(config),
           .warmup_steps = beta_warmup().integer(config),
           .counts_in_validation = true,
           .def = &kKl}};
}

}  // namespace

constinit const CodeDef kVariationalCode = {.name = "variational",
                                            .what = "a Gaussian per number; in use its mean",
                                            .options = options,
                                            .heads = heads,
                                            .terms = terms,
                                            .draw = draw,
                                            .train = train};

}  // namespace diabolo
