# What a Debian package's user meets: installs BUILD into a new prefix, then builds and runs the program
# beside this file against it, by find_package() and, where there is one, by pkg-config.
#
#   cmake -DBUILD=... -DWORK=... -DMODEL=... -DGENERATOR=... -DC_COMPILER=... -P test.cmake
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(JOIN " " command ${ARGV})
    message(FATAL_ERROR "${command}: ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_BUILD_TYPE=Release)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer ${MODEL})
message("find_package: ${output}")

find_program(pkg_config NAMES pkg-config pkgconf)
if(pkg_config)
  file(GLOB_RECURSE pc ${prefix}/*/qcnn.pc)
  get_filename_component(folder ${pc} DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${folder})
  run(${pkg_config} --modversion qcnn)
  string(STRIP "${output}" version)
  run(${pkg_config} --cflags --libs qcnn)
  separate_arguments(flags UNIX_COMMAND "${output}")
  file(GLOB_RECURSE library ${prefix}/*/libqcnn_ops.so)
  get_filename_component(folder ${library} DIRECTORY)
  run(${C_COMPILER} ${CMAKE_CURRENT_LIST_DIR}/consumer.c "-DWANTED_VERSION=\"${version}\""
    -o ${WORK}/consumer ${flags} -Wl,-rpath,${folder})
  run(${WORK}/consumer ${MODEL})
  message("pkg-config: ${output}")
endif()
