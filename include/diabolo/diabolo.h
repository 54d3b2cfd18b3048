/* The C interface of diabolo: train autoencoders, and encode, decode, reconstruct and score rows
 * with them. All that libdiabolo.so exports is declared here. (C++: diabolo.hpp, above this.)
 *
 * Errors.   Every call that can fail returns a status, DIABOLO_OK or the kind of failure; what went
 *           wrong is in diabolo_last_error(), one line. After a failure outputs have unspecified
 *           content, handles given back are null (but see diabolo_train), and every handle
 *           passed in is as usable as before. Nothing is printed, no failure ends the process.
 * Structs.  The caller sets struct_size = sizeof the struct, also where the library fills the rest,
 *           and every byte that it does not set to 0 (= {0}). In options, a field that is 0 or NULL
 *           means its default; a null pointer to options means all defaults. Structs grow at their
 *           end in later versions. A shorter one, of a program built for an older version, has
 *           defaults in place of what it lacks, and no more than it is filled. A longer one is
 *           taken while what this library does not know is 0 (else USAGE), and what it does not
 *           know is filled with 0. Progress that callbacks receive has the library's size.
 * Sizes     are in elements (numbers, rows) unless their name says bytes.
 * Memory.   The caller allocates outputs (diabolo_output_size says how much). Inputs are borrowed
 *           for the length of a call and never written. Texts are UTF-8 and end with a 0 byte.
 * Threads.  Every function may be called from any thread at any time; where two calls on one handle
 *           would disturb each other, the function says so. Work runs inside the call or on threads
 *           of the library's own. The library leaves the caller's signals, floating-point mode,
 *           locale, affinity and OpenMP settings as it found them.
 * Callbacks run in the thread that made the call, in its environment, and never two of one call at
 *           once; but log lines may come from any thread.
 * fork().   In a child its parent's handles are USAGE, at once; destroying them only forgets them.
 *           Contexts and models that the child makes work (on a CPU: the CUDA driver serves no
 *           child of a process that has used it). A child must not return from a callback that it
 *           was made in. */
#ifndef DIABOLO_DIABOLO_H
#define DIABOLO_DIABOLO_H

#include <stdint.h>

#define DIABOLO_API __attribute__((visibility("default")))

/* Raised when something that programs rely on changes; libdiabolo.so.1 carries it in its name. */
#define DIABOLO_ABI_VERSION 1

#define DIABOLO_MAX_ROW_RANK 4
/* Features that diabolo_score_features names per row, at most. */
#define DIABOLO_MAX_WORST 32

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---------------------------------------------------------------------------------- */

/* The same numbers as the exit codes of the command. */
typedef int32_t diabolo_status;
enum {
  DIABOLO_OK = 0,
  DIABOLO_FAILURE = 1,       /* anything without a status of its own, and bugs */
  DIABOLO_USAGE = 2,         /* an argument: null, wrong size, unknown name, handle that is none */
  DIABOLO_DATA = 3,          /* bad or missing input data, read errors */
  DIABOLO_MODEL = 4,         /* bad or missing model or checkpoint */
  DIABOLO_RESOURCE = 5,      /* out of memory or disk, write errors */
  DIABOLO_DEVICE = 6,        /* device or driver; cuda asked of a build without it */
  DIABOLO_DIVERGED = 7,      /* training produced a loss that is not finite */
  DIABOLO_BUSY = 8,          /* another process is writing there: try again later */
  DIABOLO_STALE = 9,         /* unfinished work of another model, input or options is in the way */
  DIABOLO_INTERRUPTED = 130, /* a callback asked to stop */
  DIABOLO_CLOSED_PIPE = 141, /* the reader of an output pipe went away */
  DIABOLO_TERMINATED = 143   /* of the command only: SIGTERM */
};

/* "usage", "out of memory or disk" …; "unknown status" for other numbers. Never null. */
DIABOLO_API const char* diabolo_status_text(diabolo_status status);

/* What the latest call that failed in this thread has to say: object, expected, found, what to do.
 * "" if none has. Valid until the next call that fails in this thread. */
DIABOLO_API const char* diabolo_last_error(void);

/* Where that call failed because of one number of the data: 1, and its row and column, from 0 (of
 * the file, of the rows given, or of the results; the text says which). Else 0, and nothing is
 * written. Either address may be null. */
DIABOLO_API int32_t diabolo_last_error_position(uint64_t* row, uint64_t* column);

/* "0.1.0" of the library; and the DIABOLO_ABI_VERSION that it was built with. */
DIABOLO_API const char* diabolo_version(void);
DIABOLO_API uint32_t diabolo_abi_version(void);

