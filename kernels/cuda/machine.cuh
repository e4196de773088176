// What the kernels need of a machine, twice: as CUDA's instructions, and on the host for emulation (with CWM_EMULATE).
//
// Everything else in this folder is plain C++ on top of it. No CUDA header is used, so that both compilers read the same text.
#pragma once

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

// 16 bytes, as one load.
struct alignas(16) Words4 {
    u32 word[4];
};

// 8 bytes, as one load.
struct alignas(8) Words2 {
    u32 word[2];
};

#ifdef CWM_EMULATE

#include <cmath>
#include <cstring>

#include "emulate/emulate.h"

#define DEVICE static inline __attribute__((always_inline))
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define UNROLL

// A kernel: its name, threads a block, and the one struct that it takes.
#define KERNEL(name, threads, Arguments)                                                                             \
    static void name##_body(const Arguments& arguments);                                                             \
    extern "C" __attribute__((visibility("default"))) int name(const emulate::Launch* launch, const void* argument, char* error, u64 error_bytes) {         \
        return emulate::run(                                                                                         \
            launch, threads, sizeof(Arguments),                                                                      \
            [](const void* pointer) { name##_body(*static_cast<const Arguments*>(pointer)); }, argument, error,      \
            error_bytes);                                                                                            \
    }                                                                                                                \
    static void name##_body(const Arguments& arguments)

// One that takes registers rather than that many of its blocks run side by side.
#define GREEDY_KERNEL KERNEL

#define SHARED_MEMORY(T, name) T& name = emulate::shared_memory<T>()

DEVICE u32 thread_index() { return emulate::machine.current->thread.x; }
DEVICE u32 block_x() { return emulate::machine.block.x; }
DEVICE u32 block_y() { return emulate::machine.block.y; }
DEVICE u32 block_z() { return emulate::machine.block.z; }
DEVICE void sync_block() { emulate::barrier(); }
DEVICE void sync_warp() { emulate::warp_operation(emulate::Operation::Sync); }

DEVICE u32 float_bits(float value) {
    u32 bits;
    memcpy(&bits, &value, 4);
    return bits;
}
DEVICE float bits_float(u32 bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
DEVICE u32 shuffle_bits(u32 value, u32 lane) { return emulate::shuffle(value, lane); }

DEVICE float exp2_fast(float x) { return exp2f(x); }
DEVICE float divide_fast(float a, float b) { return a / b; }
DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float natural_log(float x) { return logf(x); }
DEVICE float greater(float a, float b) { return fmaxf(a, b); }
DEVICE float lesser(float a, float b) { return fminf(a, b); }
DEVICE float nearest_integer(float x) { return nearbyintf(x); }

DEVICE u32 permute_bytes(u32 low, u32 high, u32 selector) {
    u64 bytes = u64(high) << 32 | low;
    u32 result = 0;
    for (u32 at = 0; at < 4; at++) {
        result |= u32(bytes >> (selector >> 4 * at & 7) * 8 & 0xff) << 8 * at;
    }
    return result;
}

// To bf16, to nearest even.
DEVICE u16 to_bf16(float value) {
    u32 bits = float_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return 0x7fff;
    }
    return u16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
DEVICE u32 to_bf16_pair(float low, float high) { return u32(to_bf16(high)) << 16 | to_bf16(low); }

DEVICE float half_to_float(u16 bits) {
    u32 sign = u32(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31) {
        return bits_float(sign | 0x7f800000 | fraction << 13);
    }
    float magnitude = exponent ? ldexpf(float(fraction | 0x400), int(exponent) - 25) : ldexpf(float(fraction), -24);
    return sign ? -magnitude : magnitude;
}
DEVICE u16 float_to_half(float value) {
    _Float16 half = static_cast<_Float16>(value);
    u16 bits;
    memcpy(&bits, &half, 2);
    return bits;
}

// a * b + c of two bf16 each.
DEVICE u32 bf16_pair_multiply_add(u32 a, u32 b, u32 c) {
    auto one = [](u32 a, u32 b, u32 c) {
        return to_bf16(float(double(emulate::bf16_value(a)) * emulate::bf16_value(b) + emulate::bf16_value(c)));
    };
    return u32(one(a >> 16, b >> 16, c >> 16)) << 16 | one(a & 0xffff, b & 0xffff, c & 0xffff);
}

DEVICE Words4 load_streamed(const void* from) { return *static_cast<const Words4*>(from); }
DEVICE Words2 load_streamed_8(const void* from) { return *static_cast<const Words2*>(from); }

DEVICE void copy_async(void* to, const void* from, bool there) { emulate::begin_copy(to, from, there ? 16 : 0); }
DEVICE void copy_async_commit() { emulate::machine.current->groups++; }
template <int PENDING>
DEVICE void copy_async_wait() {
    emulate::finish_copies(PENDING);
}

DEVICE void matrix_multiply_add(float (&sums)[4], const u32 (&left)[4], u32 right_0, u32 right_1) {
    emulate::Lane* lane = emulate::machine.current;
    lane->sums = sums;
    lane->left = left;
    lane->right[0] = right_0;
    lane->right[1] = right_1;
    emulate::warp_operation(emulate::Operation::Matrix);
}

DEVICE void atomic_add(u32* to, u32 value) { *to += value; }
DEVICE void atomic_add(u64* to, u64 value) { *to += value; }

#else

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define UNROLL _Pragma("unroll")

#define KERNEL(name, threads, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Arguments arguments)
#define GREEDY_KERNEL(name, threads, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads, 1) name(const __grid_constant__ Arguments arguments)

extern __shared__ uint4 launch_shared_memory[];
#define SHARED_MEMORY(T, name) T& name = *reinterpret_cast<T*>(launch_shared_memory)

DEVICE u32 thread_index() { return threadIdx.x; }
DEVICE u32 block_x() { return blockIdx.x; }
DEVICE u32 block_y() { return blockIdx.y; }
DEVICE u32 block_z() { return blockIdx.z; }
DEVICE void sync_block() { __syncthreads(); }
DEVICE void sync_warp() { __syncwarp(); }

DEVICE u32 float_bits(float value) { return __float_as_uint(value); }
DEVICE float bits_float(u32 bits) { return __uint_as_float(bits); }
DEVICE u32 shuffle_bits(u32 value, u32 lane) { return __shfl_sync(0xffffffff, value, lane); }

DEVICE float exp2_fast(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}
DEVICE float divide_fast(float a, float b) { return __fdividef(a, b); }
DEVICE float square_root(float x) { return sqrtf(x); }
DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float natural_log(float x) { return logf(x); }
DEVICE float greater(float a, float b) { return fmaxf(a, b); }
DEVICE float lesser(float a, float b) { return fminf(a, b); }
DEVICE float nearest_integer(float x) { return rintf(x); }

DEVICE u32 permute_bytes(u32 low, u32 high, u32 selector) { return __byte_perm(low, high, selector); }

DEVICE u16 to_bf16(float value) {
    u16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}
DEVICE u32 to_bf16_pair(float low, float high) {
    u32 result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

DEVICE float half_to_float(u16 bits) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
    return result;
}
DEVICE u16 float_to_half(float value) {
    u16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

DEVICE u32 bf16_pair_multiply_add(u32 a, u32 b, u32 c) {
    u32 result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// Weights and pages are read once: they need not stay in the cache.
DEVICE Words4 load_streamed(const void* from) {
    Words4 value;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
        : "l"(from));
    return value;
}
DEVICE Words2 load_streamed_8(const void* from) {
    Words2 value;
    asm("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(value.word[0]), "=r"(value.word[1]) : "l"(from));
    return value;
}

// 16 bytes to shared memory, or zeros where there are none.
DEVICE void copy_async(void* to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(u32(__cvta_generic_to_shared(to))), "l"(from),
                 "r"(there ? 16 : 0)
                 : "memory");
}
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// sums[16, 8] += left[16, 16] * right[16, 8] of a warp, in bf16 with sums in f32.
DEVICE void matrix_multiply_add(float (&sums)[4], const u32 (&left)[4], u32 right_0, u32 right_1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_0), "r"(right_1));
}

DEVICE void atomic_add(u32* to, u32 value) { atomicAdd(to, value); }
DEVICE void atomic_add(u64* to, u64 value) { atomicAdd(to, value); }

#endif
