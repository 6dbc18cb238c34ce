/* Uses the installed header and library; its argument is a model with QConv. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcnn/qcnn_ops.h"

#define REQUIRE(condition)                                    \
  do {                                                        \
    if (!(condition)) {                                       \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      return 1;                                               \
    }                                                         \
  } while (0)

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  REQUIRE(strcmp(qcnn_version(), WANTED_VERSION) == 0);

  FILE* file = fopen(argv[1], "rb");
  REQUIRE(file != NULL);
  REQUIRE(fseek(file, 0, SEEK_END) == 0);
  const long size = ftell(file);
  REQUIRE(size > 0);
  rewind(file);
  void* model = malloc((size_t)size);
  REQUIRE(model != NULL);
  REQUIRE(fread(model, 1, (size_t)size, file) == (size_t)size);
  fclose(file);

  QcnnModelInfo info;
  REQUIRE(qcnn_check_model(model, (size_t)size, &info) == QCNN_OK);
  REQUIRE(info.qconv > 0);
  REQUIRE(qcnn_check_model(model, (size_t)size / 2, &info) == QCNN_DAMAGED);
  free(model);

  struct TfLiteDelegate* delegate = qcnn_delegate_create("reference", 0);
  REQUIRE(delegate != NULL);
  qcnn_delegate_delete(delegate);
  REQUIRE(qcnn_delegate_create("no such kernel", 0) == NULL);
  printf("qcnn %s, kernel %s\n", qcnn_version(), qcnn_selected_kernel());
  return 0;
}
