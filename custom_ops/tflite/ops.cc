#include "tflite/ops.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

#include "tflite/constants.h"
#include "tflite/shapes.h"

namespace qcnn {
namespace {

// Not a std::string: there may be no memory for that either.
constexpr char kNoMemory[] = "there is not enough memory for this layer";

// Tensor of a node's input or output, or null when it is absent or does not exist.
TfLiteTensor* tensor_at(TfLiteContext* context, const std::vector<int>& indices, size_t i) {
  return i < indices.size() ? qcnn::tensor_at(context, indices[i]) : nullptr;
}

}  // namespace

Op::Op(OpKind kind, const Kernel* kernel, const uint8_t* options, size_t size,
       const std::optional<Pooling>& pooling)
    : kind_(kind), kernel_(kernel), pooling_(pooling) {
  read_options(kind, options, size, &options_, &options_error_);
}

bool Op::can_pool(OpKind kind, const Kernel& kernel, const uint8_t* options, size_t size,
                  const Pooling& pooling) {
  Options read;
  std::string error;
  return kind == OpKind::kConv && kernel.pools &&
         read_options(kind, options, size, &read, &error) &&
         (read.kernel_h > 1 || read.kernel_w > 1) && pooling.padding != Padding::kExplicit &&
         pooling.size_h == 2 && pooling.size_w == 2 && pooling.stride_h == 2 &&
         pooling.stride_w == 2;
}

TfLiteStatus Op::prepare(TfLiteContext* context, const std::vector<int>& inputs,
                         const std::vector<int>& outputs) {
  std::string error;
  bool memory = true;
  try {
    error = options_error_;
    inputs_ = inputs;
    outputs_ = outputs;
    if (error.empty() && read_layer(context, &error)) {
      const TfLiteTensor* input = tensor_at(context, inputs_, 0);
      dynamic_ = input->allocation_type == kTfLiteDynamic;
      if (!dynamic_) {
        if (plan(context, &error)) return kTfLiteOk;
      } else {
        TfLiteTensor* output = tensor_at(context, outputs_, 0);
        if (output->allocation_type != kTfLiteDynamic) {
          output->allocation_type = kTfLiteDynamic;
          output->data = nullptr;
        }
        return kTfLiteOk;
      }
    }
  } catch (const std::exception&) {
    memory = false;
  }
  const TfLiteTensor* codes = tensor_at(context, inputs_, 2);
  const char* name = codes != nullptr && codes->name != nullptr ? codes->name : "?";
  context->ReportError(context, "%s (codes '%s'): %s.", op_name(kind_), name,
                       memory ? error.c_str() : kNoMemory);
  return kTfLiteError;
}

bool Op::read_layer(TfLiteContext* context, std::string* error) {
  if (inputs_.size() != 5 || outputs_.size() != 1) {
    *error = "expected five inputs and one output, got " + std::to_string(inputs_.size()) +
             " and " + std::to_string(outputs_.size());
    return false;
  }
  const TfLiteTensor* input = tensor_at(context, inputs_, 0);
  const TfLiteTensor* output = tensor_at(context, outputs_, 0);
  if (input == nullptr || output == nullptr || input->dims == nullptr) {
    *error = "its input or output does not exist";
    return false;
  }
  if (input->type != kTfLiteFloat32 || output->type != kTfLiteFloat32) {
    *error = "its input and output must be float32";
    return false;
  }
  // Resizing its output would take the input's memory away.
  if (std::find(inputs_.begin(), inputs_.end(), outputs_[0]) != inputs_.end()) {
    *error = "its output is one of its inputs";
    return false;
  }
  for (size_t i = 1; i < 5; ++i) {
    const bool absent = i >= 3 && inputs_[i] == kTfLiteOptionalTensor;
    if (!absent && tensor_at(context, inputs_, i) == nullptr) {
      *error = "input " + std::to_string(i) + " does not exist";
      return false;
    }
  }
  if (constants_read_) return true;  // constants do not change when the input is resized
  constants_read_ = read_constants(options_, tensor_at(context, inputs_, 1),
                                   tensor_at(context, inputs_, 2), tensor_at(context, inputs_, 3),
                                   tensor_at(context, inputs_, 4), &codes_, error);
  return constants_read_;
}

bool Op::plan(TfLiteContext* context, std::string* error) {
  const TfLiteTensor& input = *tensor_at(context, inputs_, 0);
  return kind_ == OpKind::kConv ? plan_conv(context, input, error) : plan_fc(context, input, error);
}

// Before the layer is planned, which takes its time for a shape for which a host may have no
// memory.
bool Op::resize_output(TfLiteContext* context, const std::vector<int>& shape, std::string* error) {
  TfLiteIntArray* dims = make_dims(context, shape);
  TfLiteTensor* output = tensor_at(context, outputs_, 0);
  if (dims == nullptr || context->ResizeTensor(context, output, dims) != kTfLiteOk) {
    *error = "its output could not be resized";
    return false;
  }
  const TfLiteIntArray& in = *tensor_at(context, inputs_, 0)->dims;
  input_bytes_ = float_bytes(in.data, in.data + in.size);
  output_bytes_ = float_bytes(shape.data(), shape.data() + shape.size());
  return true;
}

bool Op::plan_conv(TfLiteContext* context, const TfLiteTensor& input, std::string* error) {
  if (input.dims->size != 4 || input.dims->data[3] != options_.in_channels) {
    *error = "expected an input [N,H,W," + std::to_string(options_.in_channels) + "], got rank " +
             std::to_string(input.dims->size) +
             (input.dims->size == 4 ? " with " + std::to_string(input.dims->data[3]) + " channels"
                                    : std::string());
    return false;
  }
  const int* dims = input.dims->data;
  ConvShape s;
  s.batch = dims[0];
  s.in_h = dims[1];
  s.in_w = dims[2];
  s.in_channels = options_.in_channels;
  s.out_channels = options_.out_channels;
  s.kernel_h = options_.kernel_h;
  s.kernel_w = options_.kernel_w;
  s.stride_h = options_.stride_h;
  s.stride_w = options_.stride_w;
  s.dilation_h = options_.dilation_h;
  s.dilation_w = options_.dilation_w;
  s.groups = options_.groups;
  s.activation = static_cast<Activation>(options_.activation);
  if (s.batch < 1 ||
      !plan_axis(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, options_.padding, options_.pad_top,
                 options_.pad_bottom, &s.out_h, &s.pad_top) ||
      !plan_axis(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, options_.padding, options_.pad_left,
                 options_.pad_right, &s.out_w, &s.pad_left)) {
    *error = "its kernel does not fit into an input of " + std::to_string(s.in_h) + "x" +
             std::to_string(s.in_w);
    return false;
  }
  int64_t last_h = s.out_h, last_w = s.out_w, pad = 0;
  if (pooling_) {
    if (!plan_axis(s.out_h, 2, 2, 1, pooling_->padding, 0, 0, &s.pooled_h, &pad) ||
        !plan_axis(s.out_w, 2, 2, 1, pooling_->padding, 0, 0, &s.pooled_w, &pad)) {
      *error = "the window of the max pooling behind it does not fit into " +
               std::to_string(s.out_h) + "x" + std::to_string(s.out_w);
      return false;
    }
    last_h = s.pooled_h;
    last_w = s.pooled_w;
  }
  int64_t in_size = 1, out_size = 1, table = s.in_w;
  if (!grow(&in_size, s.batch) || !grow(&in_size, s.in_h) || !grow(&in_size, s.in_w) ||
      !grow(&in_size, s.in_channels) || !grow(&out_size, s.batch) || !grow(&out_size, s.out_h) ||
      !grow(&out_size, s.out_w) || !grow(&out_size, s.out_channels) ||
      !grow(&table, codes_.K + codes_.d) || s.out_h > std::numeric_limits<int>::max() ||
      s.out_w > std::numeric_limits<int>::max()) {
    *error = "its input or output is too large";
    return false;
  }
  if (!resize_output(context,
                     {dims[0], static_cast<int>(last_h), static_cast<int>(last_w),
                      static_cast<int>(s.out_channels)},
                     error)) {
    return false;
  }
  if (conv_ == nullptr) {
    constants_read_ = false;  // should there not be enough memory
    conv_ = kernel_->conv(s, std::move(codes_));
    constants_read_ = true;
  }
  conv_->plan(s, thread_count(context));
  take_memory(context, conv_->memory());
  return true;
}

bool Op::plan_fc(TfLiteContext* context, const TfLiteTensor& input, std::string* error) {
  int64_t total = 1;
  for (int i = 0; i < input.dims->size; ++i) {
    if (input.dims->data[i] < 1 || !grow(&total, input.dims->data[i])) {
      *error = "its input is empty or too large";
      return false;
    }
  }
  const int last = input.dims->size > 0 ? input.dims->data[input.dims->size - 1] : 1;
  const bool keep = options_.keep_num_dims != 0;
  if (total % options_.in_channels != 0 || (keep && last != options_.in_channels)) {
    *error = "expected an input of " + std::to_string(options_.in_channels) +
             " values a row, got " + std::to_string(total) + " values" +
             (keep ? ", the last dimension being " + std::to_string(last) : std::string());
    return false;
  }
  FcShape s;
  s.rows = total / options_.in_channels;
  s.in_channels = options_.in_channels;
  s.out_channels = options_.out_channels;
  s.activation = static_cast<Activation>(options_.activation);
  int64_t out_size = s.rows;
  if (!grow(&out_size, s.out_channels) || s.rows > std::numeric_limits<int>::max()) {
    *error = "its output is too large";
    return false;
  }
  std::vector<int> shape;
  if (keep) {
    shape.assign(input.dims->data, input.dims->data + input.dims->size - 1);
  } else {
    shape.push_back(static_cast<int>(s.rows));
  }
  shape.push_back(static_cast<int>(s.out_channels));
  if (!resize_output(context, shape, error)) return false;
  if (fc_ == nullptr) {
    constants_read_ = false;
    fc_ = kernel_->fc(s, std::move(codes_));
    constants_read_ = true;
  }
  fc_->plan(s, thread_count(context));
  take_memory(context, fc_->memory());
  return true;
}

// What a layer needs as planned.
void Op::take_memory(TfLiteContext* context, Memory memory) {
  packed_.set({memory.packed, 0});
  scratch_ = Scratch::of(context, memory.scratch);
  scratch_bytes_ = memory.scratch;
}

TfLiteStatus Op::invoke(TfLiteContext* context) {
  if (dynamic_) {
    std::string error;
    bool planned = false;
    try {
      planned = plan(context, &error);
    } catch (const std::exception&) {
      context->ReportError(context, "%s: %s.", op_name(kind_), kNoMemory);
      return kTfLiteError;
    }
    if (!planned) {
      context->ReportError(context, "%s: %s.", op_name(kind_), error.c_str());
      return kTfLiteError;
    }
  }
  const TfLiteTensor* in = tensor_at(context, inputs_, 0);
  const TfLiteTensor* out = tensor_at(context, outputs_, 0);
  const auto* input = static_cast<const float*>(in->data);
  auto* output = static_cast<float*>(out->data);
  if (input == nullptr || output == nullptr) {
    context->ReportError(context, "%s: its input or output has no memory.", op_name(kind_));
    return kTfLiteError;
  }
  // Hosts do not hold a constant that is marked sparse to its shape.
  if (in->bytes < input_bytes_ || out->bytes < output_bytes_) {
    context->ReportError(context, "%s: its input or output has less memory than its shape says.",
                         op_name(kind_));
    return kTfLiteError;
  }
  unsigned char* scratch = scratch_->lend(scratch_bytes_);
  if (kind_ == OpKind::kConv) {
    conv_->run(input, output, scratch);
  } else {
    fc_->run(input, output, scratch);
  }
  return kTfLiteOk;
}

namespace {

// A registration carries no data of ours, so every kernel has its own.
template <OpKind kind, size_t kernel>
void* init(TfLiteContext*, const char* buffer, size_t length) {
  try {
    return new Op(kind, kernels()[kernel], reinterpret_cast<const uint8_t*>(buffer), length);
  } catch (const std::exception&) {
    return nullptr;
  }
}

void free_op(TfLiteContext*, void* buffer) { delete static_cast<Op*>(buffer); }

TfLiteStatus prepare_op(TfLiteContext* context, TfLiteNode* node) {
  auto* op = static_cast<Op*>(node->user_data);
  if (op == nullptr) {
    context->ReportError(context, "QConv, QFC: there is not enough memory.");
    return kTfLiteError;
  }
  try {
    return op->prepare(context, to_vector(node->inputs), to_vector(node->outputs));
  } catch (const std::exception&) {
    context->ReportError(context, "QConv, QFC: %s.", kNoMemory);
    return kTfLiteError;
  }
}

TfLiteStatus invoke_op(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<Op*>(node->user_data)->invoke(context);
}

template <OpKind kind, size_t kernel>
TfLiteRegistration make_registration() {
  TfLiteRegistration registration = {};
  registration.init = init<kind, kernel>;
  registration.free = free_op;
  registration.prepare = prepare_op;
  registration.invoke = invoke_op;
  registration.builtin_code = kTfLiteBuiltinCustom;
  registration.custom_name = op_name(kind);
  registration.version = 1;
  return registration;
}

// The C API keeps the pointer, so the structs live as long as the library.
template <OpKind kind, size_t... kernel>
const TfLiteRegistration& registration_of(size_t wanted, std::index_sequence<kernel...>) {
  static const TfLiteRegistration registrations[] = {make_registration<kind, kernel>()...};
  return registrations[wanted];
}

}  // namespace

const TfLiteRegistration& op_registration(OpKind kind, size_t kernel) {
  const std::make_index_sequence<kMostKernels> all;
  return kind == OpKind::kConv ? registration_of<OpKind::kConv>(kernel, all)
                               : registration_of<OpKind::kFc>(kernel, all);
}

}  // namespace qcnn
