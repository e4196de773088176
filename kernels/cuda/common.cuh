// What several kernels share: number formats, sums over a warp and a block, and the form of the KV pages.
#pragma once

#include "machine.cuh"

constexpr u32 WARP = 32;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float INFINITE = __builtin_huge_valf();

// ---- Number formats

DEVICE float bf16_to_float(u16 bits) { return bits_float(u32(bits) << 16); }
DEVICE float low_bf16(u32 pair) { return bits_float(pair << 16); }
DEVICE float high_bf16(u32 pair) { return bits_float(pair & 0xffff0000u); }

// To bf16, what it cannot hold as its greatest value.
DEVICE u16 to_bf16_saturated(float value) {
    constexpr float GREATEST = 3.3895313892515355e38f;
    return to_bf16(value != value ? value : lesser(greater(value, -GREATEST), GREATEST));
}

constexpr float FP8_GREATEST = 448.0f;

// To e4m3 (sign, 4 bits of exponent with bias 7, 3 of fraction), to nearest even; what is too great becomes 448.
DEVICE u8 to_fp8(float value) {
    u32 bits = float_bits(value);
    u32 sign = bits >> 24 & 0x80;
    u32 magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
        return u8(sign | 0x7f);
    }
    if (magnitude >= 0x43e00000) {  // 448
        return u8(sign | 0x7e);
    }
    if (magnitude < 0x3c800000) {  // 2^-6: multiples of 2^-9 from here on
        return u8(sign | u32(nearest_integer(bits_float(magnitude) * 512.0f)));
    }
    u32 rounded = magnitude + 0x7ffff + (magnitude >> 20 & 1);
    return u8(sign | ((rounded >> 20) - (120 << 3)));
}

// Two bytes of e4m3, each in the upper byte of a half word, as two bf16 that are 2^120 times too small.
DEVICE u32 fp8_to_small_bf16_pair(u32 upper_bytes) {
    return (upper_bytes & 0x80008000u) | (upper_bytes >> 4 & 0x07f007f0u);
}

// The first (or last) two of four e4m3 as bf16, exactly.
DEVICE u32 fp8_to_bf16_pair(u32 four, bool last) {
    constexpr u32 TWO_TO_120 = 0x7b807b80, MINUS_ZERO = 0x80008000;
    u32 spread = permute_bytes(four, 0, last ? 0x3424 : 0x1404);
    return bf16_pair_multiply_add(fp8_to_small_bf16_pair(spread), TWO_TO_120, MINUS_ZERO);
}

// The first (or last) two of four signed bytes as bf16, exactly: 128 + the low seven bits, minus 128 or (with the top bit) 256.
DEVICE u32 int8_to_bf16_pair(u32 four, bool last) {
    constexpr u32 MINUS_ONE = 0xbf80bf80;
    u32 spread = permute_bytes(four, 0x43434343, last ? 0x4342 : 0x4140);
    return bf16_pair_multiply_add(spread & 0xff80ff80u, MINUS_ONE, spread & 0xff7fff7fu);
}

// Two numbers below 128 in the low bits of each half word, minus `offset`, as bf16, exactly.
DEVICE u32 small_to_bf16_pair(u32 numbers, u32 minus_128_and_offset) {
    constexpr u32 ONE = 0x3f803f80;
    return bf16_pair_multiply_add(numbers | 0x43004300u, ONE, minus_128_and_offset);
}

// ---- Sums

DEVICE float warp_sum(float value) {
    UNROLL
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) {
        value += bits_float(shuffle_bits(float_bits(value), (thread_index() % WARP) ^ distance));
    }
    return value;
}

DEVICE float warp_greatest(float value) {
    UNROLL
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) {
        value = greater(value, bits_float(shuffle_bits(float_bits(value), (thread_index() % WARP) ^ distance)));
    }
    return value;
}

// Of `WARPS` warps; every thread gets the result. `scratch` may be used again after the next `sync_block`.
template <int WARPS>
DEVICE float block_sum(float value, float (&scratch)[WARPS]) {
    value = warp_sum(value);
    if (thread_index() % WARP == 0) {
        scratch[thread_index() / WARP] = value;
    }
    sync_block();
    float sum = 0;
    UNROLL
    for (int warp = 0; warp < WARPS; warp++) {
        sum += scratch[warp];
    }
    return sum;
}

template <int WARPS>
DEVICE float block_greatest(float value, float (&scratch)[WARPS]) {
    value = warp_greatest(value);
    if (thread_index() % WARP == 0) {
        scratch[thread_index() / WARP] = value;
    }
    sync_block();
    float best = scratch[0];
    UNROLL
    for (int warp = 1; warp < WARPS; warp++) {
        best = greater(best, scratch[warp]);
    }
    return best;
}

// ---- Pages of the KV cache

// Positions a page.
constexpr u32 PAGE_TOKENS = 64;

// A page holds, layer after layer and KV head after KV head, a head's keys `[PAGE_TOKENS][head_dim]` and its values, transposed,
// `[head_dim][PAGE_TOKENS]`, so that 16 bytes of either are numbers that are summed over.
template <class Element, u32 HEAD_DIM>
struct PagePart {
    static constexpr u32 HALF_BYTES = PAGE_TOKENS * HEAD_DIM * sizeof(Element);
    static constexpr u32 BYTES = 2 * HALF_BYTES;
};
