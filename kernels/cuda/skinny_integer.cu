// Products of up to 64 rows with weights of 4-bit integers, and of 8-bit ones in blocks.
#include "skinny.cuh"

SKINNY_KERNELS(int4, Int4Weights, 2)
SKINNY_KERNELS(q8_0, Q8_0Weights, 2)
