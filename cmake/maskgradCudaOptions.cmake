# maskgrad_cuda_options(<target>): how nvcc compiles the target's .cu files, here and in projects outside this tree.
#
# C++20, and the GPUs that maskgrad's own kernels are compiled for: CUDA_ARCHITECTURES of the target names others.
# -fmad=false: nvcc fuses no product with a sum by itself, and each is rounded as the code says. What is to be rounded
# once says fma(). fmt 9 turns its constexpr off for nvcc, and then cannot check its formats.
function(maskgrad_cuda_options target)
  get_property(architectures GLOBAL PROPERTY MASKGRAD_CUDA_ARCHITECTURES)
  if(NOT architectures)
    message(FATAL_ERROR "maskgrad_cuda_options: this maskgrad was built without CUDA; configure it with "
      "-DMASKGRAD_CUDA=ON, and install it again")
  endif()
  if(NOT CMAKE_CUDA_COMPILER_LOADED)
    message(FATAL_ERROR "maskgrad_cuda_options: the language CUDA is not enabled; write project(... LANGUAGES CXX CUDA)")
  endif()
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -DFMT_USE_CONSTEXPR=1 --expt-relaxed-constexpr -fmad=false>)
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${architectures}")
endfunction()
