# Every CUDA kernel: compiled by nvcc (kernels/CMakeLists.txt) and for the host harness
# (tests/cuda_host/CMakeLists.txt). One line a file.
set(DIABOLO_CUDA_SOURCES
  dense_cublaslt.cu
  dense_data_grad.cu
  dense_forward.cu
  dense_loss.cu
  dense_score.cu
  dense_weight_grad.cu
  elementwise.cu
  gather.cu
  noise.cu
  optimizer.cu
  row_score.cu
  sums.cu
)
list(TRANSFORM DIABOLO_CUDA_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)

# Plain C++ that needs the CUDA runtime's header.
set(DIABOLO_CUDA_PLAIN_SOURCES ${CMAKE_CURRENT_LIST_DIR}/cublaslt.cpp)
