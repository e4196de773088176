/* A library that plays the CUDA driver: device memory is memory of the process, and work waits in a queue until somebody waits for it,
 * so that whatever is changed too early shows. It checks what it is given; what it finds wrong is a line "fault: ..." in its log.
 *
 * FAKE_LOG      the file that it writes to
 * FAKE_KERNELS  the kernels that modules have and the sizes of their arguments: "push=32,norm_bf16=56"
 * FAKE_MEMORY   the device's memory in bytes
 * FAKE_CUDA     the CUDA version
 * FAKE_FAIL     "cuLaunchKernel:3:719": what the third call of that function returns. From 700 on, everything later returns it too.
 *
 * All kernels do the same: the first word of the argument is the address of a list of bytes, whose first is its length; the low byte of
 * the second word is put at its end. An address that is not the device's is an illegal address.
 */
#include "machine.h"

/* Devices. */

static long setting(const char *name, long usual) {
    const char *text = getenv(name);
    return text ? atol(text) : usual;
}

int cuDriverGetVersion(int *version) { *version = (int)setting("FAKE_CUDA", 13000); return 0; }
int cuInit(unsigned flags) { return flags != 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 40; return ordinal != 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Fake H100", length); return device != 40; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = setting("FAKE_MEMORY", 1 << 28); return device != 40; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : 0; return device != 40; }

int cuGetErrorName(int code, const char **name) {
    *name = code == 1 ? "CUDA_ERROR_INVALID_VALUE" : code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 500 ? "CUDA_ERROR_NOT_FOUND"
          : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : 0;
    return *name ? 0 : 1;
}

int cuDevicePrimaryCtxRetain(void **out, int device) {
    ENTER(0);
    CHECK(device == 40);
    retained++;
    context.alive = 1;
    *out = &context;
    return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER(0);
    CHECK(device == 40 && retained > 0);
    if (--retained) return 0;
    context.alive = 0;
    for (int kind = 0; kind < KINDS; kind++)
        if (living[kind] && kind != FUNCTION && kind != NODE) say("left %d %s", living[kind], kinds[kind]);
    say("released");
    return 0;
}

int cuCtxSetCurrent(struct thing *wanted) {
    ENTER(0);
    CHECK(!wanted || (wanted == &context && context.alive));
    current = wanted;
    return 0;
}

/* Streams and events. */

int cuStreamCreate(void **out, unsigned flags) {
    ENTER(1);
    CHECK(flags == 1 && living[STREAM] == 0);
    *out = make(STREAM);
    return 0;
}

int cuStreamDestroy_v2(struct thing *stream) {
    ENTER(1);
    CHECK(is(stream, STREAM));
    end_of(stream);
    return 0;
}

int cuStreamSynchronize(struct thing *stream) {
    ENTER(1);
    CHECK(is(stream, STREAM));
    if (first) say("wait");
    go_until(0);
    return sticky;
}

int cuEventCreate(void **out, unsigned flags) {
    ENTER(1);
    CHECK(flags == 0 || flags == 2);
    struct thing *event = make(EVENT);
    event->flags = flags;
    *out = event;
    return 0;
}

int cuEventDestroy_v2(struct thing *event) {
    ENTER(1);
    CHECK(is(event, EVENT) && !first);
    end_of(event);
    return 0;
}

int cuEventRecord(struct thing *event, struct thing *stream) {
    ENTER(1);
    CHECK(is(event, EVENT) && is(stream, STREAM));
    struct work *work = add(RECORD);
    work->event = event;
    work->sequence = event->recorded = ++sequence;
    return 0;
}

int cuEventSynchronize(struct thing *event) {
    ENTER(1);
    CHECK(is(event, EVENT) && event->recorded);
    if (event->reached != event->recorded) say("wait");
    go_until(event);
    return sticky;
}

int cuEventElapsedTime_v2(float *milliseconds, struct thing *from, struct thing *to) {
    ENTER(1);
    CHECK(is(from, EVENT) && is(to, EVENT) && from->recorded && to->recorded && !from->flags && !to->flags);
    if (from->reached != from->recorded || to->reached != to->recorded) return 600;
    *milliseconds = (float)(to->time - from->time);
    return 0;
}

/* Memory. */

int cuMemGetInfo_v2(size_t *unused, size_t *total) {
    ENTER(1);
    *total = setting("FAKE_MEMORY", 1 << 28);
    *unused = *total - taken;
    return 0;
}

int cuMemAlloc_v2(uint64_t *out, size_t size) {
    ENTER(1);
    CHECK(size > 0);
    if (size > (size_t)setting("FAKE_MEMORY", 1 << 28) - taken) return 2;
    struct thing *memory = make(MEMORY);
    memory->size = size;
    memory->start = aligned_alloc(256, (size + 255) / 256 * 256);
    memset(memory->start, 0xff, size);
    taken += size;
    *out = (uintptr_t)memory->start;
    return 0;
}

int cuMemFree_v2(uint64_t address) {
    ENTER(1);
    struct thing *memory = holding(MEMORY, (void *)(uintptr_t)address, 1);
    CHECK(memory && (uintptr_t)memory->start == address && !first);
    taken -= memory->size;
    free(memory->start);
    end_of(memory);
    return 0;
}

int cuMemAllocHost_v2(void **out, size_t size) {
    ENTER(1);
    CHECK(size > 0);
    struct thing *pinned = make(PINNED);
    pinned->size = size;
    pinned->start = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    *out = pinned->start;
    return 0;
}

int cuMemFreeHost(void *address) {
    ENTER(1);
    struct thing *pinned = holding(PINNED, address, 1);
    CHECK(pinned && pinned->start == address && !first);
    free(pinned->start);
    end_of(pinned);
    return 0;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t count, struct thing *stream) {
    ENTER(1);
    CHECK(is(stream, STREAM) && count > 0);
    CHECK(holding(PINNED, from, count) && holding(MEMORY, (void *)(uintptr_t)to, count));
    struct work *work = add(COPY_IN);
    work->to = (unsigned char *)(uintptr_t)to;
    work->from = from;
    work->count = count;
    return 0;
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t count, struct thing *stream) {
    ENTER(1);
    CHECK(is(stream, STREAM) && count > 0);
    CHECK(holding(PINNED, to, count) && holding(MEMORY, (void *)(uintptr_t)from, count));
    struct work *work = add(COPY_OUT);
    work->to = to;
    work->from = (unsigned char *)(uintptr_t)from;
    work->count = count;
    return 0;
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, struct thing *stream) {
    ENTER(1);
    CHECK(is(stream, STREAM) && count > 0 && holding(MEMORY, (void *)(uintptr_t)to, count));
    struct work *work = add(FILL);
    work->to = (unsigned char *)(uintptr_t)to;
    work->value = value;
    work->count = count;
    return 0;
}

/* What the library of matrix_library.c asks of a driver; real ones have other ways for it. */

int played_context_is_current(void) { return current && current->alive && !sticky; }
int played_stream_is_there(const void *stream) { return is(stream, STREAM); }
int played_memory_holds(const void *start, size_t count) { return holding(MEMORY, start, count) != 0; }

void played_add(void (*call)(void *), void *data) {
    struct work *work = add(CALL);
    work->call = call;
    work->data = data;
}

/* Kernels. */

int cuModuleLoadData(void **out, const void *image) {
    ENTER(1);
    CHECK((uintptr_t)image % 8 == 0 && *(const uint32_t *)image == 0xba55ed50);
    *out = make(MODULE);
    say("load");
    return 0;
}

int cuModuleUnload(struct thing *module) {
    ENTER(1);
    CHECK(is(module, MODULE) && !first);
    end_of(module);
    return 0;
}

int cuModuleGetFunction(void **out, struct thing *module, const char *name) {
    ENTER(1);
    CHECK(is(module, MODULE));
    const char *known = getenv("FAKE_KERNELS");
    size_t length = strlen(name);
    while (known && !(strncmp(known, name, length) == 0 && known[length] == '=')) {
        known = strchr(known, ',');
        if (known) known++;
    }
    if (!known) return 500;
    struct thing *function = make(FUNCTION);
    function->owner = module;
    function->size = (size_t)atol(known + length + 1);
    function->allowed = 48 << 10;
    snprintf(function->name, sizeof function->name, "%s", name);
    *out = function;
    say("find %s", name);
    return 0;
}

int cuFuncGetParamInfo(struct thing *function, size_t index, size_t *offset, size_t *size) {
    ENTER(1);
    CHECK(is(function, FUNCTION) && function->owner->alive);
    if (index) return 1;
    *offset = 0;
    *size = function->size;
    return 0;
}

int cuFuncSetAttribute(struct thing *function, int attribute, int value) {
    ENTER(1);
    CHECK(is(function, FUNCTION) && function->owner->alive && attribute == 8 && value > 0);
    if (value > 227 << 10) return 1;
    function->allowed = (unsigned)value;
    say("allow %s %d", function->name, value);
    return 0;
}

static int check_launch(const char *name, struct launch *out, struct thing *function, const unsigned *grid, const unsigned *block,
                        unsigned shared, void **parameters, void **extra) {
    if (!is(function, FUNCTION) || !function->owner->alive) return fault(name, "no such function");
    if (!grid[0] || !grid[1] || !grid[2]) return fault(name, "an empty grid");
    if (!block[0] || block[0] > 1024 || block[1] != 1 || block[2] != 1) return fault(name, "the wrong block");
    if (shared > function->allowed) return fault(name, "shared memory that was not allowed");
    if (extra || !parameters || !parameters[0] || (uintptr_t)parameters[0] % 8) return fault(name, "the wrong parameters");
    if (function->size > sizeof out->argument) return fault(name, "an argument that is too long for this library");
    out->function = function;
    memcpy(out->grid, grid, sizeof out->grid);
    out->threads = block[0];
    out->shared = shared;
    memcpy(out->argument, parameters[0], function->size);
    return 0;
}

int cuLaunchKernel(struct thing *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned shared, struct thing *stream, void **parameters, void **extra) {
    ENTER(1);
    CHECK(is(stream, STREAM));
    struct launch launch;
    unsigned grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
    int wrong = check_launch(__func__, &launch, function, grid, block, shared, parameters, extra);
    if (wrong) return wrong;
    add(RUN)->launch = launch;
    return 0;
}

/* Graphs: only chains, as they are built here. */

struct node_parameters {
    struct thing *function;
    unsigned grid[3], block[3], shared;
    void **parameters, **extra;
    void *kernel, *context;
};

int cuGraphCreate(void **out, unsigned flags) {
    ENTER(1);
    CHECK(flags == 0);
    *out = make(GRAPH);
    return 0;
}

int cuGraphAddKernelNode_v2(void **out, struct thing *graph, struct thing *const *before, size_t count,
                            const struct node_parameters *parameters) {
    ENTER(1);
    CHECK(is(graph, GRAPH) && !parameters->kernel && !parameters->context);
    CHECK(graph->last ? count == 1 && before[0] == graph->last : count == 0);
    struct thing *node = make(NODE);
    int wrong = check_launch(__func__, &node->launch, parameters->function, parameters->grid, parameters->block, parameters->shared,
                             parameters->parameters, parameters->extra);
    if (wrong) return wrong;
    graph->launches = realloc(graph->launches, (graph->count + 1) * sizeof *graph->launches);
    graph->launches[graph->count++] = node->launch;
    graph->last = node;
    *out = node;
    return 0;
}

int cuGraphInstantiateWithFlags(void **out, struct thing *graph, unsigned long long flags) {
    ENTER(1);
    CHECK(is(graph, GRAPH) && flags == 0 && graph->count > 0);
    struct thing *executable = make(EXECUTABLE);
    executable->count = graph->count;
    executable->launches = malloc(graph->count * sizeof *graph->launches);
    memcpy(executable->launches, graph->launches, graph->count * sizeof *graph->launches);
    *out = executable;
    return 0;
}

int cuGraphLaunch(struct thing *executable, struct thing *stream) {
    ENTER(1);
    CHECK(is(executable, EXECUTABLE) && is(stream, STREAM));
    for (size_t i = 0; i < executable->count; i++) add(RUN)->launch = executable->launches[i];
    return 0;
}

int cuGraphExecDestroy(struct thing *executable) {
    ENTER(1);
    CHECK(is(executable, EXECUTABLE));
    end_of(executable);
    return 0;
}

int cuGraphDestroy(struct thing *graph) {
    ENTER(1);
    CHECK(is(graph, GRAPH));
    end_of(graph);
    return 0;
}
