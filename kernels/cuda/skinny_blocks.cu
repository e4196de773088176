// Products of up to 64 rows with weights in blocks of 256.
#include "skinny.cuh"

SKINNY_KERNELS(q4_k, Q4_KWeights, 1)
SKINNY_KERNELS(q6_k, Q6_KWeights, 2)
