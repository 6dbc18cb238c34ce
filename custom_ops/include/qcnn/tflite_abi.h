/* The part of TensorFlow Lite's C ABI that this library uses, declared by us.
 *
 * These are facts of a public binary interface (tensorflow/lite/core/c/common.h), in its newest
 * layout. Since 2.9 fields were only appended: Registration grew from 64 to 88 bytes, Delegate from
 * 48 to 56, Context from 184 to 200 (64-bit); Tensor and Node have not changed. We read Context,
 * Tensor and Node as the host made them and never past the oldest layout; what we hand to the host
 * is zero-initialised, so that a newer host finds null in the fields it knows and we do not set.
 *
 * Nothing in this library links against TensorFlow Lite.
 */
#ifndef QCNN_TFLITE_ABI_H_
#define QCNN_TFLITE_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Hosts have more values than we name, newer ones more than we know. The last value of each enum
 * says so: without it a compiler may take them for impossible. */
typedef enum { kTfLiteOk = 0, kTfLiteError = 1, kTfLiteStatusAny = 0x7fffffff } TfLiteStatus;

typedef enum {
  kTfLiteNoType = 0,
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteInt64 = 4,
  kTfLiteInt8 = 9,
  kTfLiteFloat16 = 10,
  kTfLiteTypeAny = 0x7fffffff
} TfLiteType;

typedef enum {
  kTfLiteMemNone = 0,
  kTfLiteMmapRo = 1,
  kTfLiteArenaRw = 2,
  kTfLiteArenaRwPersistent = 3,
  kTfLiteDynamic = 4,
  kTfLitePersistentRo = 5,
  kTfLiteAllocationTypeAny = 0x7fffffff
} TfLiteAllocationType;

typedef enum {
  kTfLiteNoQuantization = 0,
  kTfLiteAffineQuantization = 1,
  kTfLiteQuantizationTypeAny = 0x7fffffff
} TfLiteQuantizationType;

enum {
  kTfLiteBuiltinLocalResponseNormalization = 13,
  kTfLiteBuiltinMaxPool2d = 17,
  kTfLiteBuiltinCustom = 32,
  kTfLiteBuiltinPad = 34,
  kTfLiteBuiltinDelegate = 51,
  kTfLiteOptionalTensor = -1,
  kTfLiteDelegateFlagsAllowDynamicTensors = 1
};

typedef struct TfLiteIntArray {
  int size;
  int data[];
} TfLiteIntArray;

typedef struct TfLiteFloatArray {
  int size;
  float data[];
} TfLiteFloatArray;

typedef struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
} TfLiteQuantizationParams;

typedef struct TfLiteQuantization {
  TfLiteQuantizationType type;
  void* params; /* TfLiteAffineQuantization when type says so */
} TfLiteQuantization;

typedef struct TfLiteAffineQuantization {
  TfLiteFloatArray* scale;
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
} TfLiteAffineQuantization;

struct TfLiteDelegate;
struct TfLiteContext;
struct TfLiteRegistration;

typedef struct TfLiteTensor {
  TfLiteType type;
  void* data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
  TfLiteAllocationType allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  struct TfLiteDelegate* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  TfLiteQuantization quantization;
  void* sparsity;
  const TfLiteIntArray* dims_signature;
} TfLiteTensor;

typedef struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  TfLiteIntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  struct TfLiteDelegate* delegate;
  bool might_have_side_effect;
} TfLiteNode;

/* builtin_data of a LOCAL_RESPONSE_NORMALIZATION node (tensorflow/lite/core/c/builtin_op_data.h).
 */
typedef struct TfLiteLocalResponseNormParams {
  int radius;
  float bias;
  float alpha;
  float beta;
} TfLiteLocalResponseNormParams;

/* builtin_data of a MAX_POOL_2D node. */
typedef struct TfLitePoolParams {
  int padding; /* 1: SAME, 2: VALID */
  int stride_width;
  int stride_height;
  int filter_width;
  int filter_height;
  int activation; /* 0: none */
  int computed[4];
} TfLitePoolParams;

typedef struct TfLiteDelegateParams {
  struct TfLiteDelegate* delegate;
  TfLiteIntArray* nodes_to_replace;
  TfLiteIntArray* input_tensors;
  TfLiteIntArray* output_tensors;
} TfLiteDelegateParams;

