// For tests only: the functions that the classes of org.tensorflow.lite 2.16.1 call, on top of the
// C API of a desktop library. What the app does not use (signatures, cancelling, NNAPI) is left
// out: an UnsatisfiedLinkError would say so.
#include <jni.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/core/c/common.h"

// c_api.h of the Android package includes headers that the package does not hold.
struct TfLiteModel;
struct TfLiteInterpreter;
struct TfLiteInterpreterOptions;

extern "C" {
const char* TfLiteVersion();
TfLiteModel* TfLiteModelCreate(const void*, size_t);
void TfLiteModelDelete(TfLiteModel*);
TfLiteInterpreterOptions* TfLiteInterpreterOptionsCreate();
void TfLiteInterpreterOptionsDelete(TfLiteInterpreterOptions*);
void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions*, int32_t);
void TfLiteInterpreterOptionsAddDelegate(TfLiteInterpreterOptions*, TfLiteDelegate*);
void TfLiteInterpreterOptionsSetErrorReporter(TfLiteInterpreterOptions*,
                                              void (*)(void*, const char*, va_list), void*);
TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel*, const TfLiteInterpreterOptions*);
void TfLiteInterpreterDelete(TfLiteInterpreter*);
TfLiteStatus TfLiteInterpreterAllocateTensors(TfLiteInterpreter*);
TfLiteStatus TfLiteInterpreterInvoke(TfLiteInterpreter*);
int32_t TfLiteInterpreterGetInputTensorCount(const TfLiteInterpreter*);
int32_t TfLiteInterpreterGetOutputTensorCount(const TfLiteInterpreter*);
const int* TfLiteInterpreterInputTensorIndices(const TfLiteInterpreter*);
const int* TfLiteInterpreterOutputTensorIndices(const TfLiteInterpreter*);
TfLiteTensor* TfLiteInterpreterGetTensor(const TfLiteInterpreter*, int);
TfLiteType TfLiteTensorType(const TfLiteTensor*);
int32_t TfLiteTensorNumDims(const TfLiteTensor*);
int32_t TfLiteTensorDim(const TfLiteTensor*, int32_t);
size_t TfLiteTensorByteSize(const TfLiteTensor*);
void* TfLiteTensorData(const TfLiteTensor*);
const char* TfLiteTensorName(const TfLiteTensor*);
TfLiteQuantizationParams TfLiteTensorQuantizationParams(const TfLiteTensor*);
}

namespace {

// What a Java object holds of the native side, as a number.
template <typename T>
T* of(jlong handle) {
  return reinterpret_cast<T*>(static_cast<intptr_t>(handle));
}

jlong handle_of(const void* pointer) {
  return static_cast<jlong>(reinterpret_cast<intptr_t>(pointer));
}

struct ErrorReporter {
  char text[1024] = "";
};

struct Tensor {
  TfLiteInterpreter* interpreter;
  int index;
};

// The runtime reports what failed first and then what failed because of it: all of it is kept.
void report(void* data, const char* format, va_list arguments) {
  char line[1024];
  std::vsnprintf(line, sizeof(line), format, arguments);
  char* text = static_cast<ErrorReporter*>(data)->text;
  const size_t used = std::strlen(text);
  std::snprintf(text + used, sizeof(ErrorReporter::text) - used, "%s%s", used > 0 ? "\n" : "",
                line);
}

void raise(JNIEnv* env, const char* type, const char* what, const ErrorReporter* error) {
  char text[1200];
  std::snprintf(text, sizeof(text), "%s%s", what, error != nullptr ? error->text : "");
  env->ThrowNew(env->FindClass(type), text);
}

TfLiteTensor* tensor_of(jlong handle) {
  const Tensor* tensor = of<Tensor>(handle);
  return TfLiteInterpreterGetTensor(tensor->interpreter, tensor->index);
}

}  // namespace

#define TENSORFLOW_LITE(name) Java_org_tensorflow_lite_TensorFlowLite_##name
#define FACTORY(name) Java_org_tensorflow_lite_InterpreterFactoryImpl_##name
#define WRAPPER(name) Java_org_tensorflow_lite_NativeInterpreterWrapper_##name
#define TENSOR(name) Java_org_tensorflow_lite_TensorImpl_##name

extern "C" {

// The desktop library has a JNI_OnLoad that wants JavaCPP, and would be found through this one.
JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM*, void*) { return JNI_VERSION_1_8; }