/* ---- Context: a device and how to compute on it ---------------------------------------------- */

typedef struct diabolo_context diabolo_context;

/* f32: products and sums of floats. tf32: CUDA only, products of operands rounded to 10 bits. bf16:
 * products of operands rounded to 8 bits, where the device has them. Sums are always f32. */
typedef int32_t diabolo_precision;
enum { DIABOLO_PRECISION_F32 = 0, DIABOLO_PRECISION_TF32 = 1, DIABOLO_PRECISION_BF16 = 2 };

/* strict: the result of a row does not depend on the rows beside it. fast: kernels whose results do
 * are allowed. */
typedef int32_t diabolo_policy;
enum { DIABOLO_POLICY_STRICT = 0, DIABOLO_POLICY_FAST = 1 };

typedef int32_t diabolo_log_level;
enum { DIABOLO_LOG_INFO = 1, DIABOLO_LOG_WARNING = 2 };

/* Receives one line without a newline, valid for the length of the call. May be called from several
 * threads at once; must not call back into the context. */
typedef void (*diabolo_log_callback)(diabolo_log_level level, const char* line, void* user);

typedef struct diabolo_context_options {
  uint64_t struct_size;
  const char*
      device;       /* "auto" (default: CUDA if there is one, else cpu), "cpu", "cuda", "cuda:N" */
  uint64_t threads; /* of the CPU, at most all that the process may run on, with a warning where
                       that is fewer; 0: all, within the CPU quota of its control group */
  diabolo_precision precision;
  diabolo_policy policy;
  diabolo_log_callback log; /* null: messages are dropped */
  void* log_user;           /* handed to log */
} diabolo_context_options;

typedef struct diabolo_device_info {
  uint64_t struct_size;
  char name[128];        /* "AMD EPYC 9V74", cut to fit */
  int32_t is_cuda;       /* else the CPU */
  int32_t index;         /* of the CUDA device */
  uint64_t threads;      /* of the CPU that work runs on */
  uint64_t memory_bytes; /* all there is */
} diabolo_device_info;

/* USAGE: an unknown device text, precision or policy; a precision that the device lacks. DEVICE: no
 * such device, no driver. */
DIABOLO_API diabolo_status diabolo_context_create(const diabolo_context_options* options,
                                                  diabolo_context** context);

DIABOLO_API diabolo_status diabolo_context_info(const diabolo_context* context,
                                                diabolo_device_info* info);

/* Calls under way and models made from it keep what they need. Null is allowed. */
DIABOLO_API diabolo_status diabolo_context_destroy(diabolo_context* context);

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Types of numbers. Where rows go into a model, any of them may be given: values count, not types.
 */
typedef int32_t diabolo_dtype;
enum {
  DIABOLO_F32 = 1,
  DIABOLO_BF16 = 2,
  DIABOLO_F64 = 3,
  DIABOLO_F16 = 4,
  DIABOLO_U8 = 5,
  DIABOLO_I8 = 6,
  DIABOLO_U16 = 7,
  DIABOLO_I16 = 8,
  DIABOLO_U32 = 9,
  DIABOLO_I32 = 10,
  DIABOLO_U64 = 11,
  DIABOLO_I64 = 12,
  DIABOLO_BOOL = 13
};

/* Raw rows in the caller's memory: [count, shape…], row-major, without gaps. The model applies its
 * own preprocessing. */
typedef struct diabolo_rows {
  uint64_t struct_size;
  const void* data; /* may be null where count is 0 */
  uint64_t count;
  uint64_t shape[DIABOLO_MAX_ROW_RANK]; /* of one row: {784} or {28, 28} … */
  uint32_t rank;                        /* of shape, 1 to 4 */
  diabolo_dtype dtype;
} diabolo_rows;

/* count rows of `features` floats. */
static inline diabolo_rows diabolo_rows_f32(const float* data, uint64_t count, uint64_t features) {
  diabolo_rows rows = {sizeof(diabolo_rows), data, count, {features, 0, 0, 0}, 1, DIABOLO_F32};
  return rows;
}

/* What to do with a value that is NaN, infinite, or, scaled as the model does, too large for
 * f32. */
typedef int32_t diabolo_bad_value;
enum {
  DIABOLO_BAD_VALUE_MODEL = 0, /* as in training */
  DIABOLO_BAD_VALUE_ERROR = 1,
  DIABOLO_BAD_VALUE_ZERO = 2, /* it becomes 0, */
  DIABOLO_BAD_VALUE_MEAN = 3, /* or the training mean of the feature (0 in codes) */
  DIABOLO_BAD_VALUE_SKIP = 4  /* the row is left out */
};

