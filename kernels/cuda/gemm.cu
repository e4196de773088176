// Products of many rows, bound by arithmetic; and weights of every format as bf16, which these products take.
#include "weights.cuh"

// The arguments of a product; the same as in skinny.cuh.
struct ProductArguments {
    Weights weights;
    const u16* input;
    const float* bias;
    void* out;
    u32 rows;
    u32 out_stride;
    u32 store;
    u32 unused;
};

enum Store : u32 { STORE_F32 = 0, ADD_F32 = 1, STORE_BF16 = 2 };

constexpr u32 GEMM_WARPS = 8;
constexpr u32 GEMM_THREADS = GEMM_WARPS * WARP;
// Rows and outputs of a block, and columns of a stage.
constexpr u32 BLOCK_ROWS = 128, BLOCK_OUTPUTS = 128, STAGE_COLUMNS = 32, STAGES = 3;
// Tiles of a warp: 64 rows, 32 outputs. Two warps share the outputs, four the rows.
constexpr u32 ROW_TILES = 4, OUTPUT_TILES = 4;

// A row of 32 columns is 64 bytes: the eight lanes that read together read two rows side by side, which lie in different banks.
struct GemmShared {
    struct alignas(16) Stage {
        u16 input[BLOCK_ROWS][STAGE_COLUMNS];
        u16 weights[BLOCK_OUTPUTS][STAGE_COLUMNS];
    };
    Stage stage[STAGES];
};

// Begins to fetch a stage; what lies beyond the matrices is zero.
DEVICE void fetch_stage(GemmShared::Stage& stage, const ProductArguments& arguments, u32 first_row, u32 first_output, u32 first_column) {
    const u32 columns = arguments.weights.columns;
    constexpr u32 PARTS = STAGE_COLUMNS / 8;
    UNROLL
    for (u32 i = 0; i < BLOCK_ROWS * PARTS / GEMM_THREADS; i++) {
        const u32 index = i * GEMM_THREADS + thread_index();
        const u32 line = index / PARTS, part = index % PARTS * 8, column = first_column + part;
        const u32 row = first_row + line, output = first_output + line;
        const bool row_there = row < arguments.rows && column < columns;
        const bool output_there = output < arguments.weights.rows && column < columns;
        const auto* weights = reinterpret_cast<const u16*>(arguments.weights.codes);
        copy_async(&stage.input[line][part], row_there ? arguments.input + u64(row) * columns + column : arguments.input, row_there);
        copy_async(&stage.weights[line][part], output_there ? weights + u64(output) * columns + column : weights, output_there);
    }
}

// Adds the products of a stage: two steps, each of 4 neighbouring columns of each of four lanes.
DEVICE void multiply_stage(const GemmShared::Stage& stage, u32 warp_row, u32 warp_output, float (&sums)[ROW_TILES][OUTPUT_TILES][4]) {
    const u32 lane = thread_index() % WARP, line = lane / 4, column = lane % 4 * 8;
    Words4 right[OUTPUT_TILES];
    UNROLL
    for (u32 tile = 0; tile < OUTPUT_TILES; tile++) {
        right[tile] = *reinterpret_cast<const Words4*>(&stage.weights[warp_output + tile * 8 + line][column]);
    }
    UNROLL
    for (u32 rows = 0; rows < ROW_TILES; rows++) {
        const Words4 upper = *reinterpret_cast<const Words4*>(&stage.input[warp_row + rows * 16 + line][column]);
        const Words4 lower = *reinterpret_cast<const Words4*>(&stage.input[warp_row + rows * 16 + 8 + line][column]);
        UNROLL
        for (u32 step = 0; step < 2; step++) {
            const u32 left[4] = {upper.word[2 * step], lower.word[2 * step], upper.word[2 * step + 1], lower.word[2 * step + 1]};
            UNROLL
            for (u32 tile = 0; tile < OUTPUT_TILES; tile++) {
                matrix_multiply_add(sums[rows][tile], left, right[tile].word[2 * step], right[tile].word[2 * step + 1]);
            }
        }
    }
}

DEVICE void store_product(const ProductArguments& arguments, u32 row, u32 output, float value) {
    if (row >= arguments.rows || output >= arguments.weights.rows) {
        return;
    }
    if (arguments.bias) {
        value += arguments.bias[output];
    }
    const u64 place = u64(row) * arguments.out_stride + output;
    if (arguments.store == STORE_BF16) {
        static_cast<u16*>(arguments.out)[place] = to_bf16(value);
    } else {
        float* to = static_cast<float*>(arguments.out) + place;
        *to = arguments.store == ADD_F32 ? *to + value : value;
    }
}

