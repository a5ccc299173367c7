# Whether .cu files are compiled for a GPU. A room without CUDA is the same with or without it; its kernels
# are a library of their own, maskgrad_<room>_cuda, which maskgrad::<room> brings along.
set(MASKGRAD_CUDA AUTO CACHE STRING "CUDA kernels: ON, OFF, or AUTO (where there are a GPU and a CUDA compiler)")
set_property(CACHE MASKGRAD_CUDA PROPERTY STRINGS AUTO ON OFF)
set(MASKGRAD_CUDA_ARCHITECTURES "" CACHE STRING
  "The GPUs that CUDA kernels are compiled for: 90 for an H100; empty for that of this machine, or 90 without one")
set(MASKGRAD_HAS_CUDA OFF)

# Fails where nvcc does not compile for one of MASKGRAD_CUDA_ARCHITECTURES.
function(maskgrad_check_architectures)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+" known "${known}")
  foreach(architecture IN LISTS MASKGRAD_CUDA_ARCHITECTURES)
    string(REGEX MATCH "^[0-9]+" number "${architecture}")
    if(known AND number AND NOT number IN_LIST known)
      list(JOIN known ", " known)
      message(FATAL_ERROR "MASKGRAD_CUDA_ARCHITECTURES: ${CMAKE_CUDA_COMPILER} does not compile for ${number}, only for "
        "${known}")
    endif()
  endforeach()
endfunction()

# Kernels take long to compile, and nothing runs them where there is no GPU.
string(TOUPPER "${MASKGRAD_CUDA}" MASKGRAD_CUDA)  # auto means AUTO
set(words_for_on ON TRUE YES Y 1)
set(words_for_off OFF FALSE NO N 0)
if(NOT MASKGRAD_CUDA IN_LIST words_for_on AND NOT MASKGRAD_CUDA IN_LIST words_for_off AND
   NOT MASKGRAD_CUDA STREQUAL "AUTO")
  message(FATAL_ERROR "MASKGRAD_CUDA must be AUTO, ON or OFF, not '${MASKGRAD_CUDA}'")
endif()
set(capability "([1-8][0-9]|90a?|1[0-9][0-9]a?)(-real|-virtual)?")
if(NOT "${MASKGRAD_CUDA_ARCHITECTURES}" STREQUAL "" AND
   NOT "${MASKGRAD_CUDA_ARCHITECTURES}" MATCHES "^(native|all|all-major|${capability}(;${capability})*)$")
  message(FATAL_ERROR "MASKGRAD_CUDA_ARCHITECTURES must be compute capabilities without a point, such as '80;90', or "
    "one of native, all and all-major, not '${MASKGRAD_CUDA_ARCHITECTURES}'")
endif()
execute_process(COMMAND nvidia-smi -L OUTPUT_VARIABLE gpus RESULT_VARIABLE ignored ERROR_QUIET)
string(REGEX MATCH "^GPU" has_gpu "${gpus}")
set(tries_cuda ${MASKGRAD_CUDA})
if(MASKGRAD_CUDA STREQUAL "AUTO")
  set(tries_cuda ${has_gpu})
endif()
if(MASKGRAD_SHARED AND tries_cuda)
  if(NOT MASKGRAD_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "MASKGRAD_CUDA=${MASKGRAD_CUDA} needs MASKGRAD_SHARED=OFF: shared libraries hold no kernels")
  endif()
  set(tries_cuda OFF)
endif()

if(tries_cuda AND MASKGRAD_CUDA_ARCHITECTURES STREQUAL "native" AND NOT has_gpu)
  message(FATAL_ERROR "MASKGRAD_CUDA_ARCHITECTURES is native, and nvidia-smi shows no GPU here: name compute "
    "capabilities, such as 90")
endif()
# CMake's own default is among these, where a project around this one has CUDA.
if("${MASKGRAD_CUDA_ARCHITECTURES}" STREQUAL "" AND (CMAKE_CUDA_ARCHITECTURES OR DEFINED ENV{CUDAARCHS}))
  set(how_to_choose "; MASKGRAD_CUDA_ARCHITECTURES names others, CMAKE_CUDA_ARCHITECTURES does not")
