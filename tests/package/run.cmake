# Installs maskgrad from BUILD into WORK, builds tests/package against it and runs the program.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(code)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/install)

# Every header that docs/headers.md names is there, and includes nothing that is not.
file(STRINGS ${DOCS}/headers.md named REGEX "`<maskgrad/")
list(TRANSFORM named REPLACE ".*`(<maskgrad/[^>]*>)`.*" "#include \\1\n")
list(LENGTH named count)
if(count LESS 80)
  message(FATAL_ERROR "${DOCS}/headers.md names ${count} headers")
endif()
file(WRITE ${WORK}/headers.cpp ${named})

run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${WORK}/install
    -DCMAKE_CXX_COMPILER=${COMPILER} -DHEADERS=${WORK}/headers.cpp)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/outside)
