// Attention of many rows of a sequence, bound by arithmetic: pages pass through shared memory, and 64 rows of a head share each.
#include "attention.cuh"

constexpr u32 PREFILL_WARPS = 4;
constexpr u32 PREFILL_THREADS = PREFILL_WARPS * WARP;

struct PrefillArguments {
    // `[rows, heads, head_dim]` of bf16.
    const u16* queries;
    const u8* pages;
    u64 page_bytes;
    u64 layer_offset;
    // `[blocks along x]`, of at most 64 rows each.
    const AttentionTile* tiles;
    const u32* table;
    // `[rows, heads, head_dim]` of bf16.
    u16* out;
    u32 heads;
    u32 kv_heads;
    // Positions that a row sees, itself included; 0 for all.
    u32 window;
    // What scores are multiplied by, times log2(e).
    float scale;
};

// One head's keys and values of a page, twice: one is computed with while the other arrives.
template <class Element, u32 HEAD_DIM>
struct PrefillShared {
    struct alignas(16) Page {
        Element keys[PAGE_TOKENS * HEAD_DIM];
        Element values[HEAD_DIM * PAGE_TOKENS];
    };
    Page page[2];
};

// Where 16 bytes of a row lie in shared memory. Odd rows have the two halves of each 128 bytes exchanged, so that the rows that are read together
// lie in different banks.
template <u32 ROW_BYTES>
DEVICE u32 swizzled(u32 row, u32 byte) {
    return row * ROW_BYTES + (ROW_BYTES % 128 == 0 ? byte ^ (row % 2 * 64) : byte);
}

// Begins to fetch a page's keys and values.
template <class Element, u32 HEAD_DIM>
DEVICE void fetch_page(typename PrefillShared<Element, HEAD_DIM>::Page& to, const u8* part) {
    constexpr u32 KEY_BYTES = HEAD_DIM * sizeof(Element), VALUE_BYTES = PAGE_TOKENS * sizeof(Element);
    constexpr u32 HALF_BYTES = PagePart<Element, HEAD_DIM>::HALF_BYTES;
    for (u32 at = thread_index() * 16; at < HALF_BYTES; at += PREFILL_THREADS * 16) {
        copy_async(reinterpret_cast<u8*>(to.keys) + swizzled<KEY_BYTES>(at / KEY_BYTES, at % KEY_BYTES), part + at, true);
        copy_async(reinterpret_cast<u8*>(to.values) + swizzled<VALUE_BYTES>(at / VALUE_BYTES, at % VALUE_BYTES), part + HALF_BYTES + at,
                   true);
    }
}

// A lane's 8 (or 4) elements of a row in shared memory.
template <class Element, u32 ROW_ELEMENTS>
DEVICE const Element* shared_row(const Element* rows, u32 row, u32 element) {
    const u32 byte = swizzled<ROW_ELEMENTS * sizeof(Element)>(row, element * sizeof(Element));
    return reinterpret_cast<const Element*>(reinterpret_cast<const u8*>(rows) + byte);
}

// Takes 32 positions in.
template <class Element, u32 HEAD_DIM>
DEVICE void attend(const typename PrefillShared<Element, HEAD_DIM>::Page& page, const QueryTile<HEAD_DIM>& queries, u32 chunk, float scale,
                   u32 token, const u32 (&oldest)[2], const u32 (&position)[2], const bool (&there)[2], u32 last,
                   Softmax<HEAD_DIM>& softmax) {
    using Steps = HeadSteps<HEAD_DIM>;
    const u32 lane = thread_index() % WARP;
    float scores[SCORE_TILES][4] = {};
    UNROLL
    for (u32 tile = 0; tile < SCORE_TILES; tile++) {
        const u32 row = chunk * CHUNK_TOKENS + key_token(tile, lane / 4);
        UNROLL
        for (u32 load = 0; load < Steps::LOADS; load++) {
            const Element* key = shared_row<Element, HEAD_DIM>(page.keys, row, Steps::column(load));
            if (Steps::STEPS == 1) {
                const Words2 words = read_4(key);
                matrix_multiply_add(scores[tile], queries.left[0], words.word[0], words.word[1]);
                continue;
            }
            const Words4 words = read_8(key);
            matrix_multiply_add(scores[tile], queries.left[load * 2 % Steps::STEPS], words.word[0], words.word[1]);
            matrix_multiply_add(scores[tile], queries.left[(load * 2 + 1) % Steps::STEPS], words.word[2], words.word[3]);
        }
    }
    mask_scores(scores, scale, token, oldest, position, there);
    u32 weights[2][4];
    softmax.weigh(scores, weights);
    const Words4 written = written_mask(last + 1 - token);
    UNROLL
    for (u32 i = 0; i < HEAD_DIM / 8; i++) {
        const Element* value = shared_row<Element, PAGE_TOKENS>(page.values, i * 8 + lane / 4, chunk * CHUNK_TOKENS + lane % 4 * 8);
        softmax.add(i, weights, read_8(value), written);
    }
}