endif()
if(tries_cuda)
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # what was not found before may be there now
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(MASKGRAD_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES ${MASKGRAD_CUDA_ARCHITECTURES})
    elseif(has_gpu)
      set(CMAKE_CUDA_ARCHITECTURES native)
    else()
      set(CMAKE_CUDA_ARCHITECTURES 90)
    endif()
    maskgrad_check_architectures()
    if(MASKGRAD_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
      set(CMAKE_CUDA_COMPILER_LAUNCHER ${MASKGRAD_CCACHE})
    endif()
    enable_language(CUDA)
    # CMake 3.25 does not know that nvcc has C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    set(CMAKE_CUDA_STANDARD 20)
    find_package(CUDAToolkit REQUIRED)
    set(MASKGRAD_HAS_CUDA ON)
  elseif(NOT MASKGRAD_CUDA STREQUAL "AUTO")
    set(named "CMake finds no CUDA compiler; name it in CUDACXX")
    if(DEFINED ENV{CUDACXX})
      set(named "CUDACXX names no CUDA compiler that works: $ENV{CUDACXX}")
    endif()
    message(FATAL_ERROR "MASKGRAD_CUDA=${MASKGRAD_CUDA}, but ${named}")
  endif()
endif()

# What became of it, in one line.
if(MASKGRAD_HAS_CUDA)
  string(REPLACE native "the GPU of this machine" built_for "${CMAKE_CUDA_ARCHITECTURES}")
  message(STATUS "CUDA: kernels for ${built_for}${how_to_choose}")
  set_property(GLOBAL PROPERTY MASKGRAD_CUDA_ARCHITECTURES ${CMAKE_CUDA_ARCHITECTURES})
elseif(NOT MASKGRAD_CUDA STREQUAL "AUTO")
  message(STATUS "CUDA: none (MASKGRAD_CUDA is ${MASKGRAD_CUDA})")
elseif(MASKGRAD_SHARED)
  message(STATUS "CUDA: none (shared libraries hold no kernels)")
elseif(has_gpu)
  message(STATUS "CUDA: none (there is a GPU, but no CUDA compiler; name it in CUDACXX)")
else()
  message(STATUS "CUDA: none (no GPU here; -DMASKGRAD_CUDA=ON compiles kernels all the same)")
endif()

include(${CMAKE_CURRENT_LIST_DIR}/maskgradCudaOptions.cmake)

# maskgrad_own_cuda_options(<target>): maskgrad_cuda_options(), and what this build wants besides.
function(maskgrad_own_cuda_options target)
  maskgrad_cuda_options(${target})
  target_compile_options(${target} PRIVATE -Xcompiler=-Wall,-Wextra)
  # A kernel that keeps registers in memory is slow, and nothing else shows it.
  if(MASKGRAD_WERROR)
    target_compile_options(${target} PRIVATE -Werror=all-warnings -Xptxas=-warn-spills,-Werror)
  endif()
endfunction()

# maskgrad_room_kernels(<name>): src/<name>/**/*.cu for a GPU, linked by whoever links maskgrad::<name>.
# A target with the property MASKGRAD_EMULATED goes without, and brings emulated kernels of its own.
function(maskgrad_room_kernels name)
  file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cu)
  if(NOT MASKGRAD_HAS_CUDA OR NOT kernels)
    return()
  endif()
  set(target maskgrad_${name}_cuda)
  add_library(${target} STATIC ${kernels})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}_cuda_archive)
  maskgrad_own_cuda_options(${target})
  # Not linked to the room: that is in the program whole already.
  target_include_directories(${target} PRIVATE
    $<TARGET_PROPERTY:maskgrad_${name},INTERFACE_INCLUDE_DIRECTORIES>)
  target_link_libraries(${target} PUBLIC CUDA::cudart_static)
  set(emulated $<BOOL:$<TARGET_PROPERTY:MASKGRAD_EMULATED>>)
  target_link_libraries(maskgrad_${name}_whole INTERFACE
    $<BUILD_INTERFACE:$<$<NOT:${emulated}>:$<LINK_LIBRARY:WHOLE_ARCHIVE,${target}>>>
    $<INSTALL_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,maskgrad::${name}_cuda_archive>>)
  install(TARGETS ${target} EXPORT maskgradTargets)
endfunction()
