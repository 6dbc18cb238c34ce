// A real TensorFlow Lite C library (QCNN_TFLITE_C), and golden models for it.
#ifndef QCNN_TESTS_C_LIBRARY_H_
#define QCNN_TESTS_C_LIBRARY_H_

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace qcnn {

// golden/NAME.tflite, and the text beside it: an input, and what must come out.
struct Golden {
  std::vector<char> model;
  std::vector<float> input, expected;
};

inline Golden read_golden(const std::string& name) {
  const std::string path = QCNN_TEST_DIR "/golden/" + name;
  std::ifstream file(path + ".tflite", std::ios::binary);
  Golden golden;
  golden.model.assign(std::istreambuf_iterator<char>(file), {});
  std::ifstream text(path + ".txt");
  for (auto* values : {&golden.input, &golden.expected}) {
    size_t count = 0;
    text >> count;
    values->resize(count);
    for (float& value : *values) text >> value;
  }
  EXPECT_TRUE(text.good() || text.eof()) << path;
  EXPECT_GT(golden.expected.size(), 1u) << path;
  return golden;
}

// Skips where no library was named.
class WithCLibrary : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = QCNN_TFLITE_C;
    if (path.empty()) GTEST_SKIP() << "no libtensorflowlite_c.so was named (QCNN_TFLITE_C)";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    ASSERT_NE(library_, nullptr) << dlerror();
  }

  template <typename Function>
  Function get(const char* name) {
    void* symbol = dlsym(library_, name);
    EXPECT_NE(symbol, nullptr) << name;
    return reinterpret_cast<Function>(symbol);
  }

 private:
  void* library_ = nullptr;
};

}  // namespace qcnn

#endif  // QCNN_TESTS_C_LIBRARY_H_
