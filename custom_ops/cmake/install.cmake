# `cmake --install`: the library (component qcnn_runtime), its header, find_package(qcnn) and pkg-config (component
# qcnn_development), where Debian and others expect them. Included where this folder is the whole project: the
# Python wheel and the apps place the library themselves.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# A wheel or an app has no symbolic links, a system does: the name with a number is what programs are linked to.
set_target_properties(qcnn_ops PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} EXPORT_NAME ops)

install(TARGETS qcnn_ops EXPORT qcnnTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT qcnn_runtime NAMELINK_COMPONENT qcnn_development
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT qcnn_runtime
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT qcnn_development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# tflite_abi.h stays here: who links to TensorFlow Lite has the real headers.
install(FILES include/qcnn/qcnn_ops.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/qcnn COMPONENT qcnn_development)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/qcnn)
install(EXPORT qcnnTargets
  NAMESPACE qcnn:: DESTINATION ${package_dir} COMPONENT qcnn_development)
configure_package_config_file(cmake/qcnnConfig.cmake.in ${PROJECT_BINARY_DIR}/qcnnConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break what the one before it promised.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qcnnConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qcnnConfig.cmake ${PROJECT_BINARY_DIR}/qcnnConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT qcnn_development)

# Relative to the file, so that the prefix may be chosen when it is installed.
file(RELATIVE_PATH QCNN_PC_PREFIX
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/qcnn.pc.in ${PROJECT_BINARY_DIR}/qcnn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/qcnn.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT qcnn_development)
