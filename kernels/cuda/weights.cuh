// Weights as matrix products read them: straight from memory into the registers of `mma.m16n8k16`, whatever their format.
//
// A warp takes 16 rows of the matrix (outputs) at a time: the left operand. A lane holds numbers of rows g and g + 8, where g = lane / 4. Along
// a row, the sum's order is free as long as both operands agree. So a lane takes what lies side by side (`slot` = lane % 4 says where),
// and each step of 16 columns is made of 4 neighbouring columns of each of the four slots. A row is read in chunks; a chunk has batches of
// steps. Integers become bf16 exactly, and scales are applied to the sums in f32.
#pragma once

#include "common.cuh"

// A matrix `[rows, columns]` of outputs and inputs.
struct Weights {
    // bf16, e4m3: the elements. 4-bit: codes, the lower half of a byte first. Q4_K: blocks as in files. Q8_0: `[rows, columns]` of
    // signed bytes. Q6_K: the lower four bits, in the order of `kernels/cuda/repack.rs`.
    const u8* codes;
    // Q6_K: the upper two bits, in the order of `kernels/cuda/repack.rs`; else null.
    const u8* upper;
    // e4m3: f32 `[rows]`. 4-bit: bf16 `[rows, columns / 128]`, rounded up. Q8_0: f16 `[rows, columns / 32]`. Q6_K: `[rows, columns / 16]` of
    // signed bytes. Else null.
    const u8* scales;
    // Q6_K: f16 `[rows, columns / 256]`; else null.
    const u8* block_scales;
    u32 rows;
    u32 columns;
};

// Where a lane of a warp reads: rows `row` and `row + 8`, of the chunk that begins at `column`.
struct Place {
    u32 row;
    u32 column;
    u32 slot;
};

DEVICE Words4 load_16(const u8* from, bool there) {
    return there ? load_streamed(from) : Words4{{0, 0, 0, 0}};
}

DEVICE Words2 load_8(const u8* from, bool there) {
    return there ? load_streamed_8(from) : Words2{{0, 0}};
}

// Inputs of two steps whose columns lie side by side for a lane.
DEVICE void input_pair(const u16* input, bool there, Words2 (&first)[2]) {
    Words4 words = {{0, 0, 0, 0}};
    if (there) {
        words = *reinterpret_cast<const Words4*>(input);
    }
    first[0] = {{words.word[0], words.word[1]}};
    first[1] = {{words.word[2], words.word[3]}};
}

// What formats with pairs of steps side by side share: `PairColumns` gives the column of a batch's pair for a slot.
#define INPUTS_IN_PAIRS                                                                                                      \
    DEVICE_MEMBER static void inputs(const u16* row, bool there, u32 columns, Place place, u32 batch, Words2 (&steps)[STEPS]) { \
        UNROLL                                                                                                               \
        for (u32 pair = 0; pair < STEPS / 2; pair++) {                                                                       \
            const u32 column = place.column + pair_column(batch * (STEPS / 2) + pair, place.slot);                           \
            input_pair(row + column, there && column < columns, reinterpret_cast<Words2(&)[2]>(steps[2 * pair]));            \
        }                                                                                                                    \
    }                                                                                                                        \
    DEVICE_MEMBER static u32 step_column(u32 step, u32 slot) { return pair_column(step / 2, slot) + step % 2 * 4; }

// The upper half of 32-bit floats; columns a multiple of 16.
struct Bf16Weights {
    static constexpr u32 CHUNK = 64, BATCHES = 2, STEPS = 2, SCALE_STEPS = 0;
    static constexpr bool HAS_MINIMUM = false, ROW_SCALED = false;
    struct Loaded {
        Words4 row[2][2];
    };

    DEVICE_MEMBER static u32 pair_column(u32 pair, u32 slot) { return pair * 32 + slot * 8; }
    INPUTS_IN_PAIRS

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            UNROLL
            for (u32 pair = 0; pair < 2; pair++) {
                const u32 column = place.column + pair_column(pair, place.slot);
                loaded.row[half][pair] =
                    load_16(weights.codes + (u64(row) * weights.columns + column) * 2, row < weights.rows && column < weights.columns);
            }
        }
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32 batch, u32 (&left)[STEPS][4]) {
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                left[step][part] = loaded.row[part % 2][batch].word[step * 2 + part / 2];
            }
        }
    }

    DEVICE_MEMBER static float scale(const Loaded&, u32, u32) { return 1.0f; }
    DEVICE_MEMBER static float minimum(const Loaded&, u32, u32) { return 0.0f; }
};

// e4m3 with a scale a row; columns a multiple of 16.
struct Fp8Weights {
    static constexpr u32 CHUNK = 64, BATCHES = 1, STEPS = 4, SCALE_STEPS = 0;
    static constexpr bool HAS_MINIMUM = false, ROW_SCALED = true;
    struct Loaded {
        Words4 row[2];
    };

