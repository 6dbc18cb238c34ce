#include "tflite/lrn_op.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <utility>

#include "tflite/shapes.h"

namespace qcnn {
namespace {

// Floats that a thread normalizes at a time, about: small enough to share out what AlexNet has (18
// times this in norm1), and some microseconds of work.
constexpr int64_t kBlock = 16384;

}  // namespace

bool lrn_params_sound(const TfLiteLocalResponseNormParams& params) {
  return params.radius >= 0 && std::isfinite(params.bias) && std::isfinite(params.alpha) &&
         std::isfinite(params.beta);
}

LrnOp::LrnOp(const Kernel* kernel, const TfLiteLocalResponseNormParams& params,
             const std::optional<Pooling>& pooling)
    : kernel_(kernel), params_(params), pooling_(pooling) {}

TfLiteStatus LrnOp::prepare(TfLiteContext* context, const std::vector<int>& inputs,
                            const std::vector<int>& outputs) {
  std::string error;
  try {
    input_ = inputs.size() == 1 ? inputs[0] : -1;
    output_ = outputs.size() == 1 ? outputs[0] : -1;
    const TfLiteTensor* input = tensor_at(context, input_);
    TfLiteTensor* output = tensor_at(context, output_);
    if (input == nullptr || output == nullptr || input->dims == nullptr) {
      error = "expected one input and one output";
    } else if (input->type != kTfLiteFloat32 || output->type != kTfLiteFloat32) {
      error = "its input and output must be float32";
    } else if (!lrn_params_sound(params_)) {
      error = "its radius is negative, or bias, alpha or beta is not finite";
    } else {
      threads_ = thread_count(context);
      pool_ = ThreadPool::get(threads_);
      dynamic_ = input->allocation_type == kTfLiteDynamic;
      if (!dynamic_) {
        if (plan(context, &error)) return kTfLiteOk;
      } else {
        if (output->allocation_type != kTfLiteDynamic) {
          output->allocation_type = kTfLiteDynamic;
          output->data = nullptr;
        }
        return kTfLiteOk;
      }
    }
  } catch (const std::exception&) {
    // Not through `error`: there may be no memory for a sentence either.
    context->ReportError(context, "%s: there is not enough memory.", kLrnName);
    return kTfLiteError;
  }
  context->ReportError(context, "%s: %s.", kLrnName, error.c_str());
  return kTfLiteError;
}

bool LrnOp::plan(TfLiteContext* context, std::string* error) {
  const TfLiteTensor& input = *tensor_at(context, input_);
  const TfLiteIntArray& dims = *input.dims;
  if (dims.size != 4) {
    *error = "expected an input [N,H,W,C], got rank " + std::to_string(dims.size);
    return false;
  }
  if (std::any_of(dims.data, dims.data + dims.size, [](int size) { return size < 0; })) {
    *error = "its input has a negative dimension";
    return false;
  }
  shape_.channels = dims.data[3];
  shape_.radius = params_.radius;
  shape_.bias = params_.bias;
  shape_.alpha = params_.alpha;
  shape_.beta = params_.beta;
  std::vector<int> out_shape(dims.data, dims.data + dims.size);
  PoolShape pool;
  if (pooling_ && !plan_pooling(dims, &pool, &out_shape, error)) return false;
  TfLiteIntArray* out_dims = make_dims(context, out_shape);
  // The host refuses what does not fit into memory; the tensor's bytes then say how much there is.
  if (out_dims == nullptr ||
      context->ResizeTensor(context, tensor_at(context, output_), out_dims) != kTfLiteOk) {
    *error = "its output could not be resized";
    return false;
  }
  const size_t bytes =
      std::min(tensor_at(context, input_)->bytes, tensor_at(context, output_)->bytes);
  pixels_ =
      shape_.channels == 0 ? 0 : static_cast<int64_t>(bytes / sizeof(float)) / shape_.channels;
  // Scratch grows with the window, so it is not had for a tensor without values.
  if (pooling_ && input_bytes_ > 0) {
    lrn_pool_.plan(kernel_, shape_, pool, threads_);
    scratch_ = Scratch::of(context, lrn_pool_.memory().scratch);
  }
  return true;
}

bool LrnOp::plan_pooling(const TfLiteIntArray& input, PoolShape* pool, std::vector<int>* out_shape,
                         std::string* error) {
  PoolShape& p = *pool;
  p.batch = input.data[0];
  p.in_h = input.data[1];
  p.in_w = input.data[2];
  p.size_h = pooling_->size_h;
  p.size_w = pooling_->size_w;
  p.stride_h = pooling_->stride_h;
  p.stride_w = pooling_->stride_w;
  p.zeros = pooling_->padding == Padding::kExplicit;
  if (!plan_axis(p.in_h, p.size_h, p.stride_h, 1, pooling_->padding, pooling_->pad_top,
                 pooling_->pad_bottom, &p.out_h, &p.pad_top) ||
      !plan_axis(p.in_w, p.size_w, p.stride_w, 1, pooling_->padding, pooling_->pad_left,
                 pooling_->pad_right, &p.out_w, &p.pad_left)) {
    *error = "the window of the max pooling behind it does not fit into an input of " +
             std::to_string(p.in_h) + "x" + std::to_string(p.in_w);
    return false;
  }
  // The batch last: an empty one would make any image fit.
  int64_t in_size = 1, out_size = 1;
  if (!grow(&in_size, p.in_h) || !grow(&in_size, p.in_w) || !grow(&in_size, shape_.channels) ||
      !grow(&in_size, p.batch) || !grow(&out_size, p.out_h) || !grow(&out_size, p.out_w) ||
      !grow(&out_size, shape_.channels) || !grow(&out_size, p.batch)) {
    *error = "its input, or the output of the max pooling behind it, is too large";
    return false;
  }
  *out_shape = {input.data[0], static_cast<int>(p.out_h), static_cast<int>(p.out_w), input.data[3]};
  input_bytes_ = static_cast<size_t>(in_size) * sizeof(float);
  output_bytes_ = static_cast<size_t>(out_size) * sizeof(float);
  return true;
}

TfLiteStatus LrnOp::invoke(TfLiteContext* context) {
  if (dynamic_) {
    std::string error;
    bool planned = false;
    try {
      planned = plan(context, &error);
    } catch (const std::exception&) {
      context->ReportError(context, "%s: there is not enough memory.", kLrnName);
      return kTfLiteError;
    }
    if (!planned) {
      context->ReportError(context, "%s: %s.", kLrnName, error.c_str());
      return kTfLiteError;
    }
  }
  if (pixels_ == 0) return kTfLiteOk;
  const auto* input = static_cast<const float*>(tensor_at(context, input_)->data);
  auto* output = static_cast<float*>(tensor_at(context, output_)->data);
  if (input == nullptr || output == nullptr) {
    context->ReportError(context, "%s: its input or output has no memory.", kLrnName);
    return kTfLiteError;
  }
  if (pooling_) {
    if (tensor_at(context, input_)->bytes < input_bytes_ ||
        tensor_at(context, output_)->bytes < output_bytes_) {
      context->ReportError(context, "%s: its input or output has less memory than its shape says.",
                           kLrnName);
      return kTfLiteError;
    }
    lrn_pool_.run(pool_.get(), input, output, scratch_->lend(lrn_pool_.memory().scratch));
    return kTfLiteOk;
  }
  const int64_t block = std::max<int64_t>(kBlock / shape_.channels, 1);
  parallel_for(pool_.get(), threads_, (pixels_ + block - 1) / block, [&](int64_t item, int) {
    const int64_t first = item * block, offset = first * shape_.channels;
    kernel_->lrn(shape_, std::min(block, pixels_ - first), input + offset, output + offset);
  });
  return kTfLiteOk;
}

namespace {

// For a builtin op, `buffer` is its parameters. A registration carries no data of ours, so every
// kernel has its own.
template <size_t kernel>
void* init(TfLiteContext*, const char* buffer, size_t) {
  if (buffer == nullptr) return nullptr;
  return new (std::nothrow)
      LrnOp(kernels()[kernel], *reinterpret_cast<const TfLiteLocalResponseNormParams*>(buffer));
}

void free_op(TfLiteContext*, void* buffer) { delete static_cast<LrnOp*>(buffer); }

TfLiteStatus prepare_op(TfLiteContext* context, TfLiteNode* node) {
  auto* op = static_cast<LrnOp*>(node->user_data);
  if (op == nullptr) {
    context->ReportError(context, "%s: it has no parameters, or there is no memory.", kLrnName);
    return kTfLiteError;
  }
  try {
    return op->prepare(context, to_vector(node->inputs), to_vector(node->outputs));
  } catch (const std::exception&) {
    context->ReportError(context, "%s: there is not enough memory.", kLrnName);
    return kTfLiteError;
  }
}

TfLiteStatus invoke_op(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<LrnOp*>(node->user_data)->invoke(context);
}

template <size_t kernel>
TfLiteRegistration make_registration() {
  TfLiteRegistration registration = {};
  registration.init = init<kernel>;
  registration.free = free_op;
  registration.prepare = prepare_op;
  registration.invoke = invoke_op;
  registration.builtin_code = kTfLiteBuiltinLocalResponseNormalization;
  registration.version = 1;
  return registration;
}

// The C API keeps the pointer, so the structs live as long as the library.
template <size_t... kernel>
const TfLiteRegistration& registration_of(size_t wanted, std::index_sequence<kernel...>) {
  static const TfLiteRegistration registrations[] = {make_registration<kernel>()...};
  return registrations[wanted];
}

}  // namespace

const TfLiteRegistration& lrn_registration(size_t kernel) {
  return registration_of(kernel, std::make_index_sequence<kMostKernels>());
}

}  // namespace qcnn
