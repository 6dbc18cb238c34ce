// A classic TfLiteDelegate that claims QConv, QFC and LOCAL_RESPONSE_NORMALIZATION, and its
// external-delegate entry points.
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"
#include "tflite/lrn_op.h"
#include "tflite/ops.h"

namespace qcnn {
namespace {

// What a delegate kernel keeps of the node it replaced: pointers from GetNodeAndRegistration dangle
// once nodes are added, and the delegate node lists its inputs in another order.
template <typename T>
struct Claimed {
  T op;
  std::vector<int> inputs, outputs;
};

struct Delegate {
  TfLiteDelegate base;
  const Kernel* kernel;
  bool lrn;
};

bool kind_of(const TfLiteRegistration& registration, OpKind* kind) {
  if (registration.custom_name == nullptr || registration.builtin_code != kTfLiteBuiltinCustom) {
    return false;
  }
  for (OpKind candidate : {OpKind::kConv, OpKind::kFc}) {
    if (std::strcmp(registration.custom_name, op_name(candidate)) == 0) {
      *kind = candidate;
      return true;
    }
  }
  return false;
}

// A local response normalization for LrnOp; the host's own op refuses other types than float32.
// Nothing else is left to it, whatever shapes and parameters: with a negative radius it writes
// outside its memory.
bool is_our_lrn(const TfLiteContext& context, const TfLiteNode& node,
                const TfLiteRegistration& registration) {
  if (registration.builtin_code != kTfLiteBuiltinLocalResponseNormalization ||
      registration.version > 1 || node.builtin_data == nullptr) {
    return false;
  }
  for (const TfLiteIntArray* indices : {node.inputs, node.outputs}) {
    if (indices == nullptr || indices->size != 1 || indices->data[0] < 0 ||
        static_cast<size_t>(indices->data[0]) >= context.tensors_size) {
      return false;
    }
    if (context.tensors[indices->data[0]].type != kTfLiteFloat32) return false;
  }
  return true;
}

// The node that a delegate kernel stands for; null if there is none.
TfLiteNode* replaced_node(TfLiteContext* context, const TfLiteDelegateParams* params,
                          TfLiteRegistration** registration) {
  TfLiteNode* node = nullptr;
  if (params == nullptr || params->nodes_to_replace->size != 1 ||
      context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node,
                                      registration) != kTfLiteOk) {
    return nullptr;
  }
  return node;
}

// For a delegate kernel, `buffer` is a TfLiteDelegateParams*.
void* init(TfLiteContext* context, const char* buffer, size_t) {
  const auto* params = reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  TfLiteRegistration* registration = nullptr;
  const TfLiteNode* node = replaced_node(context, params, &registration);
  OpKind kind;
  if (node == nullptr || !kind_of(*registration, &kind)) return nullptr;
  const auto* delegate = reinterpret_cast<const Delegate*>(params->delegate);
  try {
    const size_t size = node->custom_initial_data == nullptr || node->custom_initial_data_size < 0
                            ? 0
                            : static_cast<size_t>(node->custom_initial_data_size);
    return new Claimed<Op>{
        Op(kind, delegate->kernel, static_cast<const uint8_t*>(node->custom_initial_data), size),
        to_vector(node->inputs), to_vector(node->outputs)};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* init_lrn(TfLiteContext* context, const char* buffer, size_t) {
  const auto* params = reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  TfLiteRegistration* registration = nullptr;
  const TfLiteNode* node = replaced_node(context, params, &registration);
  if (node == nullptr || node->builtin_data == nullptr) return nullptr;
  const auto* delegate = reinterpret_cast<const Delegate*>(params->delegate);
  try {
    return new Claimed<LrnOp>{
        LrnOp(delegate->kernel,
              *static_cast<const TfLiteLocalResponseNormParams*>(node->builtin_data)),
        to_vector(node->inputs), to_vector(node->outputs)};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

template <typename T>
void free_claimed(TfLiteContext*, void* buffer) {
  delete static_cast<Claimed<T>*>(buffer);
}

template <typename T>
TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* claimed = static_cast<Claimed<T>*>(node->user_data);
  if (claimed == nullptr) {
    context->ReportError(context, "QConv, QFC, LRN: there is not enough memory.");
    return kTfLiteError;
  }
  return claimed->op.prepare(context, claimed->inputs, claimed->outputs);
}

template <typename T>
TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<Claimed<T>*>(node->user_data)->op.invoke(context);
}

// name: static, the host never copies it.
template <typename T>
TfLiteRegistration kernel_registration(const char* name,
                                       void* (*init_kernel)(TfLiteContext*, const char*, size_t)) {
  TfLiteRegistration registration = {};
  registration.init = init_kernel;
  registration.free = free_claimed<T>;
  registration.prepare = prepare<T>;
  registration.invoke = invoke<T>;
  registration.builtin_code = kTfLiteBuiltinDelegate;
  registration.custom_name = name;
  registration.version = 1;
  return registration;
}

TfLiteStatus claim_nodes(TfLiteContext* context, TfLiteDelegate* delegate) {
  const bool lrn = reinterpret_cast<const Delegate*>(delegate)->lrn;
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  // Both the plan and the nodes move while nodes are replaced, so they are looked at first.
  struct Found {
    int node;
    TfLiteRegistration kernel;
  };
  std::vector<Found> found;
  try {
    for (int node_index : to_vector(plan)) {
      TfLiteNode* node = nullptr;
      TfLiteRegistration* registration = nullptr;
      if (context->GetNodeAndRegistration(context, node_index, &node, &registration) != kTfLiteOk) {
        return kTfLiteError;
      }
      OpKind kind;
      if (kind_of(*registration, &kind)) {
        found.push_back({node_index, kernel_registration<Op>(op_name(kind), init)});
      } else if (lrn && is_our_lrn(*context, *node, *registration)) {
        found.push_back({node_index, kernel_registration<LrnOp>(kLrnName, init_lrn)});
      }
    }
  } catch (const std::bad_alloc&) {
    return kTfLiteError;
  }
  // One node a call: adjacent nodes would arrive as one partition whose inner tensor is never
  // allocated, and a profiler would show them as one row.
  alignas(TfLiteIntArray) char storage[sizeof(TfLiteIntArray) + sizeof(int)];
  auto* single = reinterpret_cast<TfLiteIntArray*>(storage);
  single->size = 1;
  for (const Found& item : found) {
    single->data[0] = item.node;
    if (context->ReplaceNodeSubsetsWithDelegateKernels(context, item.kernel, single, delegate) !=
        kTfLiteOk) {
      return kTfLiteError;
    }
  }
  return kTfLiteOk;
}

// "auto", and every kernel in this build.
std::string kernel_names() {
  std::string names = "auto";
  for (const Kernel* kernel : kernels()) {
    names += std::string(", ") + kernel->name;
    if (!kernel->available()) {
      names += std::string(" (needs ") + kernel->features + ", which this CPU lacks)";
    }
  }
  return names;
}

}  // namespace
}  // namespace qcnn

extern "C" {

TfLiteDelegate* qcnn_delegate_create(const char* kernel, uint32_t flags) {
  if ((flags & ~uint32_t{QCNN_WITHOUT_LRN}) != 0) return nullptr;
  const qcnn::Kernel* chosen = qcnn::select_kernel(kernel);
  if (chosen == nullptr) return nullptr;
  auto* delegate = new (std::nothrow) qcnn::Delegate{};
  if (delegate == nullptr) return nullptr;
  delegate->kernel = chosen;
  delegate->lrn = (flags & QCNN_WITHOUT_LRN) == 0;
  delegate->base.data_ = delegate;
  delegate->base.Prepare = qcnn::claim_nodes;
  // Without this flag hosts report "Encountered unresolved custom op" before they ask us.
  delegate->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return &delegate->base;
}

void qcnn_delegate_delete(TfLiteDelegate* delegate) {
  delete reinterpret_cast<qcnn::Delegate*>(delegate);
}

const char* qcnn_version(void) { return QCNN_VERSION; }

const char* qcnn_selected_kernel(void) { return qcnn::select_kernel("auto")->name; }

QCNN_EXPORT TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys,
                                                          const char* const* values, size_t count,
                                                          void (*report_error)(const char*)) {
  const auto refuse = [&](const std::string& message) -> TfLiteDelegate* {
    if (report_error != nullptr) report_error(message.c_str());
    return nullptr;
  };
  const char* kernel = "auto";
  uint32_t flags = 0;
  try {
    for (size_t i = 0; i < count; ++i) {
      const std::string key = keys[i], value = values[i];
      if (key == "kernel") {
        kernel = values[i];
      } else if (key == "lrn" && (value == "0" || value == "1")) {
        flags = value == "0" ? QCNN_WITHOUT_LRN : 0;
      } else if (key == "lrn") {
        return refuse("qcnn_ops: option 'lrn' is '" + value + "'; expected 0 or 1");
      } else {
        return refuse("qcnn_ops: there is no option '" + key + "'; the options are: kernel, lrn");
      }
    }
    if (qcnn::select_kernel(kernel) == nullptr) {
      return refuse("qcnn_ops: there is no kernel '" + std::string(kernel) +
                    "' on this machine; the kernels are: " + qcnn::kernel_names());
    }
    TfLiteDelegate* delegate = qcnn_delegate_create(kernel, flags);
    return delegate != nullptr ? delegate : refuse("qcnn_ops: there is not enough memory");
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

QCNN_EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  qcnn_delegate_delete(delegate);
}

}  // extern "C"
