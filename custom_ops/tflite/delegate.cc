// A classic TfLiteDelegate that claims QConv, QFC and LOCAL_RESPONSE_NORMALIZATION, with the max
// pooling behind them where a kernel does both, and its external-delegate entry points.
#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/kernels.h"
#include "qcnn/qcnn_ops.h"
#include "qcnn/tflite_abi.h"
#include "tflite/lrn_op.h"
#include "tflite/ops.h"
#include "tflite/pooling.h"
#include "tflite/shapes.h"

namespace qcnn {
namespace {

// As a profiler shows it; op_name() is that of a layer alone.
constexpr char kConvPoolName[] = "QConv+MAX_POOL_2D";

// What a delegate kernel keeps of the nodes it replaced: pointers from GetNodeAndRegistration
// dangle once nodes are added, and the delegate node lists its inputs in another order.
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

// The node that a delegate kernel stands for, or the first of them; null if there is none.
TfLiteNode* replaced_node(TfLiteContext* context, const TfLiteDelegateParams* params,
                          TfLiteRegistration** registration) {
  TfLiteNode* node = nullptr;
  if (params == nullptr || params->nodes_to_replace->size < 1 ||
      context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node,
                                      registration) != kTfLiteOk) {
    return nullptr;
  }
  return node;
}

const uint8_t* options_of(const TfLiteNode& node) {
  return static_cast<const uint8_t*>(node.custom_initial_data);
}

size_t options_size(const TfLiteNode& node) {
  return node.custom_initial_data == nullptr || node.custom_initial_data_size < 0
             ? 0
             : static_cast<size_t>(node.custom_initial_data_size);
}

// The pooling among the replaced nodes; false if there are others than claim_nodes() found.
bool replaced_pooling(TfLiteContext* context, const TfLiteDelegateParams& params,
                      std::optional<Pooling>* pooling) {
  const std::vector<int> nodes = to_vector(params.nodes_to_replace);
  return nodes.size() == 1 ||
         (read_pooling(context, nodes, &pooling->emplace()) && params.output_tensors->size == 1);
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
    std::optional<Pooling> pooling;
    if (!replaced_pooling(context, *params, &pooling)) return nullptr;
    return new Claimed<Op>{
        Op(kind, delegate->kernel, options_of(*node), options_size(*node), pooling),
        to_vector(node->inputs), to_vector(pooling ? params->output_tensors : node->outputs)};
  } catch (const std::exception&) {
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
    std::optional<Pooling> pooling;
    if (!replaced_pooling(context, *params, &pooling)) return nullptr;
    return new Claimed<LrnOp>{
        LrnOp(delegate->kernel,
              *static_cast<const TfLiteLocalResponseNormParams*>(node->builtin_data), pooling),
        to_vector(node->inputs), to_vector(pooling ? params->output_tensors : node->outputs)};
  } catch (const std::exception&) {
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

// What one call replaces.
struct Found {
  std::vector<int> nodes;
  TfLiteRegistration kernel;
};

// A layer of ours at order[i], with its pooling if the kernel does both; no nodes where there is
// none. False if the host answers no questions.
bool find_layer(TfLiteContext* context, const Delegate& delegate, const std::vector<int>& order,
                size_t i, Found* found) {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  if (context->GetNodeAndRegistration(context, order[i], &node, &registration) != kTfLiteOk) {
    return false;
  }
  OpKind kind = OpKind::kConv;
  const bool lrn = delegate.lrn && is_our_lrn(*context, *node, *registration);
  if (!lrn && !kind_of(*registration, &kind)) return true;
  Pooling pooling;
  size_t count = find_pooling(context, order, i, &pooling);
  if (!lrn && count > 1 &&
      !Op::can_pool(kind, *delegate.kernel, options_of(*node), options_size(*node), pooling)) {
    count = 1;
  }
  const auto first = order.begin() + static_cast<ptrdiff_t>(i);
  found->nodes.assign(first, first + static_cast<ptrdiff_t>(count));
  if (lrn) {
    found->kernel = kernel_registration<LrnOp>(count > 1 ? kLrnPoolName : kLrnName, init_lrn);
  } else {
    found->kernel = kernel_registration<Op>(count > 1 ? kConvPoolName : op_name(kind), init);
  }
  return true;
}

TfLiteStatus claim_nodes(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  // Both the plan and the nodes move while nodes are replaced, so they are looked at first.
  std::vector<Found> layers;
  try {
    const std::vector<int> order = to_vector(plan);
    for (size_t i = 0; i < order.size(); ++i) {
      Found found;
      if (!find_layer(context, *reinterpret_cast<const Delegate*>(delegate), order, i, &found)) {
        return kTfLiteError;
      }
      if (!found.nodes.empty()) layers.push_back(std::move(found));
    }
  } catch (const std::exception&) {
    return kTfLiteError;
  }
  // One layer a call: adjacent layers would arrive as one partition whose inner tensor is never
  // allocated, and a profiler would show them as one row.
  for (const Found& item : layers) {
    NodeArray nodes(item.nodes);
    if (context->ReplaceNodeSubsetsWithDelegateKernels(context, item.kernel, nodes.get(),
                                                       delegate) != kTfLiteOk) {
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
  } catch (const std::exception&) {
    return nullptr;
  }
}

QCNN_EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  qcnn_delegate_delete(delegate);
}

}  // extern "C"