/* How far a call over rows is. */
typedef struct diabolo_file_progress {
  uint64_t struct_size;
  uint64_t rows;       /* done so far; of files: read */
  uint64_t total_rows; /* 0: unknown */
  double rows_per_s;
} diabolo_file_progress;

/* Called in the thread that made the call, in its environment; in calls on rows in memory before
 * the first rows and then some 10 ms apart. Return 0 to go on, anything else to stop:
 * INTERRUPTED. */
typedef int32_t (*diabolo_file_callback)(const diabolo_file_progress* progress, void* user);

/* ---- Models ---------------------------------------------------------------------------------- */

/* Immutable once made: calls on one model from several threads run side by side and give the bits
 * that they would give alone. */
typedef struct diabolo_model diabolo_model;

/* A text that a model carries under a key. In arrays, wherefore this struct never grows. */
typedef struct diabolo_entry {
  const char* key;
  const char* value;
} diabolo_entry;

typedef struct diabolo_load_options {
  uint64_t struct_size;
  int32_t allow_unverified; /* take a file that carries no hash, as other tools rewrite it */
} diabolo_load_options;

typedef struct diabolo_model_info {
  uint64_t struct_size;
  uint64_t features;                        /* numbers in a row: in and, reconstructed, out */
  uint64_t code_size;                       /* numbers in a code */
  uint64_t row_shape[DIABOLO_MAX_ROW_RANK]; /* of the rows it was trained on; unused axes are 0 */
  uint32_t row_rank;                        /* 0: a single number */
  diabolo_dtype row_dtype;
  uint64_t parameters;    /* weights and biases */
  uint64_t training_rows; /* that it was trained on */
  uint64_t epochs;        /* that its weights have seen */
  uint64_t device_bytes;  /* memory held on the device now */
  /* Of the score: threshold_quantile of the scores of threshold_rows rows are below. NaN: none. */
  double threshold;
  double threshold_quantile;     /* 0 where there is no threshold, or one that was chosen */
  uint64_t feature_names;        /* as many as features, or 0: it has no names for them */
  uint64_t metadata_count;       /* entries of free metadata */
  uint64_t seed;                 /* of the training */
  uint64_t threshold_rows;       /* 0 where it was chosen (diabolo_model_with) */
  uint64_t threshold_validation; /* 1: they were validation rows, 0: the training's own */
} diabolo_model_info;

/* path: a model file or the folder of a training. MODEL: missing, damaged, of another kind or,
 * unless allowed, unverified. RESOURCE, DEVICE: it does not fit. */
DIABOLO_API diabolo_status diabolo_model_load(const diabolo_context* context, const char* path,
                                              const diabolo_load_options* options,
                                              diabolo_model** model);

/* The same from the bytes of a model file; they are not needed after the call. They are trusted as
 * little as a file's. */
DIABOLO_API diabolo_status diabolo_model_load_memory(const diabolo_context* context,
                                                     const void* data, uint64_t bytes,
                                                     const diabolo_load_options* options,
                                                     diabolo_model** model);

/* Writes one file, whole or not at all; an older one of that name is replaced. RESOURCE. */
DIABOLO_API diabolo_status diabolo_model_save(const diabolo_model* model, const char* path);

/* What diabolo_model_save writes, into memory with room for room_bytes; *bytes becomes how many it
 * takes. With room_bytes 0 (data may be null) nothing is written, and OK tells their number; where
 * there is too little room otherwise: USAGE, and *bytes is set too. */
DIABOLO_API diabolo_status diabolo_model_save_memory(const diabolo_model* model, void* data,
                                                     uint64_t room_bytes, uint64_t* bytes);

DIABOLO_API diabolo_status diabolo_model_inspect(const diabolo_model* model,
                                                 diabolo_model_info* info);

/* What there is to say of a model in text. */
typedef int32_t diabolo_text;
enum {
  DIABOLO_TEXT_HASH = 1,   /* tells its content from any other: of the file that it was loaded from,
                              else of the one that saving writes; 32 hexadecimal digits */
  DIABOLO_TEXT_CONFIG = 2, /* the resolved configuration, as TOML: train options' config_path takes
                              a file of it */
  DIABOLO_TEXT_VERSION = 3, /* of the library that trained it: "0.1.0" */
  DIABOLO_TEXT_DATA = 4,    /* the name of its training data; "rows" for rows in memory */
  DIABOLO_TEXT_SCALE = 5    /* how rows are scaled: "unit", "standard", "minmax" or "none" */
};

