// What both kinds of attention share: whose rows are computed together, what they see, and softmax as it goes along.
//
// Of the scores a lane holds, as of all results of `mma.m16n8k16`, rows g and g + 8 (g = lane / 4) and two columns of each tile of 8. Which
// position a column stands for is free, as long as values come in the same order: column c of tile j of 32 positions is position
// c / 2 * 8 + j * 2 + c % 2, so that a lane's scores are those of 8 positions side by side, and so are the values that they weigh.
#pragma once

#include "common.cuh"

// Rows of one sequence, at positions one after another.
struct AttentionTile {
    // Its first row in the step, how many there are, and the position of the first.
    u32 first_row;
    u32 rows;
    u32 first_position;
    // Its pages: where they begin in the table, and the number of the first one (of positions `first_page * PAGE_TOKENS` on).
    u32 table;
    u32 first_page;
};

constexpr u32 CHUNK_TOKENS = 32;
constexpr u32 SCORE_TILES = CHUNK_TOKENS / 8;

DEVICE u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

// The oldest position that `position` sees; `window` 0 is none.
DEVICE u32 oldest_seen(u32 position, u32 window) { return window && position + 1 > window ? position + 1 - window : 0; }

// The token of a chunk whose key a lane reads for tile `tile` of scores.
DEVICE u32 key_token(u32 tile, u32 column) { return column / 2 * 8 + tile * 2 + column % 2; }

// Eight neighbouring elements as bf16, from memory that is read once, or from shared memory.
DEVICE Words4 bf16_of_8(Words4 bf16) { return bf16; }
DEVICE Words4 bf16_of_8(Words2 fp8) {
    return {{fp8_to_bf16_pair(fp8.word[0], false), fp8_to_bf16_pair(fp8.word[0], true), fp8_to_bf16_pair(fp8.word[1], false),
             fp8_to_bf16_pair(fp8.word[1], true)}};
}
DEVICE Words4 stream_8(const u16* from) { return load_streamed(from); }
DEVICE Words4 stream_8(const u8* from) { return bf16_of_8(load_streamed_8(from)); }
DEVICE Words4 read_8(const u16* from) { return *reinterpret_cast<const Words4*>(from); }
DEVICE Words4 read_8(const u8* from) { return bf16_of_8(*reinterpret_cast<const Words2*>(from)); }
DEVICE Words2 read_4(const u16* from) { return *reinterpret_cast<const Words2*>(from); }
DEVICE Words2 read_4(const u8* from) {
    const u32 four = *reinterpret_cast<const u32*>(from);
    return {{fp8_to_bf16_pair(four, false), fp8_to_bf16_pair(four, true)}};
}

// The columns of a head (or of a query) that a lane takes in steps of the product: 8 side by side for two steps, or 4 when a head has
// one step only.
template <u32 HEAD_DIM>
struct HeadSteps {
    static constexpr u32 STEPS = HEAD_DIM / 16;
    static constexpr u32 LOADS = STEPS == 1 ? 1 : STEPS / 2;

    DEVICE_MEMBER static u32 column(u32 load) {
        const u32 slot = thread_index() % 4;
        return STEPS == 1 ? slot * 4 : load * 32 + slot * 8;
    }
};

// Queries of a tile's 16 rows as the left operand. A row is a query head of a row of the step.
template <u32 HEAD_DIM>
struct QueryTile {
    using Steps = HeadSteps<HEAD_DIM>;
    u32 left[Steps::STEPS][4];

    // `row_0` and `row_8` are null where there is no row.
    DEVICE_MEMBER void load(const u16* row_0, const u16* row_8) {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            const u16* row = half ? row_8 : row_0;
            UNROLL
            for (u32 load = 0; load < Steps::LOADS; load++) {
                if (Steps::STEPS == 1) {
                    const Words2 words = row ? read_4(row + Steps::column(0)) : Words2{{0, 0}};
                    left[0][half] = words.word[0];
                    left[0][2 + half] = words.word[1];
                    continue;
                }
                const Words4 words = row ? read_8(row + Steps::column(load)) : Words4{{0, 0, 0, 0}};
                UNROLL
                for (u32 step = 0; step < 2; step++) {
                    left[(load * 2 + step) % Steps::STEPS][half] = words.word[step * 2];
                    left[(load * 2 + step) % Steps::STEPS][2 + half] = words.word[step * 2 + 1];
                }
            }
        }
    }
};