    DEVICE_MEMBER static u32 pair_column(u32 pair, u32 slot) { return slot * 16 + pair * 8; }
    INPUTS_IN_PAIRS

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        const u32 column = place.column + place.slot * 16;
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            loaded.row[half] =
                load_16(weights.codes + u64(row) * weights.columns + column, row < weights.rows && column < weights.columns);
        }
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32, u32 (&left)[STEPS][4]) {
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                left[step][part] = fp8_to_bf16_pair(loaded.row[part % 2].word[step], part / 2);
            }
        }
    }

    DEVICE_MEMBER static float scale(const Loaded&, u32, u32) { return 1.0f; }
    DEVICE_MEMBER static float minimum(const Loaded&, u32, u32) { return 0.0f; }
};

// 4-bit integers from -8 to 7 with a scale for 128 columns; columns a multiple of 32.
struct Int4Weights {
    static constexpr u32 CHUNK = 128, BATCHES = 2, STEPS = 4, SCALE_STEPS = 8;
    static constexpr bool HAS_MINIMUM = false, ROW_SCALED = false;
    struct Loaded {
        Words4 row[2];
        float scale[2];
    };

    DEVICE_MEMBER static u32 pair_column(u32 pair, u32 slot) { return slot * 32 + pair * 8; }
    INPUTS_IN_PAIRS

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        const u32 column = place.column + place.slot * 32, groups = (weights.columns + 127) / 128;
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            const bool there = row < weights.rows;
            loaded.row[half] = load_16(weights.codes + (u64(row) * weights.columns + column) / 2, there && column < weights.columns);
            const auto* scales = reinterpret_cast<const u16*>(weights.scales) + u64(row) * groups;
            loaded.scale[half] = there ? bf16_to_float(scales[place.column / CHUNK]) : 0.0f;
        }
    }

    // Two codes of a byte: 128 + the lower one beside 128 + 8 times the upper one, each then moved to -8 to 7.
    DEVICE_MEMBER static u32 pair_of_byte(u32 word, u32 byte) {
        constexpr u32 ONE_AND_EIGHTH = 0x3e003f80, MINUS_136_AND_24 = 0xc1c0c308;
        const u32 spread = permute_bytes(word, word >> 1, byte | (byte + 4) << 8);
        return bf16_pair_multiply_add((spread & 0x0078000fu) | 0x43004300u, ONE_AND_EIGHTH, MINUS_136_AND_24);
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32 batch, u32 (&left)[STEPS][4]) {
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                left[step][part] = pair_of_byte(loaded.row[part % 2].word[batch * 2 + step / 2], step % 2 * 2 + part / 2);
            }
        }
    }

    DEVICE_MEMBER static float scale(const Loaded& loaded, u32 half, u32) { return loaded.scale[half]; }
    DEVICE_MEMBER static float minimum(const Loaded&, u32, u32) { return 0.0f; }
};

// 8-bit integers with a scale for 32 columns, of which columns are a multiple.
struct Q8_0Weights {
    static constexpr u32 CHUNK = 64, BATCHES = 2, STEPS = 2, SCALE_STEPS = 2;
    static constexpr bool HAS_MINIMUM = false, ROW_SCALED = false;
    struct Loaded {
        Words2 row[2][2];
        float scale[2][2];
    };

    DEVICE_MEMBER static u32 pair_column(u32 pair, u32 slot) { return pair * 32 + slot * 8; }
    INPUTS_IN_PAIRS

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        const u32 groups = weights.columns / 32;
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            const auto* scales = reinterpret_cast<const u16*>(weights.scales) + u64(row) * groups;
            UNROLL
            for (u32 pair = 0; pair < 2; pair++) {
                const u32 column = place.column + pair * 32;
                const bool there = row < weights.rows && column < weights.columns;
                loaded.row[half][pair] = load_8(weights.codes + u64(row) * weights.columns + column + place.slot * 8, there);
                loaded.scale[half][pair] = there ? half_to_float(scales[column / 32]) : 0.0f;
            }
        }
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32 batch, u32 (&left)[STEPS][4]) {
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                left[step][part] = int8_to_bf16_pair(loaded.row[part % 2][batch].word[step], part / 2);
            }
        }
    }

    DEVICE_MEMBER static float scale(const Loaded& loaded, u32 half, u32 group) { return loaded.scale[half][group]; }
    DEVICE_MEMBER static float minimum(const Loaded&, u32, u32) { return 0.0f; }
};

// Blocks of 256 columns: 4-bit numbers, of each 32 a scale and a minimum of 6 bits.
struct Q4_KWeights {
    static constexpr u32 CHUNK = 256, BATCHES = 8, STEPS = 2, SCALE_STEPS = 2, BLOCK_BYTES = 144;
    static constexpr bool HAS_MINIMUM = true, ROW_SCALED = false;
    struct Loaded {
        Words2 row[2][4];
        // Two f16, and twelve bytes of scales and minima.
        Words4 head[2];
    };