/* Texts given back belong to the model and live as long as it does. */
DIABOLO_API diabolo_status diabolo_model_text(const diabolo_model* model, diabolo_text which,
                                              const char** text);

/* *name: of a feature from 0; null where the model has no names. USAGE: no such feature. */
DIABOLO_API diabolo_status diabolo_model_feature_name(const diabolo_model* model, uint64_t feature,
                                                      const char** name);

/* *value: of that key of the free metadata; null where there is none. */
DIABOLO_API diabolo_status diabolo_model_metadata(const diabolo_model* model, const char* key,
                                                  const char** value);

/* The index-th entry of the free metadata, from 0, by key. USAGE: no such entry. */
DIABOLO_API diabolo_status diabolo_model_metadata_at(const diabolo_model* model, uint64_t index,
                                                     diabolo_entry* entry);

/* A raw value x of feature i reaches the network as (x - shift[i]) * scale[i]. shift, scale: with
 * room for `room` numbers each, at least the model's features. Either may be null. */
DIABOLO_API diabolo_status diabolo_model_scaling(const diabolo_model* model, double* shift,
                                                 double* scale, uint64_t room);

/* What a copy has in place of the model's. Names and metadata: UTF-8, names without control
 * characters and 4 MiB altogether; keys of 1 to 1000 bytes that do not begin with "diabolo", all
 * entries 1 MiB. */
typedef struct diabolo_model_changes {
  uint64_t struct_size;
  double threshold;                 /* of the score; 0: as it is */
  const char* const* feature_names; /* one per feature; null: as they are */
  uint64_t feature_name_count;
  const diabolo_entry* metadata; /* added, in place of entries of the same key; a null value removes
                                    the key; null: as it is */
  uint64_t metadata_count;
} diabolo_model_changes;

/* *changed: a model like this one with the changes, to be saved, used and destroyed like any other;
 * its results are the same bits. Both share the memory on the device. USAGE: a threshold that is
 * negative or not finite, texts that are not as said above. */
DIABOLO_API diabolo_status diabolo_model_with(const diabolo_model* model,
                                              const diabolo_model_changes* changes,
                                              diabolo_model** changed);

/* Calls under way on it end as if it lived. Null is allowed. */
DIABOLO_API diabolo_status diabolo_model_destroy(diabolo_model* model);

/* ---- Training -------------------------------------------------------------------------------- */

/* The loss is the sum of its terms: "reconstruction", those that the kind of code
 * brings, and each penalty that has a weight. A measure is a number that a kind of code reports
 * beside them; it may be NaN, after a resumption, for the epoch that was under way. */
#define DIABOLO_MAX_LOSS_TERMS 16
typedef struct diabolo_loss_term {
  char name[32];
  double value; /* with its weight; the same mean as the loss */
} diabolo_loss_term;

typedef struct diabolo_train_progress {
  uint64_t struct_size;
  uint64_t epoch; /* under way, from 1 */
  uint64_t epochs;
  uint64_t step; /* done, over the whole training */
  uint64_t steps;
  uint64_t samples; /* done, over the whole training */
  double samples_per_s;
  double loss;            /* mean of this epoch so far */
  double validation_loss; /* of the last epoch; NaN where there is none */
  double learning_rate;
  uint64_t term_count;
  diabolo_loss_term terms[DIABOLO_MAX_LOSS_TERMS]; /* of the loss; the first term_count */
  uint64_t measure_count;
  diabolo_loss_term measures[DIABOLO_MAX_LOSS_TERMS]; /* the first measure_count */
} diabolo_train_progress;

/* Called in the thread that made the call, at least about once a second and after each epoch.
 * Return 0 to go on, anything else to stop. */
typedef int32_t (*diabolo_train_callback)(const diabolo_train_progress* progress, void* user);

/* What to do with a run directory that is there already. */
typedef int32_t diabolo_run_use;
enum {
  DIABOLO_RUN_NEW = 0,      /* it must be absent or empty */
  DIABOLO_RUN_RESUME = 1,   /* continue from its checkpoint */
  DIABOLO_RUN_OVERWRITE = 2 /* replace the training in it */
};

