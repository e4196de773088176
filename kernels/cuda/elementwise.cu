// What touches every number once: embeddings, the gated activation, copies of pages.
#include "common.cuh"

constexpr u32 ELEMENTWISE_THREADS = 256;

struct EmbeddingArguments {
    // `[rows]`: a token; or, with the highest bit, a row of `sampled`.
    const u32* tokens;
    // What the step before sampled in each of its rows.
    const u32* sampled;
    // `[vocabulary, width]` of bf16.
    const u16* table;
    // `[rows, width]`.
    float* out;
    u32 width;
    u32 vocabulary;
};

// A block a row; `width` is a multiple of 4. A token beyond the vocabulary (a row whose sampling failed) gives NaN.
KERNEL(embedding, ELEMENTWISE_THREADS, EmbeddingArguments) {
    constexpr u32 SAMPLED = 0x80000000u;
    u32 token = arguments.tokens[block_x()];
    if (token & SAMPLED) {
        token = arguments.sampled[token & ~SAMPLED];
    }
    float* out = arguments.out + u64(block_x()) * arguments.width;
    const bool known = token < arguments.vocabulary;
    const u16* embedding = arguments.table + u64(known ? token : 0) * arguments.width;
    for (u32 at = thread_index() * 4; at < arguments.width; at += ELEMENTWISE_THREADS * 4) {
        const Words2 pairs = *reinterpret_cast<const Words2*>(embedding + at);
        Words4 four;
        UNROLL
        for (int i = 0; i < 2; i++) {
            four.word[2 * i] = known ? pairs.word[i] << 16 : 0x7fc00000u;
            four.word[2 * i + 1] = known ? pairs.word[i] & 0xffff0000u : 0x7fc00000u;
        }
        *reinterpret_cast<Words4*>(out + at) = four;
    }
}

struct GateArguments {
    // `[rows, 2, width]`: gates, then what they gate.
    const float* gate_up;
    // `[rows, width]` of bf16.
    u16* out;
    u32 width;
    u32 unused;
};

DEVICE float gated(float gate, float up) { return gate / (1.0f + exp2_fast(-gate * LOG2_E)) * up; }

// silu(gate) * up; blocks along x share a row, which is `block_y`. `width` is a multiple of 4.
KERNEL(silu_gate, ELEMENTWISE_THREADS, GateArguments) {
    const u32 at = (block_x() * ELEMENTWISE_THREADS + thread_index()) * 4, width = arguments.width;
    if (at >= width) {
        return;
    }
    const float* gate = arguments.gate_up + u64(block_y()) * 2 * width + at;
    const Words4 gates = *reinterpret_cast<const Words4*>(gate);
    const Words4 ups = *reinterpret_cast<const Words4*>(gate + width);
    float values[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        values[i] = gated(bits_float(gates.word[i]), bits_float(ups.word[i]));
    }
    Words2 pairs = {{to_bf16_pair(values[0], values[1]), to_bf16_pair(values[2], values[3])}};
    *reinterpret_cast<Words2*>(arguments.out + u64(block_y()) * width + at) = pairs;
}

struct CopyArguments {
    u8* pages;
    u64 page_bytes;
    // `[copies, 2]`: the page that is read, the one that is written.
    const u32* copies;
};

// Blocks along x share a copy, which is `block_y`. Page bytes are a multiple of 16.
KERNEL(copy_pages, ELEMENTWISE_THREADS, CopyArguments) {
    const u32* pair = arguments.copies + 2 * block_y();
    const u8* from = arguments.pages + pair[0] * arguments.page_bytes;
    u8* to = arguments.pages + pair[1] * arguments.page_bytes;
    const u64 begin = u64(block_x()) * ELEMENTWISE_THREADS * 64;
    UNROLL
    for (u32 i = 0; i < 4; i++) {
        const u64 at = begin + (i * ELEMENTWISE_THREADS + thread_index()) * 16;
        if (at < arguments.page_bytes) {
            *reinterpret_cast<Words4*>(to + at) = load_streamed(from + at);
        }
    }
}
