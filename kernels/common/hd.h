// DIABOLO_HD marks what runs on the host and on the device. (nvcc gets --expt-relaxed-constexpr, so
// that constexpr functions of the standard library may be called there.)
//
// DIABOLO_HD_DISPATCH stands before a template that calls what it is given: on the device a device
// lambda, on the host a host one, without nvcc's warning about the other.
#pragma once

#ifdef __CUDACC__
#define DIABOLO_HD __host__ __device__
#define DIABOLO_HD_DISPATCH _Pragma("nv_exec_check_disable")
#else
#define DIABOLO_HD
#define DIABOLO_HD_DISPATCH
#endif
