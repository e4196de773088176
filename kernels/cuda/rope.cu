// Queries, keys and values of a step: rotated, queries rounded for attention, keys and values put into their pages.
#include "common.cuh"

struct RopeArguments {
    // `[rows, heads + 2 * kv_heads, head_dim]`: queries, keys, values.
    const float* projected;
    // `[rows, heads, head_dim]` of bf16.
    u16* queries;
    // The pool's pages.
    u8* pages;
    u64 page_bytes;
    // Where the layer begins in a page.
    u64 layer_offset;
    // `[rows]`: the page of each row's position.
    const u32* row_pages;
    // `[rows]`.
    const u32* positions;
    // `[positions, head_dim / 2, 2]`: cosine and sine of each position's angles.
    const float* angles;
    u32 heads;
    u32 kv_heads;
    // Rotates elements 2i and 2i + 1 together, instead of i and i + head_dim / 2.
    u32 interleaved;
    u32 unused;
};

constexpr u32 ROPE_WARPS = 4;
constexpr u32 ROPE_THREADS = ROPE_WARPS * WARP;

// The elements of a head that a lane holds: the pairs `lane`, `lane + 32`, …
template <u32 HEAD_DIM>
struct HeadPairs {
    static constexpr u32 COUNT = (HEAD_DIM / 2 + WARP - 1) / WARP;
    float first[COUNT], second[COUNT];

    DEVICE_MEMBER u32 first_index(u32 pair, bool interleaved) const { return interleaved ? 2 * pair : pair; }
    DEVICE_MEMBER u32 second_index(u32 pair, bool interleaved) const { return interleaved ? 2 * pair + 1 : pair + HEAD_DIM / 2; }

    DEVICE_MEMBER void load(const float* head, bool interleaved) {
        UNROLL
        for (u32 i = 0; i < COUNT; i++) {
            const u32 pair = thread_index() % WARP + i * WARP;
            const bool there = pair < HEAD_DIM / 2;
            first[i] = there ? head[first_index(pair, interleaved)] : 0.0f;
            second[i] = there ? head[second_index(pair, interleaved)] : 0.0f;
        }
    }

    DEVICE_MEMBER void rotate(const float* angles) {
        UNROLL
        for (u32 i = 0; i < COUNT; i++) {
            const u32 pair = thread_index() % WARP + i * WARP;
            if (pair < HEAD_DIM / 2) {
                const float cosine = angles[2 * pair], sine = angles[2 * pair + 1];
                const float a = first[i], b = second[i];
                first[i] = a * cosine - b * sine;
                second[i] = b * cosine + a * sine;
            }
        }
    }

    // Stores bf16 or e4m3; element i lies `stride` elements behind element i - 1.
    template <class Element>
    DEVICE_MEMBER void store(Element* to, u32 stride, bool interleaved) const {
        UNROLL
        for (u32 i = 0; i < COUNT; i++) {
            const u32 pair = thread_index() % WARP + i * WARP;
            if (pair < HEAD_DIM / 2) {
                put(to + first_index(pair, interleaved) * stride, first[i]);
                put(to + second_index(pair, interleaved) * stride, second[i]);
            }
        }
    }

    DEVICE_MEMBER static void put(u16* to, float value) { *to = to_bf16_saturated(value); }
    DEVICE_MEMBER static void put(u8* to, float value) { *to = to_fp8(value); }
};

// A block a row; its warps take the row's heads in turn.
template <class Element, u32 HEAD_DIM>
DEVICE void rope(const RopeArguments& arguments) {
    using Part = PagePart<Element, HEAD_DIM>;
    const u32 row = block_x();
    const u32 heads = arguments.heads, kv_heads = arguments.kv_heads;
    const bool interleaved = arguments.interleaved;
    const u32 position = arguments.positions[row], slot = position % PAGE_TOKENS;
    const float* projected = arguments.projected + u64(row) * (heads + 2 * kv_heads) * HEAD_DIM;
    const float* angles = arguments.angles + u64(position) * HEAD_DIM;
    u8* layer = arguments.pages + arguments.row_pages[row] * arguments.page_bytes + arguments.layer_offset;
    for (u32 head = thread_index() / WARP; head < heads + 2 * kv_heads; head += ROPE_WARPS) {
        HeadPairs<HEAD_DIM> pairs;
        pairs.load(projected + head * HEAD_DIM, interleaved);
        if (head < heads) {
            pairs.rotate(angles);
            pairs.store(arguments.queries + (u64(row) * heads + head) * HEAD_DIM, 1, interleaved);
            continue;
        }
        const bool is_key = head < heads + kv_heads;
        u8* part = layer + u64(head - heads - (is_key ? 0 : kv_heads)) * Part::BYTES + (is_key ? 0 : Part::HALF_BYTES);
        auto* elements = reinterpret_cast<Element*>(part);
        if (is_key) {
            pairs.rotate(angles);
            pairs.store(elements + slot * HEAD_DIM, 1, interleaved);
        } else {
            pairs.store(elements + slot, PAGE_TOKENS, interleaved);
        }
    }
}

KERNEL(rope_bf16_128, ROPE_THREADS, RopeArguments) { rope<u16, 128>(arguments); }
KERNEL(rope_bf16_64, ROPE_THREADS, RopeArguments) { rope<u16, 64>(arguments); }
KERNEL(rope_bf16_16, ROPE_THREADS, RopeArguments) { rope<u16, 16>(arguments); }
KERNEL(rope_fp8_128, ROPE_THREADS, RopeArguments) { rope<u8, 128>(arguments); }
KERNEL(rope_fp8_64, ROPE_THREADS, RopeArguments) { rope<u8, 64>(arguments); }
KERNEL(rope_fp8_16, ROPE_THREADS, RopeArguments) { rope<u8, 16>(arguments); }