template <u32 HEAD_DIM>
DEVICE void store_rows(const Softmax<HEAD_DIM>& softmax, u16* out, const u64 (&place)[2], const bool (&there)[2]) {
    UNROLL
    for (u32 half = 0; half < 2; half++) {
        if (!there[half]) {
            continue;
        }
        const float share = 1.0f / softmax.total[half];
        UNROLL
        for (u32 i = 0; i < HEAD_DIM / 8; i++) {
            const u32 pair = to_bf16_pair(softmax.values[i][half * 2] * share, softmax.values[i][half * 2 + 1] * share);
            *reinterpret_cast<u32*>(out + place[half] * HEAD_DIM + i * 8 + thread_index() % 4 * 2) = pair;
        }
    }
}

// A block takes a tile (along x) and a query head (along y); each of its warps 16 rows.
template <class Element, u32 HEAD_DIM>
DEVICE void prefill(const PrefillArguments& arguments) {
    using Shared = PrefillShared<Element, HEAD_DIM>;
    SHARED_MEMORY(Shared, shared);
    const AttentionTile tile = arguments.tiles[block_x()];
    const u32 head = block_y(), kv_head = head / (arguments.heads / arguments.kv_heads);
    const u32 warp = thread_index() / WARP, lane = thread_index() % WARP;
    bool there[2];
    u32 position[2], oldest[2];
    u64 place[2];
    UNROLL
    for (u32 half = 0; half < 2; half++) {
        const u32 row = warp * 16 + lane / 4 + half * 8;
        there[half] = row < tile.rows;
        position[half] = tile.first_position + row;
        oldest[half] = oldest_seen(position[half], arguments.window);
        place[half] = u64(tile.first_row + row) * arguments.heads + head;
    }
    QueryTile<HEAD_DIM> queries;
    queries.load(there[0] ? arguments.queries + place[0] * HEAD_DIM : nullptr, there[1] ? arguments.queries + place[1] * HEAD_DIM : nullptr);
    // What the block sees, and what of it the warp does.
    const u32 last = tile.first_position + tile.rows - 1, block_oldest = oldest_seen(tile.first_position, arguments.window);
    const u32 warp_first = tile.first_position + warp * 16, warp_last = smaller(last, warp_first + 15);
    const u32 warp_oldest = oldest_seen(warp_first, arguments.window);
    const bool warp_has_rows = warp * 16 < tile.rows;
    const u64 part_offset = arguments.layer_offset + u64(kv_head) * PagePart<Element, HEAD_DIM>::BYTES;
    const u32 first_page = block_oldest / PAGE_TOKENS, pages = last / PAGE_TOKENS - first_page + 1;
    const u32* table = arguments.table + tile.table + first_page - tile.first_page;
    Softmax<HEAD_DIM> softmax;
    fetch_page<Element, HEAD_DIM>(shared.page[0], arguments.pages + table[0] * arguments.page_bytes + part_offset);
    copy_async_commit();
    for (u32 number = 0; number < pages; number++) {
        if (number + 1 < pages) {
            fetch_page<Element, HEAD_DIM>(shared.page[(number + 1) % 2],
                                          arguments.pages + table[number + 1] * arguments.page_bytes + part_offset);
        }
        copy_async_commit();
        copy_async_wait<1>();
        sync_block();
        for (u32 chunk = 0; chunk < PAGE_TOKENS / CHUNK_TOKENS; chunk++) {
            const u32 token = (first_page + number) * PAGE_TOKENS + chunk * CHUNK_TOKENS;
            if (warp_has_rows && token <= warp_last && token + CHUNK_TOKENS > warp_oldest) {
                attend<Element, HEAD_DIM>(shared.page[number % 2], queries, chunk, arguments.scale, token, oldest, position, there, last,
                                          softmax);
            }
        }
        // The page after the next takes this one's place.
        sync_block();
    }
    softmax.add_up();
    store_rows<HEAD_DIM>(softmax, arguments.out, place, there);
}

GREEDY_KERNEL(prefill_bf16_128, PREFILL_THREADS, PrefillArguments) { prefill<u16, 128>(arguments); }
GREEDY_KERNEL(prefill_bf16_64, PREFILL_THREADS, PrefillArguments) { prefill<u16, 64>(arguments); }
GREEDY_KERNEL(prefill_bf16_16, PREFILL_THREADS, PrefillArguments) { prefill<u16, 16>(arguments); }
GREEDY_KERNEL(prefill_fp8_128, PREFILL_THREADS, PrefillArguments) { prefill<u8, 128>(arguments); }
GREEDY_KERNEL(prefill_fp8_64, PREFILL_THREADS, PrefillArguments) { prefill<u8, 64>(arguments); }
GREEDY_KERNEL(prefill_fp8_16, PREFILL_THREADS, PrefillArguments) { prefill<u8, 16>(arguments); }
