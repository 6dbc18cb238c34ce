#include "core/aligned.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace qcnn {

void want_huge_pages(unsigned char* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Advice: where the system refuses it, pages are small. Only whole pages, because what follows
  // may be somebody else's.
  (void)madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#else
  (void)memory, (void)bytes;
#endif
}

}  // namespace qcnn
