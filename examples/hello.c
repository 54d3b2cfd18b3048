/* Trains on points of a circle in eight dimensions, encodes them to two numbers each, finds the one
 * point that does not belong. */
#include <diabolo/diabolo.h>
#include <math.h>
#include <stdio.h>

enum { kRows = 500, kFeatures = 8, kCode = 2 };

/* Prints what went wrong; 0 if nothing did. */
static int failed(diabolo_status status) {
  if (status != DIABOLO_OK) fprintf(stderr, "%s\n", diabolo_last_error());
  return status != DIABOLO_OK;
}

static float data[kRows * kFeatures];
static float codes[kRows * kCode];

/* The exit status. */
static int use(const diabolo_model* model) {
  const float odd_row[kFeatures] = {1, -1, 1, -1, 1, -1, 1, -1};
  const diabolo_rows rows = diabolo_rows_f32(data, kRows, kFeatures);
  const diabolo_rows odd = diabolo_rows_f32(odd_row, 1, kFeatures);
  diabolo_model_info info = {.struct_size = sizeof info};
  float score = 0;
  if (failed(diabolo_encode(model, &rows, codes, kRows * kCode)) ||
      failed(diabolo_score(model, &odd, &score, 1)) || failed(diabolo_model_inspect(model, &info)))
    return 1;
  printf("row 0 is (%.3f, %.3f)\n", codes[0], codes[1]);
  printf("score %.3f is %s the threshold %.3f\n", score, score > info.threshold ? "above" : "below",
         info.threshold);
  return score > info.threshold ? 0 : 1;
}

int main(void) {
  const char* settings[] = {"model.encoder.hidden=[32]"};
  diabolo_context* context = NULL;
  diabolo_model* model = NULL;
  diabolo_train_options options = {.struct_size = sizeof options};
  int status = 1;
  for (int row = 0; row < kRows; ++row)
    for (int i = 0; i < kFeatures; ++i)
      data[row * kFeatures + i] = sinf(0.1f * (float)row + (float)i);
  options.settings = settings;
  options.setting_count = 1;
  options.epochs = 50;
  options.code_size = kCode;
  const diabolo_rows rows = diabolo_rows_f32(data, kRows, kFeatures);
  if (!failed(diabolo_context_create(NULL, &context)) &&
      !failed(diabolo_train(context, &rows, &options, &model, NULL)))
    status = use(model);
  diabolo_model_destroy(model);
  diabolo_context_destroy(context);
  return status;
}
