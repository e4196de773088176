// Runs kernels on the host, for tests: every thread of a block is a fibre, and blocks run one after another.
//
// A fibre runs until it waits for others (a barrier, a shuffle, a matrix product of its warp); then the next one runs. In which order
// they do is chosen by the launch's seed, so that a barrier which is missing shows as a wrong result in some order. Shared memory
// begins as NaN in every block, asynchronous copies happen as late as they may (or at once, in every other order), and threads that wait for each other in vain, or lanes of
// a warp that do not do the same, are errors.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "fibre.h"

namespace emulate {

struct Index {
    uint32_t x, y, z;
};

// What a launch is, besides its argument; `kernels/cuda/emulate/mod.rs` has the same.
struct Launch {
    uint32_t grid[3];
    uint32_t threads;
    uint32_t shared_bytes;
    // 0: lanes in order; 1: from the last to the first; else shuffled by this seed, anew each time round. When it is odd, asynchronous
    // copies happen at once.
    uint32_t seed;
    uint64_t argument_bytes;
};

// What a lane waits for.
enum class Wait : uint8_t { Nothing, Block, Warp, Finished };
enum class Operation : uint8_t { None, Sync, Shuffle, Matrix };

struct Copy {
    void* to;
    const void* from;
    uint32_t bytes;
    uint32_t group;
};

struct Lane {
    Context context;
    unsigned char* stack = nullptr;
    Index thread{};
    Wait wait = Wait::Nothing;
    Operation operation = Operation::None;
    // Of a shuffle: the value and the lane to read.
    uint32_t value = 0;
    uint32_t source = 0;
    // Of a matrix product.
    float* sums = nullptr;
    const uint32_t* left = nullptr;
    uint32_t right[2] = {};
    // Asynchronous copies that have not happened yet, and how many groups were committed.
    std::vector<Copy> copies;
    uint32_t groups = 0;
};

struct Machine {
    std::vector<Lane> lanes;
    std::vector<unsigned char> shared;
    Context scheduler;
    Lane* current = nullptr;
    Index block{}, grid{};
    uint32_t threads = 0;
    uint32_t random = 0;
    bool copies_at_once = false;
    char error[256] = {};
    void (*body)(const void*) = nullptr;
    const void* argument = nullptr;
};

// Each library has its own.
static Machine machine;

static inline void fail(const char* what) {
    if (!machine.error[0]) {
        snprintf(machine.error, sizeof machine.error, "%s (thread %u of block %u, %u, %u)", what,
                 machine.current ? machine.current->thread.x : 0, machine.block.x, machine.block.y, machine.block.z);
    }
}

// Back to the scheduler; returns when what the lane waits for has happened.
static inline void wait_for(Wait wait) {
    Lane* lane = machine.current;
    lane->wait = wait;
    switch_context(lane->context, machine.scheduler);
}

static inline void lane_entry() {
    machine.body(machine.argument);
    while (true) {
        wait_for(Wait::Finished);
    }
}

static inline void barrier() {
    wait_for(Wait::Block);
}

static inline void warp_operation(Operation operation) {
    machine.current->operation = operation;
    wait_for(Wait::Warp);
}

static inline uint32_t shuffle(uint32_t value, uint32_t source_lane) {
    Lane* lane = machine.current;
    lane->value = value;
    lane->source = source_lane;
    warp_operation(Operation::Shuffle);
    return lane->value;
}

static inline float bf16_value(uint32_t bits) {
    bits <<= 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// sums[16, 8] += left[16, 16] * right[16, 8], spread over 32 lanes as `mma.m16n8k16` has it.
static inline void matrix_product(Lane* lanes) {
    float left[16][16], right[16][8];
    for (uint32_t lane = 0; lane < 32; lane++) {
        uint32_t row = lane / 4, pair = lane % 4 * 2;
        for (uint32_t part = 0; part < 4; part++) {
            uint32_t r = row + part % 2 * 8, c = pair + part / 2 * 8;
            left[r][c] = bf16_value(lanes[lane].left[part] & 0xffff);
            left[r][c + 1] = bf16_value(lanes[lane].left[part] >> 16);
        }
        for (uint32_t part = 0; part < 2; part++) {
            right[pair + part * 8][row] = bf16_value(lanes[lane].right[part] & 0xffff);
            right[pair + part * 8 + 1][row] = bf16_value(lanes[lane].right[part] >> 16);
        }
    }
    for (uint32_t lane = 0; lane < 32; lane++) {
        for (uint32_t part = 0; part < 4; part++) {
            uint32_t row = lane / 4 + part / 2 * 8, column = lane % 4 * 2 + part % 2;
            float sum = lanes[lane].sums[part];
            for (uint32_t k = 0; k < 16; k++) {
                sum += left[row][k] * right[k][column];
            }
            lanes[lane].sums[part] = sum;
        }
    }
}

// Does what a warp waits for, once all of its lanes do.
static inline void finish_warp_operation(Lane* lanes) {
    for (uint32_t lane = 0; lane < 32; lane++) {
        if (lanes[lane].wait != Wait::Warp) {
            return;
        }
    }
    Operation operation = lanes[0].operation;
    for (uint32_t lane = 0; lane < 32; lane++) {
        if (lanes[lane].operation != operation) {
            fail("lanes of a warp wait for different things");
            return;
        }
    }
    if (operation == Operation::Shuffle) {
        uint32_t values[32];
        for (uint32_t lane = 0; lane < 32; lane++) {
            values[lane] = lanes[lane].value;
        }
        for (uint32_t lane = 0; lane < 32; lane++) {
            lanes[lane].value = values[lanes[lane].source % 32];
        }
    } else if (operation == Operation::Matrix) {
        matrix_product(lanes);
    }
    for (uint32_t lane = 0; lane < 32; lane++) {
        lanes[lane].wait = Wait::Nothing;
    }
}

// 16 bytes of shared memory, filled up with zeros.
static inline void do_copy(const Copy& copy) {
    if (copy.bytes) {
        memcpy(copy.to, copy.from, copy.bytes);
    }
    memset(static_cast<char*>(copy.to) + copy.bytes, 0, 16 - copy.bytes);
}

// A copy may happen at any time between here and where it is waited for: at once, or as late as possible.
static inline void begin_copy(void* to, const void* from, uint32_t bytes) {
    Lane* lane = machine.current;
    const Copy copy = {to, from, bytes, lane->groups};
    if (machine.copies_at_once) {
        do_copy(copy);
    } else {
        lane->copies.push_back(copy);
    }
}

// Copies of all but the last `pending` committed groups.
static inline void finish_copies(uint32_t pending) {
    Lane* lane = machine.current;
    std::vector<Copy> left;
    for (const Copy& copy : lane->copies) {
        if (copy.group + pending < lane->groups) {
            do_copy(copy);
        } else {
            left.push_back(copy);
        }
    }
    lane->copies.swap(left);
}

static inline uint32_t next_random() {
    machine.random ^= machine.random << 13;
    machine.random ^= machine.random >> 17;
    machine.random ^= machine.random << 5;
    return machine.random;
}

static inline void put_in_order(std::vector<uint32_t>& order, uint32_t seed) {
    for (uint32_t index = 0; index < order.size(); index++) {
        order[index] = seed == 1 ? uint32_t(order.size()) - 1 - index : index;
    }
    for (uint32_t index = uint32_t(order.size()); seed > 1 && index > 1; index--) {
        std::swap(order[index - 1], order[next_random() % index]);
    }
}

static inline void release_barrier() {
    bool any = false;
    for (Lane& lane : machine.lanes) {
        if (lane.wait != Wait::Block && lane.wait != Wait::Finished) {
            return;
        }
        any |= lane.wait == Wait::Block;
    }
    for (Lane& lane : machine.lanes) {
        if (any && lane.wait == Wait::Block) {
            lane.wait = Wait::Nothing;
        }
    }
}

static inline void run_block(const Launch& launch) {
    std::vector<uint32_t> order(launch.threads);
    for (uint32_t index = 0; index < launch.threads; index++) {
        Lane& lane = machine.lanes[index];
        lane.thread = {index, 0, 0};
        lane.wait = Wait::Nothing;
        lane.copies.clear();
        lane.groups = 0;
        prepare(lane.context, lane.stack, lane_entry);
    }
    memset(machine.shared.data(), 0xff, machine.shared.size());
    while (!machine.error[0]) {
        bool progress = false, finished = true;
        put_in_order(order, launch.seed);
        for (uint32_t index : order) {
            Lane& lane = machine.lanes[index];
            if (lane.wait == Wait::Nothing) {
                progress = true;
                machine.current = &lane;
                switch_context(machine.scheduler, lane.context);
                if (lane.wait == Wait::Warp) {
                    finish_warp_operation(&machine.lanes[index / 32 * 32]);
                }
            }
            finished &= lane.wait == Wait::Finished;
        }
        release_barrier();
        if (finished) {
            return;
        }
        if (!progress) {
            fail("threads wait for each other in vain: some have left, or wait elsewhere");
        }
    }
}

// Runs a whole launch. Returns 0, or -1 with a message.
static inline int run(const Launch* launch, uint32_t threads, uint64_t argument_bytes, void (*body)(const void*), const void* argument,
               char* error, uint64_t error_bytes) {
    machine.error[0] = 0;
    machine.current = nullptr;
    if (launch->threads != threads || threads % 32) {
        fail("the launch has another number of threads than the kernel");
    }
    if (launch->argument_bytes != argument_bytes) {
        fail("the launch's argument has another size than the kernel's");
    }
    while (machine.lanes.size() < threads) {
        machine.lanes.emplace_back();
        machine.lanes.back().stack = new_stack();
        if (!machine.lanes.back().stack) {
            fail("no memory for stacks");
            break;
        }
    }
    while (machine.lanes.size() > threads) {
        munmap(machine.lanes.back().stack, STACK_BYTES);
        machine.lanes.pop_back();
    }
    machine.shared.resize(launch->shared_bytes + 16);
    machine.grid = {launch->grid[0], launch->grid[1], launch->grid[2]};
    machine.threads = threads;
    machine.random = launch->seed * 2654435761u | 1;
    machine.copies_at_once = launch->seed % 2;
    machine.body = body;
    machine.argument = argument;
    uint64_t blocks = uint64_t(launch->grid[0]) * launch->grid[1] * launch->grid[2];
    for (uint64_t index = 0; index < blocks && !machine.error[0]; index++) {
        uint64_t block = launch->seed == 1 ? blocks - 1 - index : index;
        machine.block = {uint32_t(block % launch->grid[0]), uint32_t(block / launch->grid[0] % launch->grid[1]),
                         uint32_t(block / launch->grid[0] / launch->grid[1])};
        run_block(*launch);
    }
    if (machine.error[0]) {
        snprintf(error, error_bytes, "%s", machine.error);
        return -1;
    }
    return 0;
}

// The launch's shared memory, which must be as large as what the kernel makes of it.
template <class T>
T& shared_memory() {
    static_assert(alignof(T) <= 16);
    if (machine.shared.size() != sizeof(T) + 16) {
        fail("the launch has another amount of shared memory than the kernel needs");
        // Enough to go on with until the block ends.
        static T spare;
        return spare;
    }
    auto address = (reinterpret_cast<uintptr_t>(machine.shared.data()) + 15) / 16 * 16;
    return *reinterpret_cast<T*>(address);
}

}  // namespace emulate
