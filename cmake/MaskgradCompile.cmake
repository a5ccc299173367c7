# How our own code is compiled: language level, warnings, optimisation, sanitizers, ccache.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(MASKGRAD_CCACHE ccache)
if(MASKGRAD_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What it asks for where headers are precompiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${MASKGRAD_CCACHE})
endif()

# Carried by every target of this project, and never by a user's.
add_library(maskgrad_compile INTERFACE)
target_compile_options(maskgrad_compile INTERFACE
  -Wall -Wextra -Wshadow -Wconversion
  # Exact results are kept: no reassociation, NaN and Inf count. Only errno and the floating-point
  # exception flags, which nothing here reads, are given up; that lets sqrt and selects vectorise.
  -fno-math-errno -fno-trapping-math
  $<$<CONFIG:Release>:$<IF:$<BOOL:$<TARGET_PROPERTY:MASKGRAD_CALLS_ONLY>>,-O1,-O3>>)
# maskgrad_precompile(<target> <header>...): the target's files read these, and what most of them read, once.
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON shows whether each file includes what it needs.
function(maskgrad_precompile target)
  target_precompile_headers(${target} PRIVATE <algorithm> <filesystem> <functional> <map> <memory> <optional>
    <span> <string> <vector> <fmt/format.h> ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess)  # ccache asks for it
  endif()
endfunction()

# maskgrad_calls_only(<target> [EXCEPT <regex>]): it calls what computes, and -O1 is enough for it. -O3 would take a third
# more time to build. A file that includes kernels gets -O3, because the linker may use its copy of an inline function
# for the library, too. CMake looks for such includes only when it configures. A file whose path matches <regex> gets
# -O3, as it computes itself.
function(maskgrad_calls_only target)
  cmake_parse_arguments(CALLS "" "EXCEPT" "" ${ARGN})
  set_target_properties(${target} PROPERTIES MASKGRAD_CALLS_ONLY ON)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    file(STRINGS ${source} kernels REGEX "#include .*(ops/(cpu|functors)|xtensor)[/.]" LIMIT_COUNT 1)
    if(kernels OR (CALLS_EXCEPT AND source MATCHES "${CALLS_EXCEPT}"))
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>"
        SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

if(MASKGRAD_SANITIZER)
  # It halves what compiling takes. What is called keeps its own level.
  target_compile_options(maskgrad_compile INTERFACE $<$<BOOL:$<TARGET_PROPERTY:MASKGRAD_CALLS_ONLY>>:-O0>)
endif()
if(MASKGRAD_WERROR)
  target_compile_options(maskgrad_compile INTERFACE -Werror)
endif()
if(MASKGRAD_NATIVE)
  target_compile_options(maskgrad_compile INTERFACE -march=native)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64"
   AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12
   AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12.3)
  # With AVX-512, GCC 12.2 writes {0.5, 0.5, 0, 0} as {0.5, 0.5, 0.5, 0.5} (GCC bug 108599): it takes
  # a constant wider than 16 bytes for a repetition of its words when those behind them are zero.
  target_compile_options(maskgrad_compile INTERFACE -mmove-max=128 -mstore-max=128)
endif()
if(MASKGRAD_SANITIZER)
  target_compile_options(maskgrad_compile INTERFACE
    -fsanitize=${MASKGRAD_SANITIZER} -fno-omit-frame-pointer -fno-sanitize-recover=all
    # What the sanitizers insert hides from GCC that <regex> initialises its states.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(maskgrad_compile INTERFACE
      -fsanitize-ignorelist=${CMAKE_CURRENT_LIST_DIR}/sanitizer_ignore.txt)
    # GCC's names for what clang says by __has_feature().
    foreach(sanitizer address thread)
      if(MASKGRAD_SANITIZER MATCHES ${sanitizer})
        string(TOUPPER __sanitize_${sanitizer}__ name)
        target_compile_definitions(maskgrad_compile INTERFACE ${name})
      endif()
    endforeach()
  endif()
  target_link_options(maskgrad_compile INTERFACE -fsanitize=${MASKGRAD_SANITIZER})
endif()

# xtensor, xtensor-blas and xsimd, for the .cpp files of the rooms that compute. No public header includes them
# but maskgrad/tensor/xtensor.hpp, which is for users: see maskgrad::xtensor.
add_library(maskgrad_xtensor INTERFACE)
target_compile_definitions(maskgrad_xtensor INTERFACE XTENSOR_USE_XSIMD HAVE_CBLAS=1)
# GCC 12 takes the undefined vectors inside its own AVX-512 intrinsics for ours (GCC bug 105593).
target_compile_options(maskgrad_xtensor INTERFACE
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>"
  # Without optimisation each operation on a vector is a call, and a few steps of batch 100 take more
  # than five minutes.
  $<$<CONFIG:Debug>:-O1>)
if(MASKGRAD_SANITIZER)
  # A sanitizer checks each of the many copies that a kernel's inner loops are made of: with -O2, and
  # with the 32 registers of AVX-512, which the presets leave out too, one file takes the compiler more
  # than nine minutes and 3 GB; so, one minute.
  target_compile_options(maskgrad_xtensor INTERFACE -O1)
endif()
