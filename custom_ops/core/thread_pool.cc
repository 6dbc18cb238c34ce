#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(_M_X64)
#include <immintrin.h>
#endif

namespace qcnn {
namespace {

constexpr int kWorkerBits = 16;
constexpr uint64_t kWorkerMask = (uint64_t{1} << kWorkerBits) - 1;
constexpr uint64_t kStop = ~uint64_t{0};

// How often a waiting thread looks before it sleeps: about 50 us, the pause between two layers.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

class Pool final : public ThreadPool {
 public:
  ~Pool() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      call_.store(kStop, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void grow(int threads) {
    // Nobody may be running a task while the vector of threads moves.
    std::lock_guard<std::mutex> use(use_);
    threads_.reserve(static_cast<size_t>(threads));
    while (static_cast<int>(threads_.size()) < threads - 1) {
      const int worker = static_cast<int>(threads_.size()) + 1;
      const uint64_t seen = call_.load(std::memory_order_relaxed);
      try {
        threads_.emplace_back([this, worker, seen] { work(worker, seen); });
      } catch (const std::system_error&) {
        return;  // the system gives no more; the answers do not depend on how many there are
      }
    }
  }

  void run(int threads, int64_t items, void (*task)(void*, int64_t, int), void* data) override {
    std::unique_lock<std::mutex> use(use_, std::try_to_lock);
    if (!use.owns_lock() || threads_.empty()) {
      for (int64_t item = 0; item < items; ++item) task(data, item, 0);
      return;
    }
    task_ = task;
    data_ = data;
    items_ = items;
    next_.store(0, std::memory_order_relaxed);
    const int workers = std::min(threads, static_cast<int>(threads_.size()) + 1);
    pending_.store(workers - 1, std::memory_order_relaxed);
    const uint64_t number = (call_.load(std::memory_order_relaxed) >> kWorkerBits) + 1;
    {
      // Under the lock, so that a worker cannot fall asleep between its last look and this.
      std::lock_guard<std::mutex> lock(mutex_);
      call_.store(number << kWorkerBits | static_cast<uint64_t>(workers),
                  std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_relaxed) > 0) wake_.notify_all();
    take_items(0);
    for (int spin = 0; pending_.load(std::memory_order_acquire) > 0; ++spin) {
      if (spin < kSpins) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  void take_items(int worker) {
    for (;;) {
      const int64_t item = next_.fetch_add(1, std::memory_order_relaxed);
      if (item >= items_) return;
      task_(data_, item, worker);
    }
  }

  void work(int worker, uint64_t seen) {
    for (;;) {
      for (int spin = 0; spin < kSpins && call_.load(std::memory_order_acquire) == seen; ++spin) {
        relax();
      }
      if (call_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_relaxed);
        wake_.wait(lock, [&] { return call_.load(std::memory_order_acquire) != seen; });
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
      }
      seen = call_.load(std::memory_order_acquire);
      if (seen == kStop) return;
      // A call that this worker has no part in may be over already: nothing of it is touched.
      if (worker >= static_cast<int>(seen & kWorkerMask)) continue;
      take_items(worker);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex use_;  // held by the caller of run()
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> threads_;
  std::atomic<uint64_t> call_{0};  // number of the present call of run() and of its workers
  std::atomic<int> sleeping_{0}, pending_{0};
  std::atomic<int64_t> next_{0};
  // Written before call_, read after a new call_ was seen.
  void (*task_)(void*, int64_t, int) = nullptr;
  void* data_ = nullptr;
  int64_t items_ = 0;
};

}  // namespace

std::shared_ptr<ThreadPool> ThreadPool::get(int threads) {
  if (threads <= 1) return nullptr;
  static std::mutex mutex;
  static std::weak_ptr<Pool> shared;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Pool> pool = shared.lock();
  if (pool == nullptr) {
    pool = std::make_shared<Pool>();
    shared = pool;
  }
  pool->grow(threads);
  return pool;
}

}  // namespace qcnn
