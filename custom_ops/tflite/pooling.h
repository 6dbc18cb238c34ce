// The max pooling behind a convolution or a local response normalization, which can be computed
// with it: what is between them is then never written.
#ifndef QCNN_TFLITE_POOLING_H_
#define QCNN_TFLITE_POOLING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qcnn/tflite_abi.h"
#include "tflite/options.h"

namespace qcnn {

// Of which a layer and its pooling consist at most.
inline constexpr size_t kMostNodes = 3;

// Indices of so many nodes at most, as hosts take them.
class NodeArray {
 public:
  explicit NodeArray(const std::vector<int>& nodes);
  TfLiteIntArray* get() { return reinterpret_cast<TfLiteIntArray*>(storage_); }

 private:
  alignas(TfLiteIntArray) char storage_[sizeof(TfLiteIntArray) + kMostNodes * sizeof(int)];
};

struct Pooling {
  int64_t size_h = 1, size_w = 1, stride_h = 1, stride_w = 1;
  // kExplicit: a PAD puts zeros around the input.
  Padding padding = Padding::kValid;
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
};

// nodes: indices of a layer and what may be behind it: MAX_POOL_2D, or PAD and MAX_POOL_2D, in the
// order in which they run. Whether they are that, each of float32 and reading only the one before
// it; `pooling` is then what they do.
bool read_pooling(TfLiteContext* context, const std::vector<int>& nodes, Pooling* pooling);

// plan: the nodes of the graph in their order. How many from plan[i] on are a layer and its max
// pooling; 1 where there is none, or something else needs what is between them. pooling: what they
// do, if there are more. Throws std::bad_alloc.
size_t find_pooling(TfLiteContext* context, const std::vector<int>& plan, size_t i,
                    Pooling* pooling);

}  // namespace qcnn

#endif  // QCNN_TFLITE_POOLING_H_
