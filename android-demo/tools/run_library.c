/* Runs a grouped 5x5 QConv with every kernel of a libqcnn_ops.so, on two threads, through the
 * delegate, and compares with a plain loop.
 *
 *     run libqcnn_ops.so custom_ops/tests/golden/options.txt
 */
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"

/* The first QConv of options.txt. */
enum { kSide = 6, kIn = 96, kOut = 256, kKernel = 5, kGroups = 2, kD = 8, kK = 128, kBits = 7 };
enum { kM = kIn / kGroups / kD, kTaps = kOut * kKernel * kKernel, kRow = (kTaps * kBits + 7) / 8 };
enum { kInputs = kSide * kSide * kIn, kOutputs = kSide * kSide * kOut };

static float input[kInputs], codebooks[kM * kK * kD], expected[kOutputs];
static uint8_t codes[kM][kTaps], packed[kM * kRow];
static uint8_t options[512];
static int options_size;

static TfLiteTensor tensors[4];
static TfLiteContext context;
static TfLiteNode node, kernel_node;
static TfLiteRegistration custom, claimed;
static TfLiteIntArray *plan, *one;
static struct TfLiteDelegate* current;

static void fail(const char* what) {
  printf("%s\n", what);
  exit(1);
}

static TfLiteIntArray* array(int count, const int* values) {
  TfLiteIntArray* made = malloc(sizeof(int) * (size_t)(count + 1));
  made->size = count;
  memcpy(made->data, values, sizeof(int) * (size_t)count);
  return made;
}

static void report(TfLiteContext* unused, const char* format, ...) {
  va_list arguments;
  (void)unused;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
}

static TfLiteStatus resize(TfLiteContext* unused, TfLiteTensor* tensor, TfLiteIntArray* dims) {
  (void)unused;
  tensor->bytes = sizeof(float);
  for (int i = 0; i < dims->size; ++i) tensor->bytes *= (size_t)dims->data[i];
  free(tensor->dims);
  free(tensor->data);
  tensor->dims = dims;
  tensor->data = malloc(tensor->bytes);
  return kTfLiteOk;
}

static TfLiteStatus get_plan(TfLiteContext* unused, TfLiteIntArray** out) {
  (void)unused;
  *out = plan;
  return kTfLiteOk;
}

static TfLiteStatus get_node(TfLiteContext* unused, int index, TfLiteNode** out,
                             TfLiteRegistration** registration) {
  (void)unused;
  (void)index;
  *out = &node;
  *registration = &custom;
  return kTfLiteOk;
}

static TfLiteStatus replace(TfLiteContext* unused, TfLiteRegistration registration,
                            const TfLiteIntArray* nodes, struct TfLiteDelegate* delegate) {
  (void)unused;
  if (nodes->size != 1) fail("expected one node at a time");
  claimed = registration;
  current = delegate;
  return kTfLiteOk;
}

static float random_float(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void make_layer(const char* path) {
  char op[16], hex[1100];
  FILE* file = fopen(path, "r");
  if (file == NULL) fail("options.txt cannot be read");
  while (fscanf(file, "%15s", op) == 1) {
    if (strcmp(op, "QConv") == 0 && fscanf(file, "%1023s", hex) == 1) break;
  }
  fclose(file);
  for (options_size = 0; hex[2 * options_size] != '\0'; ++options_size) {
    unsigned byte = 0;
    sscanf(hex + 2 * options_size, "%2x", &byte);
    options[options_size] = (uint8_t)byte;
  }
  for (int i = 0; i < kInputs; ++i) input[i] = random_float();
  for (int i = 0; i < kM * kK * kD; ++i) codebooks[i] = random_float() * 0.05f;
  for (int m = 0; m < kM; ++m) {
    for (int i = 0; i < kTaps; ++i) {
      codes[m][i] = (uint8_t)((int)((random_float() + 1.0f) * 63.9f));
      for (int b = 0; b < kBits; ++b) {
        const int at = i * kBits + b;
        if (codes[m][i] >> b & 1) packed[m * kRow + at / 8] |= (uint8_t)(1u << (at % 8));
      }
    }
  }
}

/* Stride 1, SAME, RELU; no bias, no scale. */
static void compute_expected(void) {
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      for (int o = 0; o < kOut; ++o) {
        const int group = o / (kOut / kGroups);
        double sum = 0;
        for (int ky = 0; ky < kKernel; ++ky) {
          for (int kx = 0; kx < kKernel; ++kx) {
            const int iy = y + ky - kKernel / 2, ix = x + kx - kKernel / 2;
            if (iy < 0 || iy >= kSide || ix < 0 || ix >= kSide) continue;
            const float* at = input + (iy * kSide + ix) * kIn + group * (kIn / kGroups);
            for (int m = 0; m < kM; ++m) {
              const float* word =
                  codebooks + (m * kK + codes[m][(o * kKernel + ky) * kKernel + kx]) * kD;
              for (int i = 0; i < kD; ++i) sum += (double)word[i] * at[m * kD + i];
            }
          }
        }
        expected[(y * kSide + x) * kOut + o] = sum > 0 ? (float)sum : 0;
      }
    }
  }
}

