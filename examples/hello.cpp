// Trains on points of a circle in eight dimensions, encodes them to two numbers each, finds the one
// point that does not belong.
#include <cmath>
#include <cstdio>
#include <diabolo/diabolo.hpp>

int main() {
  constexpr int kRows = 500, kFeatures = 8;
  std::vector<float> data;
  for (int row = 0; row < kRows; ++row)
    for (int i = 0; i < kFeatures; ++i) data.push_back(std::sin(0.1f * row + i));
  const diabolo::Rows rows(data, kFeatures);
  const diabolo::Model model = diabolo::Model::train(
      rows, {.settings = {"model.encoder.hidden=[32]"}, .epochs = 50, .code_size = 2});

  const std::vector<float> codes = model.encode(rows);
  std::printf("row 0 is (%.3f, %.3f)\n", codes[0], codes[1]);
  const std::vector<float> odd = {1, -1, 1, -1, 1, -1, 1, -1};
  const float score = model.score(diabolo::Rows(odd, kFeatures))[0];
  const double threshold = model.info().threshold;
  std::printf("score %.3f is %s the threshold %.3f\n", score, score > threshold ? "above" : "below",
              threshold);
  return score > threshold ? 0 : 1;
}
