/* What the driver of driver.c is made of: a log, the things that it hands out, and the queue of work. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { CONTEXT, STREAM, MODULE, FUNCTION, EVENT, GRAPH, NODE, EXECUTABLE, MEMORY, PINNED, KINDS };
static const char *const kinds[KINDS] = {"contexts", "streams", "modules", "functions", "events",
                                         "graphs", "nodes", "executables", "memory", "pinned"};

struct launch {
    struct thing *function;
    unsigned grid[3], threads, shared;
    unsigned char argument[256];
};

/* Never freed, so that what is used after its end is found. */
struct thing {
    enum kind kind;
    int alive;
    struct thing *next;  /* of the same kind */
    struct thing *owner; /* a function's module, a node's graph */
    unsigned char *start;
    size_t size;         /* of memory, or of a function's argument */
    char name[64];
    unsigned allowed;    /* shared memory */
    unsigned flags;
    long recorded, reached;
    double time;
    struct launch launch;
    struct launch *launches;
    size_t count;
    struct thing *last;
};

enum action { COPY_IN, COPY_OUT, FILL, RUN, RECORD, CALL };
struct work {
    enum action action;
    unsigned char *to;
    const unsigned char *from;
    size_t count;
    int value;
    struct launch launch;
    struct thing *event;
    long sequence;
    void (*call)(void *);
    void *data;
    struct work *next;
};

static struct thing *all[KINDS];
static int living[KINDS];
static struct work *first, **end = &first;
static long sequence;
static double clock_milliseconds;
static int sticky, retained;
static size_t taken;
static struct thing context = {CONTEXT};
static __thread struct thing *current;

static void say(const char *format, ...) {
    const char *path = getenv("FAKE_LOG");
    FILE *log = path ? fopen(path, "a") : 0;
    if (!log) abort();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(log, format, arguments);
    va_end(arguments);
    fputc('\n', log);
    fclose(log);
}

static int fault(const char *function, const char *what) {
    say("fault: %s: %s", function, what);
    return 1;
}

static int enter(const char *name, int *calls, int needs_context) {
    char text[128];
    const char *fail = getenv("FAKE_FAIL");
    ++*calls;
    if (fail) {
        int length = snprintf(text, sizeof text, "%s:%d:", name, *calls);
        if (!strncmp(fail, text, length)) {
            int code = atoi(fail + length);
            if (code >= 700) sticky = code;
            return code;
        }
    }
    if (!needs_context) return 0;
    if (!current || !current->alive) {
        fault(name, "no context is current");
        return 201;
    }
    return sticky;
}

#define ENTER(needs_context) do { \
        static int calls; \
        int code = enter(__func__, &calls, needs_context); \
        if (code) return code; \
    } while (0)
#define CHECK(condition) do { if (!(condition)) return fault(__func__, #condition); } while (0)

static struct thing *make(enum kind kind) {
    struct thing *thing = calloc(1, sizeof *thing);
    thing->kind = kind;
    thing->alive = 1;
    thing->next = all[kind];
    all[kind] = thing;
    living[kind]++;
    return thing;
}

static int is(const void *pointer, enum kind kind) {
    for (struct thing *thing = all[kind]; thing; thing = thing->next)
        if (thing == pointer) return thing->alive;
    return 0;
}

static void end_of(struct thing *thing) {
    thing->alive = 0;
    living[thing->kind]--;
}

static struct thing *holding(enum kind kind, const void *start, size_t count) {
    const unsigned char *at = start;
    for (struct thing *thing = all[kind]; thing; thing = thing->next)
        if (thing->alive && at >= thing->start && count <= thing->size && (size_t)(at - thing->start) <= thing->size - count)
            return thing;
    return 0;
}

static struct work *add(enum action action) {
    struct work *work = calloc(1, sizeof *work);
    work->action = action;
    *end = work;
    end = &work->next;
    return work;
}

static void run(const struct launch *launch) {
    char bytes[2 * sizeof launch->argument + 1] = "";
    uint64_t words[2] = {0, 0};
    size_t size = launch->function->size;
    for (size_t i = 0; i < size; i++) sprintf(bytes + 2 * i, "%02x", launch->argument[i]);
    say("run %s %u,%u,%u %u %u %s", launch->function->name, launch->grid[0], launch->grid[1], launch->grid[2],
        launch->threads, launch->shared, bytes);
    memcpy(words, launch->argument, size < sizeof words ? size : sizeof words);
    unsigned char *list = (unsigned char *)(uintptr_t)words[0];
    if (!holding(MEMORY, list, 1) || !holding(MEMORY, list, 2 + *list)) {
        sticky = 700;
        return;
    }
    list[1 + *list] = (unsigned char)words[1];
    ++*list;
}

static void go_until(struct thing *event) {
    while (first && !sticky && !(event && event->reached == event->recorded)) {
        struct work *work = first;
        clock_milliseconds += work->action == RUN || work->action == CALL;
        switch (work->action) {
        case COPY_IN: case COPY_OUT: memcpy(work->to, work->from, work->count); break;
        case FILL: memset(work->to, work->value, work->count); break;
        case RUN: run(&work->launch); break;
        case CALL: work->call(work->data); break;
        case RECORD: work->event->reached = work->sequence; work->event->time = clock_milliseconds; break;
        }
        first = work->next;
        if (!first) end = &first;
        free(work);
    }
}
