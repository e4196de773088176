// RMSNorm of rows of the residual stream, after something has been added to it.
#include "common.cuh"

struct NormArguments {
    // `[rows, width]`; what is added is stored.
    float* residual;
    // `[rows, width]`, added first; or null.
    const float* delta;
    // `[width]`.
    const float* weight;
    // Which row of `residual` a row of the result takes; or null, when they are the same.
    const u32* source_rows;
    // `[rows, width]` of bf16, or of e4m3.
    void* out;
    // `[rows]`: what the e4m3 of a row stand for, one each; else null.
    float* scales;
    u32 width;
    float epsilon;
};

constexpr u32 NORM_THREADS = 256;
constexpr u32 NORM_WARPS = NORM_THREADS / WARP;

struct NormShared {
    float squares[NORM_WARPS];
    float greatest[NORM_WARPS];
};

struct alignas(16) Floats4 {
    float value[4];
};

// A block a row; `width` is a multiple of 4.
template <bool QUANTISED>
DEVICE void norm(const NormArguments& arguments) {
    SHARED_MEMORY(NormShared, shared);
    const u32 width = arguments.width, row = block_x();
    const u32 source = arguments.source_rows ? arguments.source_rows[row] : row;
    float* values = arguments.residual + u64(source) * width;
    const float* delta = arguments.delta ? arguments.delta + u64(source) * width : nullptr;
    float squares = 0, greatest = 0;
    for (u32 at = thread_index() * 4; at < width; at += NORM_THREADS * 4) {
        Floats4 x = *reinterpret_cast<const Floats4*>(values + at);
        const Floats4 weight = *reinterpret_cast<const Floats4*>(arguments.weight + at);
        if (delta) {
            const Floats4 more = *reinterpret_cast<const Floats4*>(delta + at);
            UNROLL
            for (int i = 0; i < 4; i++) {
                x.value[i] += more.value[i];
            }
            *reinterpret_cast<Floats4*>(values + at) = x;
        }
        UNROLL
        for (int i = 0; i < 4; i++) {
            squares = multiply_add(x.value[i], x.value[i], squares);
            greatest = greater(greatest, x.value[i] * weight.value[i] < 0 ? -x.value[i] * weight.value[i] : x.value[i] * weight.value[i]);
        }
    }
    const float mean = block_sum(squares, shared.squares) / float(width);
    float scale = 1.0f / square_root(mean + arguments.epsilon);
    if (QUANTISED) {
        const float step = block_greatest(greatest, shared.greatest) * scale / FP8_GREATEST;
        if (thread_index() == 0) {
            arguments.scales[row] = step;
        }
        scale = step > 0 ? scale / step : 0;
    }
    // Every thread reads again what it wrote itself.
    for (u32 at = thread_index() * 4; at < width; at += NORM_THREADS * 4) {
        const Floats4 x = *reinterpret_cast<const Floats4*>(values + at);
        const Floats4 weight = *reinterpret_cast<const Floats4*>(arguments.weight + at);
        float y[4];
        UNROLL
        for (int i = 0; i < 4; i++) {
            y[i] = x.value[i] * scale * weight.value[i];
        }
        const u64 place = u64(row) * width + at;
        if (QUANTISED) {
            u32 four = to_fp8(y[0]) | u32(to_fp8(y[1])) << 8 | u32(to_fp8(y[2])) << 16 | u32(to_fp8(y[3])) << 24;
            *reinterpret_cast<u32*>(static_cast<u8*>(arguments.out) + place) = four;
        } else {
            Words2 pairs = {{to_bf16_pair(y[0], y[1]), to_bf16_pair(y[2], y[3])}};
            *reinterpret_cast<Words2*>(static_cast<u16*>(arguments.out) + place) = pairs;
        }
    }
}

KERNEL(norm_bf16, NORM_THREADS, NormArguments) { norm<false>(arguments); }
KERNEL(norm_fp8, NORM_THREADS, NormArguments) { norm<true>(arguments); }