typedef struct TfLiteRegistration {
  void* (*init)(struct TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(struct TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(struct TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(struct TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const struct TfLiteContext* context, const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external; /* since 2.10 */
  void* async_kernel;          /* since 2.13 */
  uint64_t inplace_operator;   /* since 2.15 */
} TfLiteRegistration;

typedef struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(struct TfLiteContext*, TfLiteIntArray** execution_plan);
  TfLiteTensor* tensors;
  void* impl_;
  TfLiteStatus (*ResizeTensor)(struct TfLiteContext*, TfLiteTensor*, TfLiteIntArray* new_size);
  void (*ReportError)(struct TfLiteContext*, const char* format, ...);
  TfLiteStatus (*AddTensors)(struct TfLiteContext*, int, int*);
  TfLiteStatus (*GetNodeAndRegistration)(struct TfLiteContext*, int node_index, TfLiteNode**,
                                         TfLiteRegistration**);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(struct TfLiteContext*, TfLiteRegistration,
                                                        const TfLiteIntArray* nodes_to_replace,
                                                        struct TfLiteDelegate*);
  int recommended_num_threads;
  void* GetExternalContext;
  void* SetExternalContext;
  bool allow_fp32_relax_to_fp16;
  void* profiler;
  void* AllocatePersistentBuffer;
  void* AllocateBufferForEval;
  void* RequestScratchBufferInArena;
  void* GetScratchBuffer;
  TfLiteStatus (*ResizeTensorExplicit)(struct TfLiteContext*, TfLiteTensor*, int dims,
                                       const int* shape);
  TfLiteStatus (*PreviewDelegatePartitioning)(struct TfLiteContext*,
                                              const TfLiteIntArray* nodes_to_replace,
                                              TfLiteDelegateParams** partitions, int* count);
  void* GetTensor;
  void* GetEvalTensor;
  void* GetModelMetadata;
  void* AcquireSubgraphContext; /* since 2.11 */
  void* ReleaseSubgraphContext; /* since 2.11 */
#if defined(_WIN32)
  TfLiteIntArray* (*TfLiteIntArrayCreate)(int size);
  void (*TfLiteIntArrayFree)(TfLiteIntArray*);
#endif
} TfLiteContext;

typedef struct TfLiteDelegate {
  void* data_;
  TfLiteStatus (*Prepare)(TfLiteContext*, struct TfLiteDelegate*);
  void* CopyFromBufferHandle;
  void* CopyToBufferHandle;
  void* FreeBufferHandle;
  int64_t flags;
  void* opaque_delegate_builder; /* since 2.12 */
} TfLiteDelegate;

#ifdef __cplusplus
} /* extern "C" */

static_assert(sizeof(TfLiteLocalResponseNormParams) == 16,
              "TfLiteLocalResponseNormParams is laid out as in TensorFlow Lite 2.9 to 2.21");
static_assert(sizeof(TfLitePoolParams) == 40 && offsetof(TfLitePoolParams, activation) == 20,
              "TfLitePoolParams is laid out as in TensorFlow Lite 2.9 to 2.21");
#if UINTPTR_MAX == UINT64_MAX
static_assert(sizeof(TfLiteTensor) == 112 && offsetof(TfLiteTensor, dims) == 16 &&
                  offsetof(TfLiteTensor, allocation_type) == 32 &&
                  offsetof(TfLiteTensor, bytes) == 40 && offsetof(TfLiteTensor, quantization) == 80,
              "TfLiteTensor is laid out as in TensorFlow Lite 2.9 to 2.21");
static_assert(sizeof(TfLiteNode) == 80 && offsetof(TfLiteNode, user_data) == 32 &&
                  offsetof(TfLiteNode, custom_initial_data) == 48,
              "TfLiteNode is laid out as in TensorFlow Lite 2.9 to 2.21");
static_assert(sizeof(TfLiteRegistration) == 88 && offsetof(TfLiteRegistration, version) == 56,
              "TfLiteRegistration is laid out as in TensorFlow Lite 2.15 to 2.21");
static_assert(offsetof(TfLiteContext, ReportError) == 40 &&
                  offsetof(TfLiteContext, recommended_num_threads) == 72 &&
                  offsetof(TfLiteContext, ResizeTensorExplicit) == 144,
              "TfLiteContext is laid out as in TensorFlow Lite 2.9 to 2.21");
static_assert(sizeof(TfLiteDelegate) == 56 && offsetof(TfLiteDelegate, flags) == 40,
              "TfLiteDelegate is laid out as in TensorFlow Lite 2.12 to 2.21");
#if !defined(_WIN32)
static_assert(sizeof(TfLiteContext) == 200, "TfLiteContext as in TensorFlow Lite 2.11 to 2.21");
#endif
#endif
#endif /* __cplusplus */

#endif /* QCNN_TFLITE_ABI_H_ */
