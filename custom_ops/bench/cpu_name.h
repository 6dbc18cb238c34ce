// What a measurement ran on.
#ifndef QCNN_BENCH_CPU_NAME_H_
#define QCNN_BENCH_CPU_NAME_H_

#include <algorithm>
#include <fstream>
#include <string>

namespace qcnn {

// Model name of the processor as Linux tells it, or "unknown CPU".
inline std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (line.rfind("model name", 0) == 0 || line.rfind("Hardware", 0) == 0) {
      return line.substr(std::min(line.size(), line.find(':') + 2));
    }
  }
  return "unknown CPU";
}

}  // namespace qcnn

#endif  // QCNN_BENCH_CPU_NAME_H_
