// A classic TfLiteDelegate that claims every QConv and QFC, and its external-delegate entry points.
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "core/kernels.h"
#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"
#include "tflite/ops.h"

namespace qcnn {
namespace {

// What a delegate kernel keeps of the node it replaced: pointers from GetNodeAndRegistration dangle
// once nodes are added, and the delegate node lists its inputs in another order.
struct Claimed {
  Op op;
  std::vector<int> inputs, outputs;
};

struct Delegate {
  TfLiteDelegate base;
  const Kernel* kernel;
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

// For a delegate kernel, `buffer` is a TfLiteDelegateParams*.
void* init(TfLiteContext* context, const char* buffer, size_t) {
  const auto* params = reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  if (params == nullptr || params->nodes_to_replace->size != 1) return nullptr;
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  OpKind kind;
  if (context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node,
                                      &registration) != kTfLiteOk ||
      !kind_of(*registration, &kind)) {
    return nullptr;
  }
  const auto* delegate = reinterpret_cast<const Delegate*>(params->delegate);
  try {
    const size_t size = node->custom_initial_data == nullptr || node->custom_initial_data_size < 0
                            ? 0
                            : static_cast<size_t>(node->custom_initial_data_size);
    return new Claimed{
        Op(kind, delegate->kernel, static_cast<const uint8_t*>(node->custom_initial_data), size),
        to_vector(node->inputs), to_vector(node->outputs)};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void free_claimed(TfLiteContext*, void* buffer) { delete static_cast<Claimed*>(buffer); }

TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* claimed = static_cast<Claimed*>(node->user_data);
  if (claimed == nullptr) {
    context->ReportError(context, "QConv, QFC: there is not enough memory.");
    return kTfLiteError;
  }
  return claimed->op.prepare(context, claimed->inputs, claimed->outputs);
}

TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<Claimed*>(node->user_data)->op.invoke(context);
}

TfLiteRegistration kernel_registration(OpKind kind) {
  TfLiteRegistration registration = {};
  registration.init = init;
  registration.free = free_claimed;
  registration.prepare = prepare;
  registration.invoke = invoke;
  registration.builtin_code = kTfLiteBuiltinDelegate;
  registration.custom_name = op_name(kind);  // never copied by the host: static
  registration.version = 1;
  return registration;
}

TfLiteStatus claim_nodes(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  // Both the plan and the nodes move while nodes are replaced, so they are looked at first.
  struct Found {
    int node;
    OpKind kind;
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
      if (kind_of(*registration, &kind)) found.push_back({node_index, kind});
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
    if (context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel_registration(item.kind),
                                                       single, delegate) != kTfLiteOk) {
      return kTfLiteError;
    }
  }
  return kTfLiteOk;
}

}  // namespace
}  // namespace qcnn

extern "C" {

TfLiteDelegate* qcnn_delegate_create(const char* kernel) {
  const qcnn::Kernel* chosen = qcnn::select_kernel(kernel);
  if (chosen == nullptr) return nullptr;
  auto* delegate = new (std::nothrow) qcnn::Delegate{};
  if (delegate == nullptr) return nullptr;
  delegate->kernel = chosen;
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
  const char* kernel = nullptr;
  for (size_t i = 0; i < count; ++i) {
    if (std::strcmp(keys[i], "kernel") != 0) {
      return refuse("qcnn_ops: there is no option '" + std::string(keys[i]) +
                    "'; the options are: kernel");
    }
    kernel = values[i];
  }
  TfLiteDelegate* delegate = qcnn_delegate_create(kernel);
  if (delegate == nullptr) {
    return refuse("qcnn_ops: there is no kernel '" + std::string(kernel ? kernel : "auto") +
                  "' on this machine; the kernels are: auto, reference");
  }
  return delegate;
}

QCNN_EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  qcnn_delegate_delete(delegate);
}

}  // extern "C"
