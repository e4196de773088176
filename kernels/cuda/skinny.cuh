// Products of a few rows, bound by how fast the weights can be read.
//
// A block computes 16 or 32 outputs of all rows. Its warps share the columns: each takes every eighth chunk, reads it once, straight into
// registers, and the next one while it computes. In the end the warps' sums are added in a fixed order. So a row's result does not
// depend on how many rows there are.
#pragma once

#include "weights.cuh"

struct SkinnyArguments {
    Weights weights;
    // `[rows, weights.columns]` of bf16.
    const u16* input;
    // `[weights.rows]`, or null.
    const float* bias;
    // `[rows, out_stride]`, of f32 or bf16.
    void* out;
    u32 rows;
    u32 out_stride;
    // One of `Store`.
    u32 store;
    u32 unused;
};

// What happens to a result.
enum Store : u32 { STORE_F32 = 0, ADD_F32 = 1, STORE_BF16 = 2 };

constexpr u32 SKINNY_WARPS = 8;
constexpr u32 SKINNY_THREADS = SKINNY_WARPS * WARP;

template <u32 FEATURES>
struct SkinnyShared {
    float sums[SKINNY_WARPS][8][FEATURES];
};

DEVICE void store_result(void* out, u64 place, float value, u32 store) {
    if (store == STORE_BF16) {
        static_cast<u16*>(out)[place] = to_bf16(value);
    } else {
        float* to = static_cast<float*>(out) + place;
        *to = store == ADD_F32 ? *to + value : value;
    }
}

// sums[rows g and g + 8 of the tile] += scale * part (- minimum * the inputs' sum).
template <class Format>
DEVICE void add_scaled(float (&sums)[4], const float (&part)[4], const float (&input_sums)[4], const typename Format::Loaded& loaded,
                       u32 group) {
    UNROLL
    for (u32 half = 0; half < 2; half++) {
        const float scale = Format::scale(loaded, half, group);
        UNROLL
        for (u32 i = 0; i < 2; i++) {
            sums[half * 2 + i] = multiply_add(scale, part[half * 2 + i], sums[half * 2 + i]);
            if (Format::HAS_MINIMUM) {
                sums[half * 2 + i] = multiply_add(-Format::minimum(loaded, half, group), input_sums[half * 2 + i], sums[half * 2 + i]);
            }
        }
    }
}