/* Precedence: settings and the numbers here, before the file, before the preset. */
typedef struct diabolo_train_options {
  uint64_t struct_size;
  const char* preset;          /* "dense" if neither this nor the file names one */
  const char* config_path;     /* a TOML file, as the command takes it */
  const char* const* settings; /* "model.encoder.hidden=[64,32]" …: any key of the file */
  uint64_t setting_count;
  uint64_t epochs;
  uint64_t batch_size;
  uint64_t code_size;
  uint64_t seed; /* for seed 0 over a file that says otherwise, use settings */
  double learning_rate;
  const diabolo_rows* validation; /* else train.validation: a file or a fraction of the rows */
  const char* run_directory;      /* for model, checkpoints and metrics; null: in memory only */
  diabolo_run_use run_use;
  diabolo_train_callback progress;
  void* progress_user;              /* handed to progress */
  const char* const* feature_names; /* to be kept in the model, one per feature; null: none */
  uint64_t feature_name_count;
  const diabolo_entry*
      metadata;            /* to be kept in the model, see diabolo_model_changes; null: none */
  uint64_t metadata_count; /* (a training that is resumed has those of its start) */
} diabolo_train_options;

typedef struct diabolo_train_result {
  uint64_t struct_size;
  uint64_t epochs;          /* completed */
  double loss;              /* mean over the last completed epoch; NaN where there is none */
  double validation_loss;   /* after it; NaN without validation */
  int32_t is_stopped_early; /* the validation loss no longer fell */
  int32_t is_cancelled;
  uint64_t term_count;                             /* 0 where no epoch was completed */
  diabolo_loss_term terms[DIABOLO_MAX_LOSS_TERMS]; /* of the loss; the first term_count */
  uint64_t measure_count;
  diabolo_loss_term measures[DIABOLO_MAX_LOSS_TERMS]; /* the first measure_count */
} diabolo_train_result;

/* Trains on rows in memory, on the context's device, precision and policy. result may be
 * null. USAGE: options that are unknown, out of range or do not fit each other or the rows. DATA:
 * no rows, a value that is not finite, validation rows of another shape. RESOURCE: data and model
 * do not fit in memory, the run directory cannot be written. MODEL: a checkpoint that is damaged or
 * of another training. DIVERGED: lower the learning rate. INTERRUPTED: the callback asked to stop;
 * then *model is the state so far, without a threshold, to be destroyed as any other, and a run
 * directory holds a checkpoint. */
DIABOLO_API diabolo_status diabolo_train(const diabolo_context* context, const diabolo_rows* rows,
                                         const diabolo_train_options* options,
                                         diabolo_model** model, diabolo_train_result* result);

/* The same on a data file: .npy, IDX, IDX.gz, or raw (with settings data.dtype and data.shape). */
DIABOLO_API diabolo_status diabolo_train_file(const diabolo_context* context, const char* path,
                                              const diabolo_train_options* options,
                                              diabolo_model** model, diabolo_train_result* result);

/* ---- Rows through a model -------------------------------------------------------------------- */

typedef int32_t diabolo_verb;
enum {
  DIABOLO_ENCODE = 1,      /* rows to codes */
  DIABOLO_DECODE = 2,      /* codes to rows */
  DIABOLO_RECONSTRUCT = 3, /* rows to rows */
  DIABOLO_SCORE = 4,       /* rows to one number each */
  DIABOLO_GENERATE = 5     /* rows out of nothing, of models whose codes have a distribution */
};

/* How many numbers `verb` writes for that many rows (codes, for decode). USAGE: too many for 64
 * bits of bytes. */
DIABOLO_API diabolo_status diabolo_output_size(const diabolo_model* model, diabolo_verb verb,
                                               uint64_t rows, uint64_t* numbers);

/* The calls below do nothing for 0 rows. Up to 32 rows at a time the CPU computes in the caller's
 * thread. USAGE: too little room in the output (numbers, first to last). DATA: rows that do not fit
 * the model (their shape is neither the model's, axes of 1 aside, nor flat), a bad value in rows or
 * codes that the model's own policy does not mend, or a code or rebuilt number that is not finite,
 * by row and column from 0 (diabolo_last_error_position). diabolo_run_rows chooses the policy. */

/* codes: f32 [count, code_size], with room for codes_size numbers. */
DIABOLO_API diabolo_status diabolo_encode(const diabolo_model* model, const diabolo_rows* rows,
                                          float* codes, uint64_t codes_size);

/* codes: f32 [count, code_size]. rows: f32 [count, features] in the units of the training data,
 * with room for rows_size numbers. */
DIABOLO_API diabolo_status diabolo_decode(const diabolo_model* model, const float* codes,
                                          uint64_t count, float* rows, uint64_t rows_size);

/* out: f32 [count, features] in the units of the training data, with room for out_size numbers. */
DIABOLO_API diabolo_status diabolo_reconstruct(const diabolo_model* model, const diabolo_rows* rows,
                                               float* out, uint64_t out_size);

