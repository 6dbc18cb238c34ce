/* QConv and QFC, product-quantized layers, for stock TensorFlow Lite and LiteRT; and a faster local
 * response normalization.
 *
 * Three ways to bring the ops into an interpreter:
 *   - as an external delegate: load_delegate() in Python, --external_delegate_path of
 *     benchmark_model, TfLiteExternalDelegateCreate() in C++;
 *   - as a delegate made by qcnn_delegate_create(), for Java, Kotlin, Swift and C;
 *   - as custom ops, by qcnn_register_ops(), for the C API.
 *
 * The op contract is in custom_ops/README.md.
 */
#ifndef QCNN_OPS_H_
#define QCNN_OPS_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(QCNN_BUILDING)
#define QCNN_EXPORT __declspec(dllexport)
#elif defined(_WIN32)
#define QCNN_EXPORT /* the import library is enough */
#else
#define QCNN_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct TfLiteDelegate;

typedef enum {
  QCNN_OK = 0,
  QCNN_NOT_FOUND = 1,        /* the model has no such metadata; the host lacks a function */
  QCNN_INVALID_ARGUMENT = 2, /* a null pointer, an unknown kernel or flag */
  QCNN_DAMAGED = 3           /* the file's offsets do not lie inside it */
} QcnnStatus;

/* Version of the library, "major.minor.patch"; static. */
QCNN_EXPORT const char* qcnn_version(void);

/* Name of the kernel that "auto" selects on this machine; static. */
QCNN_EXPORT const char* qcnn_selected_kernel(void);

/* The kernels of this build, the fastest first: "auto" selects the first that is available.
 *
 * name: static. features: the CPU features that it needs, in words; static. available: 1 if this
 * CPU has them, 0 if not.
 * Returns QCNN_OK, QCNN_NOT_FOUND (index is behind the last) or QCNN_INVALID_ARGUMENT. */
QCNN_EXPORT QcnnStatus qcnn_kernels(size_t index, const char** name, const char** features,
                                    int* available);

/* Bytes that all layers of ours in the process hold now besides their model files: constants as the
 * kernels keep them, and scratch that they work in, one piece for an interpreter, as large as the
 * layer that needs most. Either may be null. */
QCNN_EXPORT void qcnn_memory(size_t* packed, size_t* scratch);

/* Flags. */
enum {
  /* Leave LOCAL_RESPONSE_NORMALIZATION, an op of TensorFlow Lite itself, to the host. Otherwise
   * ours replaces it: the same answer without the host's call of pow() for every value. */
  QCNN_WITHOUT_LRN = 1
};

/* A delegate that takes over every QConv and QFC, and every LOCAL_RESPONSE_NORMALIZATION of
 * float32.
 *
 * kernel: "auto" or the name of a kernel ("reference"); null is "auto".
 * flags: 0 or QCNN_WITHOUT_LRN.
 * Returns null if there is no such kernel or flag, or no memory. Delete the delegate after the last
 * interpreter that uses it; one delegate may serve several interpreters. */
QCNN_EXPORT struct TfLiteDelegate* qcnn_delegate_create(const char* kernel, uint32_t flags);
QCNN_EXPORT void qcnn_delegate_delete(struct TfLiteDelegate* delegate);

/* Adds QConv and QFC to options of TensorFlow Lite's C API (a TfLiteInterpreterOptions*), and,
 * unless flags has QCNN_WITHOUT_LRN, replaces LOCAL_RESPONSE_NORMALIZATION.
 *
 * The kernel is "auto"; the host's TfLiteInterpreterOptionsAddCustomOp and
 * TfLiteInterpreterOptionsAddBuiltinOp are looked up among the symbols of the process. A host
 * without the second keeps its own LOCAL_RESPONSE_NORMALIZATION: models run all the same.
 * Returns QCNN_OK, QCNN_NOT_FOUND (the first is not in the process, or it is one of Windows, where
 * nothing is looked up) or QCNN_INVALID_ARGUMENT. */
QCNN_EXPORT QcnnStatus qcnn_register_ops(void* interpreter_options, uint32_t flags);

typedef void (*QcnnAddCustomOp)(void* interpreter_options, const char* name,
                                const void* registration, int32_t min_version, int32_t max_version);
typedef void (*QcnnAddBuiltinOp)(void* interpreter_options, int32_t builtin_operator,
                                 const void* registration, int32_t min_version,
                                 int32_t max_version);

/* The same with a kernel, and with the host's functions where they cannot be looked up.
 *
 * add_builtin_op: may be null. kernel: as for qcnn_delegate_create().
 * Returns QCNN_OK or QCNN_INVALID_ARGUMENT, which a kernel is that this machine does not have. */
QCNN_EXPORT QcnnStatus qcnn_register_ops_with(QcnnAddCustomOp add_custom_op,
                                              QcnnAddBuiltinOp add_builtin_op,
                                              void* interpreter_options, const char* kernel,
                                              uint32_t flags);

/* Finds the metadata entry "qcnn_tflite" of a .tflite file in memory.
 *
 * model, size: the whole file; read within its bounds only, whatever it holds.
 * json, json_size: on QCNN_OK the UTF-8 text inside `model`, not terminated by a zero. */
QCNN_EXPORT QcnnStatus qcnn_read_metadata(const void* model, size_t size, const char** json,
                                          size_t* json_size);

/* Finds the mean image that the metadata announces with "mean_image": true.
 *
 * values, values_size: on QCNN_OK little-endian float16 inside `model`, (H, W, channels) with H and
 * W the metadata's "size"; the size in bytes. May stand on any address. */
QCNN_EXPORT QcnnStatus qcnn_read_mean_image(const void* model, size_t size, const void** values,
                                            size_t* values_size);

typedef struct {
  uint32_t qconv, qfc, lrn; /* nodes: QConv, QFC, LOCAL_RESPONSE_NORMALIZATION */
  const char* foreign_op;   /* name, inside the model, of a custom op that is not ours, or null */
  size_t foreign_op_size;   /* its bytes: it is not terminated by a zero */
} QcnnModelInfo;

/* Whether a .tflite file is whole: every table, constant and index of a tensor lies where it
 * should. For files that anyone may have made or cut off; what the layers hold is checked when they
 * are prepared.
 *
 * Returns QCNN_OK, QCNN_DAMAGED or QCNN_INVALID_ARGUMENT. */
QCNN_EXPORT QcnnStatus qcnn_check_model(const void* model, size_t size, QcnnModelInfo* info);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QCNN_OPS_H_ */
