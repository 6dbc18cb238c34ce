// The functions of qcnn.tflite.Native. Nothing here trusts what a file holds; see qcnn_ops.h.
#include <jni.h>

#include <atomic>

#include "qcnn/qcnn_ops.h"

namespace {

std::atomic<int> delegates{0};

TfLiteDelegate* delegate_of(jlong handle) {
  return reinterpret_cast<TfLiteDelegate*>(static_cast<intptr_t>(handle));
}

// Memory of a direct ByteBuffer, null for another kind.
const void* bytes_of(JNIEnv* env, jobject buffer, size_t* size) {
  const void* bytes = env->GetDirectBufferAddress(buffer);
  const jlong capacity = env->GetDirectBufferCapacity(buffer);
  *size = capacity > 0 ? static_cast<size_t>(capacity) : 0;
  return bytes;
}

void put_bytes(JNIEnv* env, jobjectArray out, const void* bytes, size_t size) {
  if (bytes == nullptr || size > 0x7fffffff) return;
  jbyteArray copy = env->NewByteArray(static_cast<jsize>(size));
  if (copy == nullptr) return;  // OutOfMemoryError is pending
  env->SetByteArrayRegion(copy, 0, static_cast<jsize>(size), static_cast<const jbyte*>(bytes));
  env->SetObjectArrayElement(out, 0, copy);
}

}  // namespace

extern "C" {

JNIEXPORT jstring JNICALL Java_qcnn_tflite_Native_version(JNIEnv* env, jclass) {
  return env->NewStringUTF(qcnn_version());
}

JNIEXPORT jstring JNICALL Java_qcnn_tflite_Native_selectedKernel(JNIEnv* env, jclass) {
  return env->NewStringUTF(qcnn_selected_kernel());
}

// Name, features and "1" or "0" of every kernel, one after another.
JNIEXPORT jobjectArray JNICALL Java_qcnn_tflite_Native_kernels(JNIEnv* env, jclass) {
  const char *name = nullptr, *features = nullptr;
  int available = 0, count = 0;
  while (qcnn_kernels(static_cast<size_t>(count), &name, &features, &available) == QCNN_OK) ++count;
  jclass type = env->FindClass("java/lang/String");
  if (type == nullptr) return nullptr;
  jobjectArray all = env->NewObjectArray(3 * count, type, nullptr);
  for (int i = 0; all != nullptr && i < count; ++i) {
    qcnn_kernels(static_cast<size_t>(i), &name, &features, &available);
    const char* words[] = {name, features, available ? "1" : "0"};
    for (int j = 0; j < 3; ++j) {
      jstring word = env->NewStringUTF(words[j]);
      if (word == nullptr) return nullptr;
      env->SetObjectArrayElement(all, 3 * i + j, word);
      env->DeleteLocalRef(word);
    }
  }
  return all;
}

JNIEXPORT jlong JNICALL Java_qcnn_tflite_Native_packedBytes(JNIEnv*, jclass) {
  size_t packed = 0;
  qcnn_memory(&packed, nullptr);
  return static_cast<jlong>(packed);
}

JNIEXPORT jlong JNICALL Java_qcnn_tflite_Native_scratchBytes(JNIEnv*, jclass) {
  size_t scratch = 0;
  qcnn_memory(nullptr, &scratch);
  return static_cast<jlong>(scratch);
}

JNIEXPORT jint JNICALL Java_qcnn_tflite_Native_liveDelegates(JNIEnv*, jclass) {
  return delegates.load();
}

// 0 if there is no such kernel or no memory.
JNIEXPORT jlong JNICALL Java_qcnn_tflite_Native_createDelegate(JNIEnv* env, jclass, jstring kernel,
                                                               jboolean lrn) {
  const char* name = env->GetStringUTFChars(kernel, nullptr);
  if (name == nullptr) return 0;
  TfLiteDelegate* made = qcnn_delegate_create(name, lrn ? 0 : QCNN_WITHOUT_LRN);
  env->ReleaseStringUTFChars(kernel, name);
  if (made != nullptr) ++delegates;
  return static_cast<jlong>(reinterpret_cast<intptr_t>(made));
}

JNIEXPORT void JNICALL Java_qcnn_tflite_Native_deleteDelegate(JNIEnv*, jclass, jlong handle) {
  if (handle == 0) return;
  qcnn_delegate_delete(delegate_of(handle));
  --delegates;
}

// counts: QConv, QFC, LRN. foreign: gets the UTF-8 name of a custom op that is not ours.
JNIEXPORT jint JNICALL Java_qcnn_tflite_Native_checkModel(JNIEnv* env, jclass, jobject model,
                                                          jintArray counts, jobjectArray foreign) {
  size_t size = 0;
  const void* bytes = bytes_of(env, model, &size);
  QcnnModelInfo info;
  const QcnnStatus status = qcnn_check_model(bytes, size, &info);
  if (status != QCNN_OK) return status;
  const jint found[] = {static_cast<jint>(info.qconv), static_cast<jint>(info.qfc),
                        static_cast<jint>(info.lrn)};
  env->SetIntArrayRegion(counts, 0, 3, found);
  put_bytes(env, foreign, info.foreign_op, info.foreign_op_size);
  return status;
}

JNIEXPORT jint JNICALL Java_qcnn_tflite_Native_readMetadata(JNIEnv* env, jclass, jobject model,
                                                            jobjectArray json) {
  size_t size = 0, length = 0;
  const void* bytes = bytes_of(env, model, &size);
  const char* text = nullptr;
  const QcnnStatus status = qcnn_read_metadata(bytes, size, &text, &length);
  if (status == QCNN_OK) put_bytes(env, json, text, length);
  return status;
}

JNIEXPORT jint JNICALL Java_qcnn_tflite_Native_readMeanImage(JNIEnv* env, jclass, jobject model,
                                                             jobjectArray values) {
  size_t size = 0, length = 0;
  const void* bytes = bytes_of(env, model, &size);
  const void* found = nullptr;
  const QcnnStatus status = qcnn_read_mean_image(bytes, size, &found, &length);
  if (status == QCNN_OK) put_bytes(env, values, found, length);
  return status;
}

}  // extern "C"
