// Attention of few rows to many positions, bound by how fast pages can be read: splits of the positions side by side, then merged.
#include "attention.cuh"

// Positions of a split. Splits begin at multiples of it, whatever the rows, so that a row's result does not depend on other rows.
constexpr u32 DECODE_WARPS = 4;
constexpr u32 DECODE_THREADS = DECODE_WARPS * WARP;
constexpr u32 SPLIT_TOKENS = DECODE_WARPS * PAGE_TOKENS;
constexpr u32 TILE_ROWS = 16;

struct DecodeArguments {
    // `[rows, heads, head_dim]` of bf16.
    const u16* queries;
    const u8* pages;
    u64 page_bytes;
    u64 layer_offset;
    // `[blocks along z]`: rows times heads of a group are at most 16.
    const AttentionTile* tiles;
    const u32* table;
    // `[rows, heads, splits, head_dim]`: of each split that a row sees, from its first on, the weighed mean of its values.
    float* partial;
    // `[rows, heads, splits]`: the logarithm to base 2 of the sum of its weights.
    float* partial_weights;
    u32 heads;
    u32 kv_heads;
    // The most splits that a row sees: the blocks along x.
    u32 splits;
    // Positions that a row sees, itself included; 0 for all.
    u32 window;
    // What scores are multiplied by, times log2(e).
    float scale;
    u32 unused;
};

template <u32 HEAD_DIM>
struct DecodeShared {
    float values[DECODE_WARPS][TILE_ROWS][HEAD_DIM];
    float best[DECODE_WARPS][TILE_ROWS];
    float total[DECODE_WARPS][TILE_ROWS];
};

// The scores of 32 positions of a page.
template <class Element, u32 HEAD_DIM>
DEVICE void score_chunk(const QueryTile<HEAD_DIM>& queries, const Element* keys, u32 chunk, float (&scores)[SCORE_TILES][4]) {
    using Steps = HeadSteps<HEAD_DIM>;
    const u32 column = thread_index() % WARP / 4;
    UNROLL
    for (u32 tile = 0; tile < SCORE_TILES; tile++) {
        const Element* key = keys + (chunk * CHUNK_TOKENS + key_token(tile, column)) * HEAD_DIM;
        UNROLL
        for (u32 load = 0; load < Steps::LOADS; load++) {
            if (Steps::STEPS == 1) {
                const Words2 words = read_4(key + Steps::column(0));
                matrix_multiply_add(scores[tile], queries.left[0], words.word[0], words.word[1]);
                continue;
            }
            const Words4 words = stream_8(key + Steps::column(load));
            matrix_multiply_add(scores[tile], queries.left[load * 2 % Steps::STEPS], words.word[0], words.word[1]);
            matrix_multiply_add(scores[tile], queries.left[(load * 2 + 1) % Steps::STEPS], words.word[2], words.word[3]);
        }
    }
}

// The two rows of a lane, and what they see.
struct LaneRows {
    bool there[2];
    u32 position[2];
    u32 oldest[2];
    // Where their queries (and results) lie: row by row, head by head.
    u64 place[2];
};

DEVICE LaneRows lane_rows(const AttentionTile& tile, u32 heads, u32 kv_heads, u32 kv_head, u32 window) {
    const u32 group = heads / kv_heads;
    LaneRows rows;
    UNROLL
    for (u32 half = 0; half < 2; half++) {
        const u32 number = thread_index() % WARP / 4 + half * 8, row = number / group;
        rows.there[half] = row < tile.rows;
        rows.position[half] = tile.first_position + row;
        rows.oldest[half] = oldest_seen(rows.position[half], window);
        rows.place[half] = u64(tile.first_row + row) * heads + kv_head * group + number % group;
    }
    return rows;
}

// Adds the warps' results of a split, and stores what each row sees of it.
template <u32 HEAD_DIM>
DEVICE void store_split(const DecodeArguments& arguments, const AttentionTile& tile, u32 split, const DecodeShared<HEAD_DIM>& shared) {
    const u32 group = arguments.heads / arguments.kv_heads;
    for (u32 index = thread_index(); index < tile.rows * group * HEAD_DIM; index += DECODE_THREADS) {
        const u32 number = index / HEAD_DIM, element = index % HEAD_DIM;
        const u32 position = tile.first_position + number / group;
        const u32 first = oldest_seen(position, arguments.window) / SPLIT_TOKENS;
        if (split < first || split > position / SPLIT_TOKENS) {
            continue;
        }
        float best = -INFINITE;
        UNROLL
        for (u32 warp = 0; warp < DECODE_WARPS; warp++) {
            best = greater(best, shared.best[warp][number]);
        }
        float total = 0, sum = 0;
        UNROLL
        for (u32 warp = 0; warp < DECODE_WARPS; warp++) {
            const float weight = exp2_fast(shared.best[warp][number] - best);
            total = multiply_add(weight, shared.total[warp][number], total);
            sum = multiply_add(weight, shared.values[warp][number][element], sum);
        }
        const u64 head = u64(tile.first_row + number / group) * arguments.heads + block_y() * group + number % group;
        const u64 place = head * arguments.splits + (split - first);
        arguments.partial[place * HEAD_DIM + element] = sum / total;
        if (element == 0) {
            arguments.partial_weights[place] = best + natural_log(total) * LOG2_E;
        }
    }
}

