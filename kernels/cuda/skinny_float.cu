// Products of up to 64 rows with weights of bf16 and e4m3.
#include "skinny.cuh"

SKINNY_KERNELS(bf16, Bf16Weights, 2)
SKINNY_KERNELS(fp8, Fp8Weights, 2)