JNIEXPORT void JNICALL TENSORFLOW_LITE(nativeDoNothing)(JNIEnv*, jclass) {}

JNIEXPORT jstring JNICALL FACTORY(nativeRuntimeVersion)(JNIEnv* env, jclass) {
  return env->NewStringUTF(TfLiteVersion());
}

JNIEXPORT jstring JNICALL FACTORY(nativeSchemaVersion)(JNIEnv* env, jclass) {
  return env->NewStringUTF("3");
}

JNIEXPORT jlong JNICALL WRAPPER(createErrorReporter)(JNIEnv*, jclass, jint) {
  return handle_of(new ErrorReporter);
}

JNIEXPORT jlong JNICALL WRAPPER(createModelWithBuffer)(JNIEnv* env, jclass, jobject buffer, jlong) {
  TfLiteModel* model = TfLiteModelCreate(env->GetDirectBufferAddress(buffer),
                                         static_cast<size_t>(env->GetDirectBufferCapacity(buffer)));
  if (model == nullptr) {
    raise(env, "java/lang/IllegalArgumentException",
          "ByteBuffer is not a valid TensorFlow Lite model", nullptr);
  }
  return handle_of(model);
}

JNIEXPORT jlong JNICALL WRAPPER(createInterpreter)(JNIEnv* env, jclass, jlong model, jlong errors,
                                                   jint threads, jboolean, jobject delegates) {
  TfLiteInterpreterOptions* options = TfLiteInterpreterOptionsCreate();
  if (threads > 0) TfLiteInterpreterOptionsSetNumThreads(options, threads);
  TfLiteInterpreterOptionsSetErrorReporter(options, report, of<ErrorReporter>(errors));
  jclass list = env->FindClass("java/util/List");
  jmethodID size = env->GetMethodID(list, "size", "()I");
  jmethodID get = env->GetMethodID(list, "get", "(I)Ljava/lang/Object;");
  jmethodID value = env->GetMethodID(env->FindClass("java/lang/Long"), "longValue", "()J");
  const jint count = env->CallIntMethod(delegates, size);
  for (jint i = 0; i < count; ++i) {
    const jlong delegate = env->CallLongMethod(env->CallObjectMethod(delegates, get, i), value);
    TfLiteInterpreterOptionsAddDelegate(options, of<TfLiteDelegate>(delegate));
  }
  TfLiteInterpreter* interpreter = TfLiteInterpreterCreate(of<TfLiteModel>(model), options);
  TfLiteInterpreterOptionsDelete(options);
  if (interpreter == nullptr) {
    raise(env, "java/lang/IllegalArgumentException",
          "Internal error: Cannot create interpreter: ", of<ErrorReporter>(errors));
  }
  return handle_of(interpreter);
}

JNIEXPORT jlong JNICALL WRAPPER(allocateTensors)(JNIEnv* env, jclass, jlong interpreter,
                                                 jlong errors) {
  if (TfLiteInterpreterAllocateTensors(of<TfLiteInterpreter>(interpreter)) != kTfLiteOk) {
    raise(env, "java/lang/IllegalStateException",
          "Internal error: Unexpected failure when preparing tensor allocations: ",
          of<ErrorReporter>(errors));
  }
  return 0;
}

JNIEXPORT void JNICALL WRAPPER(run)(JNIEnv* env, jclass, jlong interpreter, jlong errors) {
  if (TfLiteInterpreterInvoke(of<TfLiteInterpreter>(interpreter)) != kTfLiteOk) {
    raise(env, "java/lang/IllegalArgumentException",
          "Internal error: Failed to run on the given Interpreter: ", of<ErrorReporter>(errors));
  }
}

JNIEXPORT jint JNICALL WRAPPER(getInputCount)(JNIEnv*, jclass, jlong interpreter) {
  return TfLiteInterpreterGetInputTensorCount(of<TfLiteInterpreter>(interpreter));
}

JNIEXPORT jint JNICALL WRAPPER(getOutputCount)(JNIEnv*, jclass, jlong interpreter) {
  return TfLiteInterpreterGetOutputTensorCount(of<TfLiteInterpreter>(interpreter));
}

JNIEXPORT jint JNICALL WRAPPER(getInputTensorIndex)(JNIEnv*, jclass, jlong interpreter, jint i) {
  return TfLiteInterpreterInputTensorIndices(of<TfLiteInterpreter>(interpreter))[i];
}

