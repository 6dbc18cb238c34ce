#include "tflite/memory.h"

#include <atomic>
#include <map>
#include <mutex>
#include <new>

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

std::shared_ptr<Scratch> Scratch::of(const TfLiteContext* context) {
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
  if (bytes > static_cast<size_t>(INT64_MAX)) throw std::bad_alloc();
  share_.set(Memory());
  memory_.resize(static_cast<int64_t>(bytes));
  share_.set({0, memory_.bytes()});
}

}  // namespace qcnn
