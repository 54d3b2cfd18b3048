// DIABOLO_HD marks what runs on the host and on the device. (nvcc gets --expt-relaxed-constexpr, so
// that constexpr functions of the standard library may be called there.)
#pragma once

#ifdef __CUDACC__
#define DIABOLO_HD __host__ __device__
#else
#define DIABOLO_HD
#endif
