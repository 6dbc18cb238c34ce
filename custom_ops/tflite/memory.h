// Memory of layers besides the model file: how much there is, and the scratch that they share.
#ifndef QCNN_TFLITE_MEMORY_H_
#define QCNN_TFLITE_MEMORY_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "core/aligned.h"
#include "core/kernels.h"
#include "qcnn/tflite_abi.h"

namespace qcnn {

// Bytes of all layers of the process.
Memory total_memory();

// What one owner has added to total_memory(); taken back when it goes.
class MemoryShare {
 public:
  MemoryShare() = default;
  MemoryShare(MemoryShare&& other) noexcept : share_(std::exchange(other.share_, Memory())) {}
  ~MemoryShare() { set(Memory()); }
  void set(Memory memory);

 private:
  Memory share_;
};

// Scratch of the layers of one interpreter. They run one after another, so one piece of memory
// serves them all, and each finds it in the cache.
class Scratch {
 public:
  // The one of an interpreter's context (of each of its subgraphs), for as long as a layer holds
  // it, of at least so many bytes: it never shrinks. Contents are lost. Throws std::bad_alloc and
  // then leaves it as it was.
  static std::shared_ptr<Scratch> of(const TfLiteContext* context, size_t bytes);

  explicit Scratch(const TfLiteContext* context) : context_(context) {}
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Memory for a layer that has asked for so many bytes, from a cache line on. An address sanitizer
  // sees what is written behind them.
  unsigned char* lend(size_t bytes);

 private:
  static std::shared_ptr<Scratch> find(const TfLiteContext* context);
  void reserve(size_t bytes);

  const TfLiteContext* context_;
  AlignedArray<unsigned char> memory_;
  MemoryShare share_;
};

}  // namespace qcnn

#endif  // QCNN_TFLITE_MEMORY_H_