// Blocks along x share weights, blocks along y rows. Weights are bf16.
KERNEL(gemm_bf16, GEMM_THREADS, ProductArguments) {
    SHARED_MEMORY(GemmShared, shared);
    const u32 warp = thread_index() / WARP, lane = thread_index() % WARP;
    const u32 first_row = block_x() * BLOCK_ROWS, first_output = block_y() * BLOCK_OUTPUTS;
    const u32 warp_row = warp % 2 * (ROW_TILES * 16), warp_output = warp / 2 * (OUTPUT_TILES * 8);
    const u32 stages = (arguments.weights.columns + STAGE_COLUMNS - 1) / STAGE_COLUMNS;
    float sums[ROW_TILES][OUTPUT_TILES][4] = {};
    UNROLL
    for (u32 number = 0; number < STAGES - 1; number++) {
        if (number < stages) {
            fetch_stage(shared.stage[number], arguments, first_row, first_output, number * STAGE_COLUMNS);
        }
        copy_async_commit();
    }
    for (u32 number = 0; number < stages; number++) {
        copy_async_wait<STAGES - 2>();
        // This stage has arrived for all, and all are done with the one before, whose place is filled next.
        sync_block();
        const u32 ahead = number + STAGES - 1;
        if (ahead < stages) {
            fetch_stage(shared.stage[ahead % STAGES], arguments, first_row, first_output, ahead * STAGE_COLUMNS);
        }
        copy_async_commit();
        multiply_stage(shared.stage[number % STAGES], warp_row, warp_output, sums);
    }
    UNROLL
    for (u32 rows = 0; rows < ROW_TILES; rows++) {
        UNROLL
        for (u32 tile = 0; tile < OUTPUT_TILES; tile++) {
            UNROLL
            for (u32 i = 0; i < 4; i++) {
                store_product(arguments, first_row + warp_row + rows * 16 + lane / 4 + i / 2 * 8,
                              first_output + warp_output + tile * 8 + lane % 4 * 2 + i % 2, sums[rows][tile][i]);
            }
        }
    }
}

struct DequantiseArguments {
    Weights weights;
    // `[weights.rows, weights.columns]` of bf16.
    u16* out;
};

constexpr u32 DEQUANTISE_WARPS = 8;
constexpr u32 DEQUANTISE_THREADS = DEQUANTISE_WARPS * WARP;

// Blocks along x take 16 rows each; their warps, and blocks along y, a chunk each.
template <class Format>
DEVICE void dequantise(const DequantiseArguments& arguments) {
    const Weights& weights = arguments.weights;
    const u32 lane = thread_index() % WARP, chunk = block_y() * DEQUANTISE_WARPS + thread_index() / WARP;
    const Place place = {block_x() * 16 + lane / 4, chunk * Format::CHUNK, lane % 4};
    typename Format::Loaded loaded;
    Format::load(loaded, weights, place);
    UNROLL
    for (u32 batch = 0; batch < Format::BATCHES; batch++) {
        u32 codes[Format::STEPS][4];
        Format::steps(loaded, batch, codes);
        UNROLL
        for (u32 step = 0; step < Format::STEPS; step++) {
            const u32 number = batch * Format::STEPS + step, column = place.column + Format::step_column(number, place.slot);
            const u32 group = number / (Format::SCALE_STEPS ? Format::SCALE_STEPS : 1);
            UNROLL
            for (u32 half = 0; half < 2; half++) {
                const u32 row = place.row + half * 8;
                if (row >= weights.rows || column >= weights.columns) {
                    continue;
                }
                const float scale = Format::ROW_SCALED ? reinterpret_cast<const float*>(weights.scales)[row]
                                                       : Format::scale(loaded, half, group);
                const float minimum = Format::minimum(loaded, half, group);
                const u32 first = codes[step][half], second = codes[step][2 + half];
                const Words2 four = {{to_bf16_pair(low_bf16(first) * scale - minimum, high_bf16(first) * scale - minimum),
                                      to_bf16_pair(low_bf16(second) * scale - minimum, high_bf16(second) * scale - minimum)}};
                *reinterpret_cast<Words2*>(arguments.out + u64(row) * weights.columns + column) = four;
            }
        }
    }
}

KERNEL(dequantise_fp8, DEQUANTISE_THREADS, DequantiseArguments) { dequantise<Fp8Weights>(arguments); }
KERNEL(dequantise_int4, DEQUANTISE_THREADS, DequantiseArguments) { dequantise<Int4Weights>(arguments); }
KERNEL(dequantise_q8_0, DEQUANTISE_THREADS, DequantiseArguments) { dequantise<Q8_0Weights>(arguments); }
KERNEL(dequantise_q4_k, DEQUANTISE_THREADS, DequantiseArguments) { dequantise<Q4_KWeights>(arguments); }
KERNEL(dequantise_q6_k, DEQUANTISE_THREADS, DequantiseArguments) { dequantise<Q6_KWeights>(arguments); }