// The softmax of two rows as far as it has got, and the values that it has weighed: the sums are relative to 2^best.
template <u32 HEAD_DIM>
struct Softmax {
    static constexpr u32 VALUE_TILES = HEAD_DIM / 8;
    float best[2] = {-INFINITE, -INFINITE};
    // Of this lane's columns only, until `add_up`.
    float total[2] = {0, 0};
    float values[VALUE_TILES][4] = {};

    // Takes 32 scores a row in: they become weights, in bf16 as the left operand of two steps.
    DEVICE_MEMBER void weigh(float (&scores)[SCORE_TILES][4], u32 (&weights)[2][4]) {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            float most = best[half];
            UNROLL
            for (u32 tile = 0; tile < SCORE_TILES; tile++) {
                most = greater(most, greater(scores[tile][half * 2], scores[tile][half * 2 + 1]));
            }
            most = quad_greatest(most);
            // Rows that have seen nothing yet keep sums of zero.
            const float base = most == -INFINITE ? 0.0f : most;
            const float shrink = exp2_fast(best[half] - base);
            best[half] = most;
            total[half] *= shrink;
            UNROLL
            for (u32 tile = 0; tile < VALUE_TILES; tile++) {
                values[tile][half * 2] *= shrink;
                values[tile][half * 2 + 1] *= shrink;
            }
            UNROLL
            for (u32 tile = 0; tile < SCORE_TILES; tile++) {
                const float first = exp2_fast(scores[tile][half * 2] - base), second = exp2_fast(scores[tile][half * 2 + 1] - base);
                total[half] += first + second;
                weights[tile / 2][tile % 2 * 2 + half] = to_bf16_pair(first, second);
            }
        }
    }

    // Adds 32 weighed values of one tile of 8 elements; `written` masks those that there are.
    DEVICE_MEMBER void add(u32 tile, const u32 (&weights)[2][4], Words4 tokens, const Words4& written) {
        matrix_multiply_add(values[tile], weights[0], tokens.word[0] & written.word[0], tokens.word[1] & written.word[1]);
        matrix_multiply_add(values[tile], weights[1], tokens.word[2] & written.word[2], tokens.word[3] & written.word[3]);
    }

    DEVICE_MEMBER void add_up() {
        UNROLL
        for (u32 half = 0; half < 2; half++) {
            UNROLL
            for (u32 distance = 1; distance < 4; distance *= 2) {
                total[half] += bits_float(shuffle_bits(float_bits(total[half]), thread_index() % WARP ^ distance));
            }
        }
    }

    DEVICE_MEMBER static float quad_greatest(float value) {
        UNROLL
        for (u32 distance = 1; distance < 4; distance *= 2) {
            value = greater(value, bits_float(shuffle_bits(float_bits(value), thread_index() % WARP ^ distance)));
        }
        return value;
    }
};

// Which of a lane's 8 positions are among the first `count` of a chunk, as masks of pairs: what lies in a page behind a sequence's last
// position may be anything, and nothing times it need not be nothing.
DEVICE Words4 written_mask(u32 count) {
    Words4 mask;
    UNROLL
    for (u32 pair = 0; pair < 4; pair++) {
        const u32 token = thread_index() % 4 * 8 + pair * 2;
        mask.word[pair] = (token < count ? 0xffffu : 0) | (token + 1 < count ? 0xffff0000u : 0);
    }
    return mask;
}

// Scales the scores of a chunk that begins at `token`, in powers of 2, and takes out what rows do not see: they see `oldest` to `position`
// each.
DEVICE void mask_scores(float (&scores)[SCORE_TILES][4], float scale, u32 token, const u32 (&oldest)[2], const u32 (&position)[2],
                        const bool (&there)[2]) {
    UNROLL
    for (u32 tile = 0; tile < SCORE_TILES; tile++) {
        UNROLL
        for (u32 i = 0; i < 4; i++) {
            const u32 at = token + thread_index() % 4 * 8 + tile * 2 + i % 2;
            const bool seen = there[i / 2] && at >= oldest[i / 2] && at <= position[i / 2];
            scores[tile][i] = seen ? scores[tile][i] * scale : -INFINITE;
        }
    }
}