/* scores: f32 [count]: for each row the mean over features of the squared error of reconstruction,
 * in the model's scaled units. +inf where that is beyond f32 or cannot be computed; never NaN. */
DIABOLO_API diabolo_status diabolo_score(const diabolo_model* model, const diabolo_rows* rows,
                                         float* scores, uint64_t scores_size);

/* Scores and, for each row, the `worst` features with the largest squared errors, largest first,
 * equal ones by rising feature: features and errors are [count, worst], each with room for
 * worst_size numbers. An error that cannot be computed is +inf. USAGE too: worst is 0, over
 * DIABOLO_MAX_WORST, or over the model's features. */
DIABOLO_API diabolo_status diabolo_score_features(const diabolo_model* model,
                                                  const diabolo_rows* rows, uint64_t worst,
                                                  float* scores, uint64_t scores_size,
                                                  uint32_t* features, float* errors,
                                                  uint64_t worst_size);

/* ---- Bad values, row by row ------------------------------------------------------------------ */

/* What became of a row. */
typedef uint8_t diabolo_row_state;
enum {
  DIABOLO_ROW_OK = 0,
  /* Left out for a bad value; its results are NaN. */
  DIABOLO_ROW_BAD_INPUT = 1,
  /* Left out, as a code or rebuilt number of it is not finite; so are all of its results: NaN. */
  DIABOLO_ROW_BAD_RESULT = 2
};

typedef struct diabolo_row_options {
  uint64_t struct_size;
  diabolo_bad_value on_bad_value;
  diabolo_row_state* states; /* [count], one per row; null: not wanted */
  uint64_t states_size;      /* numbers that states has room for */
  double threshold;          /* of scores, for `above`; 0: the model's */
  uint8_t* above;      /* of scores: [count], 1: above the threshold, else 0; null: not wanted */
  uint64_t above_size; /* numbers that above has room for */
  diabolo_file_callback progress;
  void* progress_user; /* handed to progress */
  uint64_t count;     /* rows of a verb that reads none; of another: 0, or as many as it is given */
  uint64_t seed;      /* of what a verb draws; with a row's number it decides what that gets */
  double temperature; /* times the spread of what a verb draws; 0: 1 */
} diabolo_row_options;

/* The verbs above in one call, with options. rows: for DIABOLO_DECODE codes, of any type,
 * {code_size} each; for DIABOLO_GENERATE null, options->count says how many. out: what
 * diabolo_output_size says, [count, …], with room for out_size numbers.
 *
 * DIABOLO_BAD_VALUE_SKIP keeps every row in its place, so it needs states; where the model was
 * trained with it and there are none, a bad row is an error (DATA), as it is under ERROR. ZERO and
 * MEAN mend values that come in; codes or rows that come out and are not finite are DATA under all
 * policies but SKIP. A score is never NaN, but +inf where f32 cannot hold it. The first bad row is
 * named, however many threads look for it (diabolo_last_error_position). USAGE: MEAN with a model
 * that has no means, SKIP without states, `above` without a threshold or of another verb than
 * SCORE. INTERRUPTED: progress asked to stop. */
DIABOLO_API diabolo_status diabolo_run_rows(const diabolo_model* model, diabolo_verb verb,
                                            const diabolo_rows* rows,
                                            const diabolo_row_options* options, float* out,
                                            uint64_t out_size);

/* Where one output of a verb goes: [count, ...] numbers. */
typedef struct diabolo_output {
  uint64_t struct_size;
  diabolo_dtype dtype; /* F32, or the type of codes that are integers: U8, U16, U32 */
  void* data;
  uint64_t room; /* numbers that data has room for */
} diabolo_output;

/* A verb with all of its inputs and outputs, in the verb's order: diabolo_run_rows for those that
 * have several, or results that are no floats. All inputs have as many rows; a verb
 * without inputs gives options->count. USAGE too: another number of inputs or outputs than the
 * verb's, inputs of which one has more rows, another type than an output's. */
DIABOLO_API diabolo_status diabolo_run(const diabolo_model* model, diabolo_verb verb,
                                       const diabolo_rows* const* inputs, uint64_t input_count,
                                       const diabolo_row_options* options,
                                       const diabolo_output* const* outputs, uint64_t output_count);

/* What diabolo_explain says of each row's `worst` features, the largest squared error first. Arrays
 * are [count, worst] with room for `room` numbers each; those that are null are not wanted. */