static void set(int index, TfLiteType type, TfLiteAllocationType where, void* data, size_t bytes,
                TfLiteIntArray* dims) {
  tensors[index].type = type;
  tensors[index].allocation_type = where;
  tensors[index].data = data;
  tensors[index].bytes = bytes;
  tensors[index].dims = dims;
  tensors[index].name = "layer";
}

static double error_of(const float* found) {
  double difference = 0, size = 0;
  for (int i = 0; i < kOutputs; ++i) {
    difference += pow((double)found[i] - expected[i], 2);
    size += pow(expected[i], 2);
  }
  return sqrt(difference / size);
}

int main(int count, char** arguments) {
  if (count != 3) fail("expected a library and options.txt");
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (library == NULL) fail(dlerror());
  QcnnStatus (*kernels)(size_t, const char**, const char**, int*) = dlsym(library, "qcnn_kernels");
  struct TfLiteDelegate* (*create)(const char*, uint32_t) = dlsym(library, "qcnn_delegate_create");
  void (*destroy)(struct TfLiteDelegate*) = dlsym(library, "qcnn_delegate_delete");
  void (*memory)(size_t*, size_t*) = dlsym(library, "qcnn_memory");
  if (!kernels || !create || !destroy || !memory) fail("functions are missing");
  make_layer(arguments[2]);
  compute_expected();

  set(0, kTfLiteFloat32, kTfLiteArenaRw, input, sizeof(input),
      array(4, (int[]){1, kSide, kSide, kIn}));
  set(1, kTfLiteFloat32, kTfLiteMmapRo, codebooks, sizeof(codebooks),
      array(3, (int[]){kM, kK, kD}));
  set(2, kTfLiteUInt8, kTfLiteMmapRo, packed, sizeof(packed), array(2, (int[]){kM, kRow}));
  set(3, kTfLiteFloat32, kTfLiteArenaRw, NULL, 0, array(1, (int[]){1}));
  node.inputs = array(5, (int[]){0, 1, 2, -1, -1});
  node.outputs = array(1, (int[]){3});
  node.custom_initial_data = options;
  node.custom_initial_data_size = options_size;
  custom.builtin_code = 32;
  custom.custom_name = "QConv";
  custom.version = 1;
  plan = array(1, (int[]){0});
  one = array(1, (int[]){0});
  context.tensors = tensors;
  context.tensors_size = 4;
  context.ResizeTensor = resize;
  context.ReportError = report;
  context.GetExecutionPlan = get_plan;
  context.GetNodeAndRegistration = get_node;
  context.ReplaceNodeSubsetsWithDelegateKernels = replace;
  context.recommended_num_threads = 2;

  const char *name, *features;
  int available = 0, ran = 0;
  for (size_t i = 0; kernels(i, &name, &features, &available) == QCNN_OK; ++i) {
    if (!available) continue;
    struct TfLiteDelegate* delegate = create(name, 0);
    if (delegate == NULL || delegate->Prepare(&context, delegate) != kTfLiteOk) fail("no delegate");
    TfLiteDelegateParams params = {current, one, node.inputs, node.outputs};
    kernel_node = node;
    kernel_node.user_data = claimed.init(&context, (const char*)&params, 0);
    if (claimed.prepare(&context, &kernel_node) != kTfLiteOk) fail("Prepare failed");
    for (int run = 0; run < 2; ++run) {
      if (claimed.invoke(&context, &kernel_node) != kTfLiteOk) fail("Invoke failed");
    }
    const double error = error_of(tensors[3].data);
    printf("%s%s %.1e", ran++ ? ", " : "QConv, relative error: ", name, error);
    claimed.free(&context, kernel_node.user_data);
    destroy(delegate);
    if (!(error < 0.005)) fail(": too large");
  }
  size_t held = 1, scratch = 1;
  memory(&held, &scratch);
  if (ran < 2 || held != 0 || scratch != 0) fail(": too few kernels, or memory is left");
  printf("\n");
  return 0;
}