// A block takes a split, a KV head and a tile; each of its warps a page.
template <class Element, u32 HEAD_DIM>
DEVICE void decode(const DecodeArguments& arguments) {
    using Part = PagePart<Element, HEAD_DIM>;
    SHARED_MEMORY(DecodeShared<HEAD_DIM>, shared);
    const AttentionTile tile = arguments.tiles[block_z()];
    const u32 warp = thread_index() / WARP, lane = thread_index() % WARP;
    const u32 last = tile.first_position + tile.rows - 1, oldest = oldest_seen(tile.first_position, arguments.window);
    const u32 split = oldest / SPLIT_TOKENS + block_x();
    if (split > last / SPLIT_TOKENS) {
        return;
    }
    const LaneRows rows = lane_rows(tile, arguments.heads, arguments.kv_heads, block_y(), arguments.window);
    const u32 page = split * DECODE_WARPS + warp;
    Softmax<HEAD_DIM> softmax;
    if (page >= oldest / PAGE_TOKENS && page <= last / PAGE_TOKENS) {
        QueryTile<HEAD_DIM> queries;
        queries.load(rows.there[0] ? arguments.queries + rows.place[0] * HEAD_DIM : nullptr,
                     rows.there[1] ? arguments.queries + rows.place[1] * HEAD_DIM : nullptr);
        const u64 id = arguments.table[tile.table + page - tile.first_page];
        const u8* part = arguments.pages + id * arguments.page_bytes + arguments.layer_offset + u64(block_y()) * Part::BYTES;
        const auto* keys = reinterpret_cast<const Element*>(part);
        const auto* values = reinterpret_cast<const Element*>(part + Part::HALF_BYTES);
        for (u32 chunk = 0; chunk < PAGE_TOKENS / CHUNK_TOKENS; chunk++) {
            const u32 token = page * PAGE_TOKENS + chunk * CHUNK_TOKENS;
            if (token > last || token + CHUNK_TOKENS <= oldest) {
                continue;
            }
            float scores[SCORE_TILES][4] = {};
            u32 weights[2][4];
            score_chunk<Element, HEAD_DIM>(queries, keys, chunk, scores);
            mask_scores(scores, arguments.scale, token, rows.oldest, rows.position, rows.there);
            softmax.weigh(scores, weights);
            const Words4 written = written_mask(last + 1 - token);
            UNROLL
            for (u32 i = 0; i < HEAD_DIM / 8; i++) {
                const Element* value = values + (i * 8 + lane / 4) * PAGE_TOKENS + chunk * CHUNK_TOKENS + lane % 4 * 8;
                softmax.add(i, weights, stream_8(value), written);
            }
        }
    }
    softmax.add_up();
    UNROLL
    for (u32 half = 0; half < 2; half++) {
        const u32 number = lane / 4 + half * 8;
        UNROLL
        for (u32 i = 0; i < HEAD_DIM / 8; i++) {
            shared.values[warp][number][i * 8 + lane % 4 * 2] = softmax.values[i][half * 2];
            shared.values[warp][number][i * 8 + lane % 4 * 2 + 1] = softmax.values[i][half * 2 + 1];
        }
        if (lane % 4 == 0) {
            shared.best[warp][number] = softmax.best[half];
            shared.total[warp][number] = softmax.total[half];
        }
    }
    sync_block();
    store_split<HEAD_DIM>(arguments, tile, split, shared);
}

struct MergeArguments {
    // As in `DecodeArguments`.
    const float* partial;
    const float* partial_weights;
    // `[rows]`.
    const u32* positions;
    // `[rows, heads, head_dim]` of bf16.
    u16* out;
    u32 heads;
    u32 head_dim;
    u32 splits;
    u32 window;
};

// Merges the splits of one row and head: a block each (head along x, row along y).
KERNEL(merge_splits, DECODE_THREADS, MergeArguments) {
    const u32 element = thread_index(), position = arguments.positions[block_y()];
    const u32 count = position / SPLIT_TOKENS - oldest_seen(position, arguments.window) / SPLIT_TOKENS + 1;
    const u64 head = u64(block_y()) * arguments.heads + block_x();
    const float* weights = arguments.partial_weights + head * arguments.splits;
    const float* values = arguments.partial + head * arguments.splits * arguments.head_dim + element;
    if (element >= arguments.head_dim) {
        return;
    }
    float best = -INFINITE;
    for (u32 split = 0; split < count; split++) {
        best = greater(best, weights[split]);
    }
    float total = 0, sum = 0;
    for (u32 split = 0; split < count; split++) {
        const float weight = exp2_fast(weights[split] - best);
        total += weight;
        sum = multiply_add(weight, values[u64(split) * arguments.head_dim], sum);
    }
    arguments.out[head * arguments.head_dim + element] = to_bf16(sum / total);
}

KERNEL(decode_bf16_128, DECODE_THREADS, DecodeArguments) { decode<u16, 128>(arguments); }
KERNEL(decode_bf16_64, DECODE_THREADS, DecodeArguments) { decode<u16, 64>(arguments); }
KERNEL(decode_bf16_16, DECODE_THREADS, DecodeArguments) { decode<u16, 16>(arguments); }
KERNEL(decode_fp8_128, DECODE_THREADS, DecodeArguments) { decode<u8, 128>(arguments); }
KERNEL(decode_fp8_64, DECODE_THREADS, DecodeArguments) { decode<u8, 64>(arguments); }
KERNEL(decode_fp8_16, DECODE_THREADS, DecodeArguments) { decode<u8, 16>(arguments); }