typedef struct diabolo_explanation {
  uint64_t struct_size;
  uint64_t worst; /* 1 to DIABOLO_MAX_WORST, at most the model's features */
  uint64_t room;
  uint32_t* features;
  float* errors;       /* squared, in the model's scaled units, as diabolo_score_features */
  double* differences; /* value less expected, in the units of the data: above 0 is too large. The
                          value is that which the model took: a mended one, where it was bad */
  double* expected;    /* what the model expects of the value, in the units of the data */
} diabolo_explanation;

/* Scores with their reasons; options as in diabolo_run_rows, null for the defaults. The differences
 * and expected values cost a second pass over the rows, which progress counts anew; rows whose
 * reconstruction is not finite are then DATA, or left out. USAGE too: a `worst` that is too small
 * or large, too little room. */
DIABOLO_API diabolo_status diabolo_explain(const diabolo_model* model, const diabolo_rows* rows,
                                           const diabolo_row_options* options, float* scores,
                                           uint64_t scores_size,
                                           const diabolo_explanation* explanation);

/* ---- Evaluation ------------------------------------------------------------------------------ */

/* Called once, in the thread that made the call. text is valid for the length of the call. */
typedef void (*diabolo_text_callback)(const char* text, void* user);

typedef struct diabolo_evaluate_options {
  uint64_t struct_size;
  diabolo_bad_value on_bad_value;
  const uint8_t* labels; /* one per row: 0 ordinary, else anomalous; null: none are known */
  uint64_t label_count;
  const diabolo_rows* pca_from;   /* rows that PCA is fitted on, beside the model; null: no PCA */
  diabolo_text_callback report;   /* receives all there is, as one JSON object: docs/json.md */
  void* report_user;              /* handed to report */
  diabolo_file_callback progress; /* counts passes anew: those for PCA, then the evaluation */
  void* progress_user;            /* handed to progress */
  const char* labels_path; /* a file in place of labels: one number per row, 0 ordinary; or null */
  const char* pca_path;    /* a file in place of pca_from, read as the input is; or null */
  /* Of files, diabolo_evaluate_file's input and that of pca_path, as in diabolo_file_options. */
  const char* input_format;
  diabolo_dtype input_dtype;
  uint32_t input_rank;
  uint64_t input_shape[DIABOLO_MAX_ROW_RANK];
  const char* input_label_column; /* with neither labels nor labels_path, the input's labels */
  const char* input_id_column;
  const char* input_drop_columns;
  const char* input_header;
  const char* input_separator;
} diabolo_evaluate_options;

/* The main numbers; NaN where one does not apply. */
typedef struct diabolo_evaluation {
  uint64_t struct_size;
  uint64_t rows;            /* that were evaluated */
  double mse;               /* of the reconstruction, in scaled units */
  double psnr_db;           /* of models of unit scale */
  double pca_mse;           /* of PCA with as many components as a code has numbers */
  double auroc;             /* of scores against labels */
  double average_precision; /* the same */
  double false_alarm_rate;  /* share of ordinary rows above the threshold */
} diabolo_evaluation;

/* How good the model is on rows. result may be null. DATA: rows, labels or PCA's rows that do not
 * fit, a bad value that the policy does not mend, labels of one kind only. USAGE: labels, or rows
 * for PCA, in memory and by path. INTERRUPTED: progress asked to stop. */
DIABOLO_API diabolo_status diabolo_evaluate(const diabolo_model* model, const diabolo_rows* rows,
                                            const diabolo_evaluate_options* options,
                                            diabolo_evaluation* result);

/* The same on a data file, in bounded memory; a path only, not "-". Without pca_from and pca_path
 * there is no PCA: unlike the command it does not look for the training's files. */
DIABOLO_API diabolo_status diabolo_evaluate_file(const diabolo_model* model, const char* input,
                                                 const diabolo_evaluate_options* options,
                                                 diabolo_evaluation* result);

/* ---- Rows on the device ---------------------------------------------------------------------- */

/* The two calls below take rows that are in the memory of the context's CUDA device, work on a
 * stream of the caller's, and return before the work is done: it comes after all that was queued on
 * the stream before the call, and what is queued there later comes after it. The bits are those of
 * diabolo_encode and diabolo_score.
 *
 * rows       f32 or u8, raw; data is a device address. Values that are not finite are not looked
 *            for and give results that are not finite, in their row alone.
 * memory     cudaMalloc's on the context's device, or managed. rows and results must stay valid,
 *            and rows unchanged, until the stream has passed the call. Rows are copied once within
 *            the device, whatever their number; nothing passes through the host.
 * stream     a cudaStream_t of the context's device, or null: the device's default stream. Calls on
 *            different streams compute side by side, up to four of a kind.
 * first call The first calls for a kind of rows and a number of rows make plans, allocate device
 *            memory and record launches, and may wait for the device. Later ones only enqueue.
 * leaving    The current device of the thread stays as it was. After a failure nothing of the call
 *            is under way. Destroying the model waits for what is.
 *
 * DATA: rows that do not fit the model. USAGE: rows of another type, memory of the host or of
 * another device, too little room, a stream of another device or one that is being captured.
 * DEVICE: the model is on a CPU; the device fails. RESOURCE: its memory is full. */

