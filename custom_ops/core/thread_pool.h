// Threads that share the work of one layer.
#ifndef QCNN_CORE_THREAD_POOL_H_
#define QCNN_CORE_THREAD_POOL_H_

#include <cstdint>
#include <memory>

namespace qcnn {

// One pool serves every layer of the process and lives as long as someone holds it.
class ThreadPool {
 public:
  // The process's pool, grown to at least `threads` (the caller counts as one). Null for one
  // thread. Throws std::bad_alloc.
  static std::shared_ptr<ThreadPool> get(int threads);

  virtual ~ThreadPool() = default;

  // Calls task(data, item, worker) for each item from 0 to items - 1, on the calling thread and at
  // most threads - 1 others; `worker` is from 0 to threads - 1 and no two calls at a time have the
  // same. Returns when all are done. When another thread is using the pool the caller does all the
  // work alone. Allocates nothing.
  virtual void run(int threads, int64_t items, void (*task)(void* data, int64_t item, int worker),
                   void* data) = 0;
};

// Runs f(item, worker) for each item from 0 to items - 1; `pool` may be null.
template <typename F>
void parallel_for(ThreadPool* pool, int threads, int64_t items, F f) {
  if (pool == nullptr || threads <= 1 || items <= 1) {
    for (int64_t item = 0; item < items; ++item) f(item, 0);
    return;
  }
  pool->run(
      threads, items,
      [](void* data, int64_t item, int worker) { (*static_cast<F*>(data))(item, worker); }, &f);
}

}  // namespace qcnn

#endif  // QCNN_CORE_THREAD_POOL_H_