JNIEXPORT jint JNICALL WRAPPER(getOutputTensorIndex)(JNIEnv*, jclass, jlong interpreter, jint i) {
  return TfLiteInterpreterOutputTensorIndices(of<TfLiteInterpreter>(interpreter))[i];
}

JNIEXPORT jobjectArray JNICALL WRAPPER(getSignatureKeys)(JNIEnv* env, jclass, jlong) {
  return env->NewObjectArray(0, env->FindClass("java/lang/String"), nullptr);
}

JNIEXPORT jboolean JNICALL WRAPPER(hasUnresolvedFlexOp)(JNIEnv*, jclass, jlong) {
  return JNI_FALSE;
}

JNIEXPORT jlong JNICALL WRAPPER(createCancellationFlag)(JNIEnv*, jclass, jlong) { return 0; }

JNIEXPORT jlong JNICALL WRAPPER(deleteCancellationFlag)(JNIEnv*, jclass, jlong) { return 0; }

JNIEXPORT void JNICALL WRAPPER(delete)(JNIEnv*, jclass, jlong errors, jlong model,
                                       jlong interpreter) {
  if (interpreter != 0) TfLiteInterpreterDelete(of<TfLiteInterpreter>(interpreter));
  if (model != 0) TfLiteModelDelete(of<TfLiteModel>(model));
  delete of<ErrorReporter>(errors);
}

JNIEXPORT jlong JNICALL TENSOR(create)(JNIEnv*, jclass, jlong interpreter, jint index, jint) {
  return handle_of(new Tensor{of<TfLiteInterpreter>(interpreter), index});
}

JNIEXPORT void JNICALL TENSOR(delete)(JNIEnv*, jclass, jlong tensor) { delete of<Tensor>(tensor); }

JNIEXPORT jobject JNICALL TENSOR(buffer)(JNIEnv* env, jclass, jlong tensor) {
  return env->NewDirectByteBuffer(TfLiteTensorData(tensor_of(tensor)),
                                  static_cast<jlong>(TfLiteTensorByteSize(tensor_of(tensor))));
}

JNIEXPORT void JNICALL TENSOR(writeDirectBuffer)(JNIEnv* env, jclass, jlong tensor,
                                                 jobject source) {
  std::memcpy(TfLiteTensorData(tensor_of(tensor)), env->GetDirectBufferAddress(source),
              TfLiteTensorByteSize(tensor_of(tensor)));
}

JNIEXPORT jint JNICALL TENSOR(dtype)(JNIEnv*, jclass, jlong tensor) {
  return TfLiteTensorType(tensor_of(tensor));
}

JNIEXPORT jint JNICALL TENSOR(numBytes)(JNIEnv*, jclass, jlong tensor) {
  return static_cast<jint>(TfLiteTensorByteSize(tensor_of(tensor)));
}

JNIEXPORT jint JNICALL TENSOR(index)(JNIEnv*, jclass, jlong tensor) {
  return of<Tensor>(tensor)->index;
}

JNIEXPORT jstring JNICALL TENSOR(name)(JNIEnv* env, jclass, jlong tensor) {
  return env->NewStringUTF(TfLiteTensorName(tensor_of(tensor)));
}

JNIEXPORT jfloat JNICALL TENSOR(quantizationScale)(JNIEnv*, jclass, jlong tensor) {
  return TfLiteTensorQuantizationParams(tensor_of(tensor)).scale;
}

JNIEXPORT jint JNICALL TENSOR(quantizationZeroPoint)(JNIEnv*, jclass, jlong tensor) {
  return TfLiteTensorQuantizationParams(tensor_of(tensor)).zero_point;
}

JNIEXPORT jboolean JNICALL TENSOR(hasDelegateBufferHandle)(JNIEnv*, jclass, jlong) {
  return JNI_FALSE;
}

JNIEXPORT jintArray JNICALL TENSOR(shape)(JNIEnv* env, jclass, jlong tensor) {
  const int count = TfLiteTensorNumDims(tensor_of(tensor));
  jintArray shape = env->NewIntArray(count);
  for (int i = 0; shape != nullptr && i < count; ++i) {
    const jint size = TfLiteTensorDim(tensor_of(tensor), i);
    env->SetIntArrayRegion(shape, i, 1, &size);
  }
  return shape;
}

JNIEXPORT jintArray JNICALL TENSOR(shapeSignature)(JNIEnv* env, jclass type, jlong tensor) {
  return TENSOR(shape)(env, type, tensor);
}

}  // extern "C"