    DEVICE_MEMBER static u32 pair_column(u32 pair, u32 slot) { return pair * 32 + slot * 8; }
    INPUTS_IN_PAIRS

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        const u32 blocks = weights.columns / CHUNK;
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            const bool there = row < weights.rows && place.column < weights.columns;
            const u8* block = weights.codes + (u64(row) * blocks + place.column / CHUNK) * BLOCK_BYTES;
            loaded.head[half] = load_16(block, there);
            UNROLL
            for (u32 strip = 0; strip < 4; strip++) {
                loaded.row[half][strip] = load_8(block + 16 + strip * 32 + place.slot * 8, there);
            }
        }
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32 batch, u32 (&left)[STEPS][4]) {
        constexpr u32 ONE = 0x3f803f80, MINUS_128 = 0xc300c300;
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                const u32 four = loaded.row[part % 2][batch / 2].word[step] >> batch % 2 * 4 & 0x0f0f0f0fu;
                const u32 spread = permute_bytes(four, 0x43434343, part / 2 ? 0x4342 : 0x4140);
                left[step][part] = bf16_pair_multiply_add(spread, ONE, MINUS_128);
            }
        }
    }

    // Six bits of the heads' twelve bytes: those of group 0 to 3 lie in bytes `first` on, those of 4 to 7 in parts elsewhere.
    DEVICE_MEMBER static u32 byte_of(const Words4& head, u32 byte) { return head.word[1 + byte / 4] >> byte % 4 * 8 & 0xff; }

    DEVICE_MEMBER static float scale(const Loaded& loaded, u32 half, u32 group) {
        const Words4& head = loaded.head[half];
        const u32 integer = group < 4 ? byte_of(head, group) & 63
                                      : (byte_of(head, group + 4) & 15) | byte_of(head, group - 4) >> 6 << 4;
        return half_to_float(u16(head.word[0])) * float(integer);
    }

    DEVICE_MEMBER static float minimum(const Loaded& loaded, u32 half, u32 group) {
        const Words4& head = loaded.head[half];
        const u32 integer = group < 4 ? byte_of(head, group + 4) & 63
                                      : byte_of(head, group + 4) >> 4 | byte_of(head, group) >> 6 << 4;
        return half_to_float(u16(head.word[0] >> 16)) * float(integer);
    }
};

// Blocks of 256 columns: 6-bit numbers less 32, with a signed scale for 16.
struct Q6_KWeights {
    static constexpr u32 CHUNK = 128, BATCHES = 4, STEPS = 2, SCALE_STEPS = 1;
    static constexpr bool HAS_MINIMUM = false, ROW_SCALED = false;
    struct Loaded {
        Words4 lower[2];
        Words2 upper[2];
        // Eight signed bytes.
        Words2 scales[2];
        float block_scale[2];
    };

    DEVICE_MEMBER static u32 step_column(u32 step, u32 slot) { return step * 16 + slot * 4; }

    DEVICE_MEMBER static void inputs(const u16* row, bool there, u32, Place place, u32 batch, Words2 (&steps)[STEPS]) {
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            steps[step] = {{0, 0}};
            if (there) {
                steps[step] = *reinterpret_cast<const Words2*>(row + place.column + step_column(batch * STEPS + step, place.slot));
            }
        }
    }

    DEVICE_MEMBER static void load(Loaded& loaded, const Weights& weights, Place place) {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u32 row = place.row + half * 8;
            const bool there = row < weights.rows && place.column < weights.columns;
            const u64 at = u64(row) * weights.columns + place.column;
            loaded.lower[half] = load_16(weights.codes + at / 2 + place.slot * 16, there);
            loaded.upper[half] = load_8(weights.upper + at / 4 + place.slot * 8, there);
            loaded.scales[half] = load_8(weights.scales + at / 16, there);
            loaded.block_scale[half] = there ? half_to_float(reinterpret_cast<const u16*>(weights.block_scales)[at / 256]) : 0.0f;
        }
    }

    DEVICE_MEMBER static void steps(const Loaded& loaded, u32 batch, u32 (&left)[STEPS][4]) {
        constexpr u32 MINUS_160 = 0xc320c320;
        UNROLL
        for (u32 step = 0; step < STEPS; step++) {
            UNROLL
            for (u32 part = 0; part < 4; part++) {
                const u32 pair = step * 2 + part / 2;
                const u32 lower = loaded.lower[part % 2].word[batch] >> pair * 4 & 0x000f000fu;
                const u32 uppers = loaded.upper[part % 2].word[batch / 2] >> batch % 2 * 8;
                const u32 upper = (uppers >> pair * 2 & 0x00030003u) << 4;
                left[step][part] = small_to_bf16_pair(lower | upper, MINUS_160);
            }
        }
    }

    DEVICE_MEMBER static float scale(const Loaded& loaded, u32 half, u32 group) {
        const u32 byte = loaded.scales[half].word[group / 4] >> group % 4 * 8;
        return loaded.block_scale[half] * float(i8(byte));
    }
    DEVICE_MEMBER static float minimum(const Loaded&, u32, u32) { return 0.0f; }
};