// Adds the products of one chunk.
template <class Format, u32 FEATURE_TILES, u32 ROW_TILES>
DEVICE void multiply_chunk(const SkinnyArguments& arguments, const typename Format::Loaded (&loaded)[FEATURE_TILES], Place place,
                           float (&sums)[FEATURE_TILES][ROW_TILES][4]) {
    constexpr u32 STEPS = Format::STEPS;
    // Sums of a group that has the same scale, where it ends with the batch or earlier.
    constexpr u32 GROUP_STEPS = Format::SCALE_STEPS == 0 ? STEPS : Format::SCALE_STEPS < STEPS ? Format::SCALE_STEPS : STEPS;
    constexpr u32 ONES[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
    const u32 lane_row = thread_index() % WARP / 4;
    UNROLL
    for (u32 batch = 0; batch < Format::BATCHES; batch++) {
        u32 left[FEATURE_TILES][STEPS][4];
        UNROLL
        for (u32 tile = 0; tile < FEATURE_TILES; tile++) {
            Format::steps(loaded[tile], batch, left[tile]);
        }
        UNROLL
        for (u32 rows = 0; rows < ROW_TILES; rows++) {
            const u32 row = rows * 8 + lane_row;
            Words2 right[STEPS];
            Format::inputs(arguments.input + u64(row) * arguments.weights.columns, row < arguments.rows, arguments.weights.columns, place,
                           batch, right);
            float input_sums[4] = {0, 0, 0, 0};
            if (Format::HAS_MINIMUM) {
                UNROLL
                for (u32 step = 0; step < STEPS; step++) {
                    matrix_multiply_add(input_sums, ONES, right[step].word[0], right[step].word[1]);
                }
            }
            UNROLL
            for (u32 tile = 0; tile < FEATURE_TILES; tile++) {
                UNROLL
                for (u32 first = 0; first < STEPS; first += GROUP_STEPS) {
                    float part[4] = {0, 0, 0, 0};
                    UNROLL
                    for (u32 step = first; step < first + GROUP_STEPS; step++) {
                        matrix_multiply_add(Format::SCALE_STEPS ? part : sums[tile][rows], left[tile][step], right[step].word[0],
                                            right[step].word[1]);
                    }
                    if (Format::SCALE_STEPS) {
                        const u32 group = (batch * STEPS + first) / (Format::SCALE_STEPS ? Format::SCALE_STEPS : 1);
                        add_scaled<Format>(sums[tile][rows], part, input_sums, loaded[tile], group);
                    }
                }
            }
        }
    }
}

// Adds the warps' sums, and stores the results.
template <class Format, u32 FEATURE_TILES, u32 ROW_TILES>
DEVICE void finish(const SkinnyArguments& arguments, const float (&sums)[FEATURE_TILES][ROW_TILES][4]) {
    constexpr u32 FEATURES = FEATURE_TILES * 16;
    SHARED_MEMORY(SkinnyShared<FEATURES>, shared);
    const u32 warp = thread_index() / WARP, lane = thread_index() % WARP;
    UNROLL
    for (u32 rows = 0; rows < ROW_TILES; rows++) {
        sync_block();
        UNROLL
        for (u32 tile = 0; tile < FEATURE_TILES; tile++) {
            UNROLL
            for (u32 i = 0; i < 4; i++) {
                shared.sums[warp][lane % 4 * 2 + i % 2][tile * 16 + lane / 4 + i / 2 * 8] = sums[tile][rows][i];
            }
        }
        sync_block();
        const u32 feature = thread_index() % FEATURES, row = rows * 8 + thread_index() / FEATURES;
        const u32 output = block_x() * FEATURES + feature;
        if (thread_index() < FEATURES * 8 && row < arguments.rows && output < arguments.weights.rows) {
            float value = 0;
            UNROLL
            for (u32 i = 0; i < SKINNY_WARPS; i++) {
                value += shared.sums[i][row % 8][feature];
            }
            if (Format::ROW_SCALED) {
                value *= reinterpret_cast<const float*>(arguments.weights.scales)[output];
            }
            if (arguments.bias) {
                value += arguments.bias[output];
            }
            store_result(arguments.out, u64(row) * arguments.out_stride + output, value, arguments.store);
        }
    }
}

template <class Format, u32 FEATURE_TILES, u32 ROW_TILES>
DEVICE void skinny(const SkinnyArguments& arguments) {
    const u32 warp = thread_index() / WARP, lane = thread_index() % WARP;
    const u32 chunks = (arguments.weights.columns + Format::CHUNK - 1) / Format::CHUNK;
    const u32 first_row = block_x() * FEATURE_TILES * 16 + lane / 4;
    float sums[FEATURE_TILES][ROW_TILES][4] = {};
    typename Format::Loaded now[FEATURE_TILES], next[FEATURE_TILES];
    UNROLL
    for (u32 tile = 0; tile < FEATURE_TILES; tile++) {
        Format::load(next[tile], arguments.weights, {first_row + tile * 16, warp * Format::CHUNK, lane % 4});
    }
    for (u32 chunk = warp; chunk < chunks; chunk += SKINNY_WARPS) {
        UNROLL
        for (u32 tile = 0; tile < FEATURE_TILES; tile++) {
            now[tile] = next[tile];
            Format::load(next[tile], arguments.weights,
                         {first_row + tile * 16, (chunk + SKINNY_WARPS) * Format::CHUNK, lane % 4});
        }
        multiply_chunk<Format, FEATURE_TILES, ROW_TILES>(arguments, now, {first_row, chunk * Format::CHUNK, lane % 4}, sums);
    }
    finish<Format, FEATURE_TILES, ROW_TILES>(arguments, sums);
}

// Up to 8 rows take fewer outputs a block, so that small matrices too keep all of a device busy. `tiles` is that of more rows.
#define SKINNY_KERNELS(name, Format, tiles)                                                             \
    KERNEL(skinny_##name##_8, SKINNY_THREADS, SkinnyArguments) { skinny<Format, 1, 1>(arguments); }      \
    KERNEL(skinny_##name##_16, SKINNY_THREADS, SkinnyArguments) { skinny<Format, tiles, 2>(arguments); } \
    KERNEL(skinny_##name##_32, SKINNY_THREADS, SkinnyArguments) { skinny<Format, tiles, 4>(arguments); } \
    KERNEL(skinny_##name##_64, SKINNY_THREADS, SkinnyArguments) { skinny<Format, tiles, 8>(arguments); }