/* codes: [count, code_size] of codes_dtype, which must be BF16 where the context's precision is
 * bf16, else F32; with room for codes_size numbers. (diabolo_encode widens bf16 to f32.) */
DIABOLO_API diabolo_status diabolo_encode_device(const diabolo_model* model,
                                                 const diabolo_rows* rows, void* codes,
                                                 diabolo_dtype codes_dtype, uint64_t codes_size,
                                                 void* stream);

/* scores: f32 [count], with room for scores_size numbers. */
DIABOLO_API diabolo_status diabolo_score_device(const diabolo_model* model,
                                                const diabolo_rows* rows, float* scores,
                                                uint64_t scores_size, void* stream);

/* ---- File to file ---------------------------------------------------------------------------- */

typedef struct diabolo_file_options {
  uint64_t struct_size;
  const char* input_format;                   /* as diabolo --format; null: by content and name */
  diabolo_dtype input_dtype;                  /* of raw files; 0: the training's or codes' */
  uint32_t input_rank;                        /* of raw files; 0: as in training */
  uint64_t input_shape[DIABOLO_MAX_ROW_RANK]; /* of one row */
  const char* output_format;                  /* "npy", "raw", "csv", "tsv"; null: by name */
  /* F32, F16 or BF16; 0: of codes the model's (in CSV F32), of rows in a raw file the training's,
   * of whatever else F32. */
  diabolo_dtype output_dtype;
  diabolo_bad_value on_bad_value;
  int32_t resume;      /* continue OUTPUT.partial of a run that was interrupted */
  uint64_t batch_rows; /* in flight at a time; results do not depend on it */
  uint64_t worst;      /* score: features named per row; csv only */
  diabolo_file_callback progress;
  void* progress_user; /* handed to progress */
  double threshold;    /* score: of above_threshold; 0: the model's */
  /* Columns of a table, by name or by number from 0; null: as in training, where it has them. */
  const char* input_label_column; /* no feature */
  const char* input_id_column;    /* no feature; the first column of a CSV output */
  const char* input_drop_columns; /* several, with commas between them */
  const char* input_header;       /* "yes": a table's first line is names; "no"; null: found */
  const char* input_separator;    /* "comma", "semicolon", "tab"; null: found */
  uint64_t count;                 /* rows of a verb that reads none; else 0 */
  uint64_t seed;                  /* of what a verb draws, */
  double temperature;             /* times its spread; 0: 1 */
} diabolo_file_options;

typedef struct diabolo_file_result {
  uint64_t struct_size;
  uint64_t rows_read;
  uint64_t rows_written;
  uint64_t resumed_rows;    /* of them, from before */
  uint64_t above_threshold; /* score: rows over the threshold; 0 where there is none */
  double seconds;
} diabolo_file_result;

/* Reads input, writes output, in bounded memory whatever their size. DIABOLO_GENERATE reads none:
 * input is null, options->count says how many rows. Work in progress is in
 * OUTPUT.partial; output appears when it is whole. result may be null. Paths only, not "-":
 * standard streams belong to the program. Where rows may be left out (SKIP), CSV numbers its rows
 * in a column `row`; beside another output there is OUTPUT.rows.npy, the numbers of the rows in it.
 * Rows that bring such a column keep their numbers.
 * DATA: input missing, damaged, a bad value or a result that is not finite (by row and column),
 * rows that do not fit the model. USAGE: output is the input, or the file that the model was loaded
 * from or last saved to, or another of its run directory; a threshold that is negative, not finite
 * or of another verb than SCORE. STALE: `resume`, but OUTPUT.partial is damaged or of another
 * model, input or options. BUSY: another process writes it. RESOURCE: memory, disk. CLOSED_PIPE:
 * output is a pipe without a reader. INTERRUPTED: the callback asked to stop; `resume`
 * continues. */
DIABOLO_API diabolo_status diabolo_run_file(const diabolo_model* model, diabolo_verb verb,
                                            const char* input, const char* output,
                                            const diabolo_file_options* options,
                                            diabolo_file_result* result);

#ifdef __cplusplus
}
#endif

#endif
