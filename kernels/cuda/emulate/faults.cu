// Kernels with faults, which the emulation must find.
#include "../common.cuh"

struct FaultArguments {
    u32* out;
    const u32* in;
};

struct FaultShared {
    u32 values[64];
};

// Each thread reads what another has written, with or without waiting for it.
template <bool WAITS>
DEVICE void exchange(const FaultArguments& arguments) {
    SHARED_MEMORY(FaultShared, shared);
    shared.values[thread_index()] = arguments.in[thread_index()];
    if (WAITS) {
        sync_block();
    }
    arguments.out[thread_index()] = shared.values[63 - thread_index()];
}

KERNEL(fault_no_barrier, 64, FaultArguments) { exchange<false>(arguments); }
KERNEL(fault_none, 64, FaultArguments) { exchange<true>(arguments); }

// Half of a warp shuffles, the other half only waits.
KERNEL(fault_divergence, 64, FaultArguments) {
    if (thread_index() % 32 < 16) {
        arguments.out[thread_index()] = shuffle_bits(arguments.in[thread_index()], 0);
    } else {
        sync_warp();
    }
}

// One thread waits for the block, the rest of its warp for the warp.
KERNEL(fault_deadlock, 64, FaultArguments) {
    if (thread_index() == 5) {
        sync_block();
    }
    arguments.out[thread_index()] = shuffle_bits(arguments.in[thread_index()], 0);
}

// Reads what has not arrived yet, or waits first.
template <bool WAITS>
DEVICE void fetch(const FaultArguments& arguments) {
    SHARED_MEMORY(FaultShared, shared);
    if (thread_index() < 16) {
        copy_async(&shared.values[thread_index() * 4], arguments.in + thread_index() * 4, true);
    }
    copy_async_commit();
    if (WAITS) {
        copy_async_wait<0>();
    } else {
        copy_async_wait<1>();
    }
    sync_block();
    arguments.out[thread_index()] = shared.values[63 - thread_index()];
}

KERNEL(fault_early_read, 64, FaultArguments) { fetch<false>(arguments); }
KERNEL(fault_none_fetched, 64, FaultArguments) { fetch<true>(arguments); }
