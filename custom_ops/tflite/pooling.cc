#include "tflite/pooling.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "tflite/shapes.h"

namespace qcnn {
namespace {

constexpr int64_t kMost = 1 << 20;  // of a size, a stride, a pad; larger ones are left to the host

// The node of that index, if it is the builtin op and has so many inputs, of which the first is
// `input`, and one output, all that is not a shape float32.
const TfLiteNode* node_reading(TfLiteContext* context, int index, int32_t code, int inputs,
                               int input) {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk ||
      registration->builtin_code != code || node->inputs == nullptr || node->outputs == nullptr ||
      node->inputs->size != inputs || node->outputs->size != 1 || node->inputs->data[0] != input) {
    return nullptr;
  }
  const TfLiteTensor* from = tensor_at(context, input);
  const TfLiteTensor* to = tensor_at(context, node->outputs->data[0]);
  return from != nullptr && to != nullptr && from->type == kTfLiteFloat32 &&
                 to->type == kTfLiteFloat32
             ? node
             : nullptr;
}

// A constant [4][2] of int32 or int64: what is put before and behind each dimension.
bool read_pads(TfLiteContext* context, const TfLiteNode& pad, Pooling* pooling) {
  const TfLiteTensor* tensor = tensor_at(context, pad.inputs->data[1]);
  if (tensor == nullptr || tensor->allocation_type != kTfLiteMmapRo || tensor->data == nullptr ||
      tensor->dims == nullptr || tensor->dims->size != 2 || tensor->dims->data[0] != 4 ||
      tensor->dims->data[1] != 2) {
    return false;
  }
  std::array<int64_t, 8> pads;
  if (tensor->type == kTfLiteInt64 && tensor->bytes >= sizeof(pads)) {
    std::memcpy(pads.data(), tensor->data, sizeof(pads));
  } else if (std::array<int32_t, 8> narrow;
             tensor->type == kTfLiteInt32 && tensor->bytes >= sizeof(narrow)) {
    std::memcpy(narrow.data(), tensor->data, sizeof(narrow));
    for (size_t i = 0; i < pads.size(); ++i) pads[i] = narrow[i];
  } else {
    return false;
  }
  for (int64_t size : pads) {
    if (size < 0 || size > kMost) return false;
  }
  pooling->padding = Padding::kExplicit;
  pooling->pad_top = pads[2];
  pooling->pad_bottom = pads[3];
  pooling->pad_left = pads[4];
  pooling->pad_right = pads[5];
  return pads[0] == 0 && pads[1] == 0 && pads[6] == 0 && pads[7] == 0;
}

// The only output tensor of a node; -1 where it has another number of them.
int only_output(TfLiteContext* context, int index) {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk ||
      node->outputs == nullptr || node->outputs->size != 1) {
    return -1;
  }
  return node->outputs->data[0];
}

// Whether the host would make one node of them, of which nothing is seen but the last one's output:
// other readers, and outputs of the graph, are outputs of the partition.
bool is_one_partition(TfLiteContext* context, const std::vector<int>& nodes) {
  NodeArray array(nodes);
  TfLiteDelegateParams* partitions = nullptr;
  int count = 0;
  if (context->PreviewDelegatePartitioning == nullptr ||
      context->PreviewDelegatePartitioning(context, array.get(), &partitions, &count) !=
          kTfLiteOk ||
      count != 1 || partitions == nullptr) {
    return false;
  }
  const TfLiteIntArray* outputs = partitions[0].output_tensors;
  return outputs != nullptr && outputs->size == 1 &&
         outputs->data[0] == only_output(context, nodes.back());
}

}  // namespace

NodeArray::NodeArray(const std::vector<int>& nodes) {
  assert(nodes.size() <= kMostNodes);
  get()->size = static_cast<int>(nodes.size());
  std::copy(nodes.begin(), nodes.end(), get()->data);
}

bool read_pooling(TfLiteContext* context, const std::vector<int>& nodes, Pooling* pooling) {
  *pooling = Pooling();
  if (nodes.size() < 2 || nodes.size() > kMostNodes) return false;
  int from = only_output(context, nodes[0]);
  if (nodes.size() == kMostNodes) {
    const TfLiteNode* pad = node_reading(context, nodes[1], kTfLiteBuiltinPad, 2, from);
    if (pad == nullptr || !read_pads(context, *pad, pooling)) return false;
    from = pad->outputs->data[0];
  }
  const TfLiteNode* pool = node_reading(context, nodes.back(), kTfLiteBuiltinMaxPool2d, 1, from);
  if (pool == nullptr || pool->builtin_data == nullptr) return false;
  const auto& params = *static_cast<const TfLitePoolParams*>(pool->builtin_data);
  if (params.activation != 0 || (params.padding != 1 && params.padding != 2)) return false;
  for (int size :
       {params.filter_height, params.filter_width, params.stride_height, params.stride_width}) {
    if (size < 1 || size > kMost) return false;
  }
  if (params.padding == 1) {
    if (nodes.size() == kMostNodes) return false;
    pooling->padding = Padding::kSame;
  }
  pooling->size_h = params.filter_height;
  pooling->size_w = params.filter_width;
  pooling->stride_h = params.stride_height;
  pooling->stride_w = params.stride_width;
  return true;
}

size_t find_pooling(TfLiteContext* context, const std::vector<int>& plan, size_t i,
                    Pooling* pooling) {
  for (size_t count = 2; count <= kMostNodes && i + count <= plan.size(); ++count) {
    const auto first = plan.begin() + static_cast<ptrdiff_t>(i);
    const std::vector<int> nodes(first, first + static_cast<ptrdiff_t>(count));
    if (read_pooling(context, nodes, pooling) && is_one_partition(context, nodes)) return count;
  }
  return 1;
}

}  // namespace qcnn
