# Builds tests/package in WORK against the maskgrad that is installed in PREFIX, and runs the program. Without PREFIX,
# installs maskgrad from BUILD into WORK first.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(code)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
if(NOT PREFIX)
  set(PREFIX ${WORK}/install)
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX})
endif()

# Every header that docs/headers.md names is there, and includes nothing that is not.
file(STRINGS ${DOCS}/headers.md named REGEX "`<maskgrad/")
list(TRANSFORM named REPLACE ".*`(<maskgrad/[^>]*>)`.*" "#include \\1\n")
list(LENGTH named count)
if(count LESS 80)
  message(FATAL_ERROR "${DOCS}/headers.md names ${count} headers")
endif()
file(WRITE ${WORK}/headers.cpp ${named})

# The operation and the layer that CONTRIBUTING.md shows, in a folder of the user's.
foreach(template op/cube.hpp op/cube.cpp layer/stretch.hpp)
  file(READ ${SOURCE}/../adding/${template} text)
  string(REPLACE "<maskgrad/ops/math/cube.hpp>" "\"cube.hpp\"" text "${text}")
  get_filename_component(name ${template} NAME)
  file(WRITE ${WORK}/own/${name} "${text}")
endforeach()

set(configure ${CMAKE_COMMAND} -S ${SOURCE} -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${PREFIX}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DHEADERS=${WORK}/headers.cpp -DOWN=${WORK}/own)
run(${configure} -B ${WORK}/build)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/outside ${WORK}/run)

# What a component needs is asked for by name.
execute_process(COMMAND ${configure} -B ${WORK}/without -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON
                RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE error)
string(REGEX REPLACE "[ \n]+" " " error "${error}")
if(NOT code OR NOT error MATCHES "the component xtensor needs the library xtensor \\(Debian: libxtensor-dev\\)")
  message(FATAL_ERROR "without xtensor: ${code} ${error}")
endif()
