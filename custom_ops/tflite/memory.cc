#include "tflite/memory.h"

#include <atomic>
#include <cassert>
#include <map>
#include <mutex>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define QCNN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#define QCNN_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#else
#define QCNN_ADDRESS_SANITIZER 0
#endif
#if QCNN_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace qcnn {
namespace {

std::atomic<size_t> packed_bytes{0}, scratch_bytes{0};

struct Registry {
  std::mutex mutex;
  std::map<const TfLiteContext*, std::weak_ptr<Scratch>> scratch;
};

// Never destroyed: hosts may outlive the library's static objects.
Registry& registry() {
  static Registry& found = *new Registry;
  return found;
}

}  // namespace

Memory total_memory() { return {packed_bytes.load(), scratch_bytes.load()}; }

void MemoryShare::set(Memory memory) {
  packed_bytes += memory.packed - share_.packed;
  scratch_bytes += memory.scratch - share_.scratch;
  share_ = memory;
}

std::shared_ptr<Scratch> Scratch::of(const TfLiteContext* context, size_t bytes) {
  std::shared_ptr<Scratch> found = find(context);
  found->reserve(bytes);
  return found;
}

std::shared_ptr<Scratch> Scratch::find(const TfLiteContext* context) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  std::weak_ptr<Scratch>& known = all.scratch[context];
  std::shared_ptr<Scratch> found = known.lock();
  if (found == nullptr) {
    found = std::make_shared<Scratch>(context);
    known = found;
  }
  return found;
}

Scratch::~Scratch() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  // A new interpreter may have come to the same address meanwhile.
  const auto known = all.scratch.find(context_);
  if (known != all.scratch.end() && known->second.expired()) all.scratch.erase(known);
}

void Scratch::reserve(size_t bytes) {
  if (bytes <= memory_.bytes()) return;
  if (bytes > kMostBytes) throw std::bad_alloc();
  // Other layers count on what there is, should there not be enough memory for more.
  memory_ = AlignedArray<unsigned char>(static_cast<int64_t>(bytes));
  share_.set({0, memory_.bytes()});
}

unsigned char* Scratch::lend(size_t bytes) {
  assert(bytes > 0 && bytes <= memory_.bytes());
#if QCNN_ADDRESS_SANITIZER
  ASAN_UNPOISON_MEMORY_REGION(memory_.data(), memory_.bytes());
  ASAN_POISON_MEMORY_REGION(memory_.data() + bytes, memory_.bytes() - bytes);
#else
  (void)bytes;
#endif
  return memory_.data();
}

}  // namespace qcnn
