/* A library that plays cublasLt for the driver of driver.c: it multiplies as the descriptions say that it is given, whatever they are, when
 * the driver comes to it. What it finds wrong is a line "fault: ..." in the log.
 *
 * FAKE_LIBRARY_VERSION  its version, as a number
 * FAKE_REFUSE           "15:33": what is said of algorithms for products with so many columns of the result; 0: success, but there is none
 * FAKE_FAIL             as for the driver
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int played_context_is_current(void);
int played_stream_is_there(const void *stream);
int played_memory_holds(const void *start, size_t count);
void played_add(void (*call)(void *), void *data);

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16BF = 14, COMPUTE_32F = 68, EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4 };
enum kind { HANDLE = 1, OPERATION, LAYOUT, PREFERENCE };

struct thing {
    enum kind kind;
    int alive;
    struct thing *next;
    /* Of an operation. */
    int32_t transposed[2], bias_type;
    uint32_t epilogue;
    uint64_t bias;
    /* Of a layout. */
    int type;
    uint64_t rows, columns;
    int64_t step;
    /* Of a preference. */
    uint64_t workspace;
    uint32_t schemes, alignments[4];
};

struct algorithm {
    uint64_t mark, rows, columns, sums, bias, alignments, workspace, type;
};

struct result {
    struct algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

struct product {
    struct thing operation, matrices[4];
    float alpha, beta;
    const void *from[3];
    void *to;
};

static struct thing *all;
static int living;

static void say(const char *format, ...) {
    FILE *log = fopen(getenv("FAKE_LOG"), "a");
    if (!log) abort();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(log, format, arguments);
    va_end(arguments);
    fputc('\n', log);
    fclose(log);
}

static int enter(const char *name, int *calls) {
    char text[128];
    const char *fail = getenv("FAKE_FAIL");
    int length = snprintf(text, sizeof text, "%s:%d:", name, ++*calls);
    return fail && !strncmp(fail, text, length) ? atoi(fail + length) : 0;
}

#define ENTER() do { \
        static int calls; \
        int status = enter(__func__, &calls); \
        if (status) return status; \
    } while (0)
#define CHECK(condition) do { \
        if (!(condition)) { say("fault: %s: %s", __func__, #condition); return INVALID_VALUE; } \
    } while (0)

static struct thing *make(enum kind kind) {
    struct thing *thing = calloc(1, sizeof *thing);
    thing->kind = kind;
    thing->alive = 1;
    thing->next = all;
    living++;
    return all = thing;
}

static int is(const struct thing *wanted, enum kind kind) {
    for (struct thing *thing = all; thing; thing = thing->next)
        if (thing == wanted) return thing->alive && thing->kind == kind;
    return 0;
}

static void end_of(struct thing *thing) {
    thing->alive = 0;
    living--;
}

size_t cublasLtGetVersion(void) {
    const char *text = getenv("FAKE_LIBRARY_VERSION");
    return text ? atol(text) : 130001;
}

const char *cublasLtGetStatusName(int status) {
    return status == 1 ? "CUBLAS_STATUS_NOT_INITIALIZED" : status == 7 ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == 13 ? "CUBLAS_STATUS_EXECUTION_FAILED" : status == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : 0;
}

int cublasLtCreate(struct thing **out) {
    ENTER();
    CHECK(played_context_is_current());
    *out = make(HANDLE);
    say("library created");
    return SUCCESS;
}

int cublasLtDestroy(struct thing *handle) {
    ENTER();
    CHECK(is(handle, HANDLE));
    end_of(handle);
    say("library destroyed");
    if (living) say("left %d descriptions", living);
    return SUCCESS;
}

int cublasLtMatmulDescCreate(struct thing **out, int compute, int scale) {
    ENTER();
    CHECK(compute == COMPUTE_32F && scale == R_32F);
    *out = make(OPERATION);
    (*out)->epilogue = EPILOGUE_DEFAULT;
    (*out)->bias_type = -1;
    return SUCCESS;
}

int cublasLtMatmulDescDestroy(struct thing *operation) {
    CHECK(is(operation, OPERATION));
    end_of(operation);
    return SUCCESS;
}

static int put(void *to, size_t size, const void *from, size_t given) {
    if (size != given || (uintptr_t)from % size) return INVALID_VALUE;
    memcpy(to, from, size);
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(struct thing *operation, int attribute, const void *value, size_t size) {
    ENTER();
    CHECK(is(operation, OPERATION));
    switch (attribute) {
    case 3: return put(&operation->transposed[0], 4, value, size);
    case 4: return put(&operation->transposed[1], 4, value, size);
    case 7: return put(&operation->epilogue, 4, value, size);
    case 8: return put(&operation->bias, 8, value, size);
    case 26: return put(&operation->bias_type, 4, value, size);
    }
    CHECK(!"an attribute that is known here");
}

int cublasLtMatrixLayoutCreate(struct thing **out, int type, uint64_t rows, uint64_t columns, int64_t step) {
    ENTER();
    CHECK((type == R_32F || type == R_16BF) && rows && columns && step >= (int64_t)rows);
    *out = make(LAYOUT);
    (*out)->type = type;
    (*out)->rows = rows;
    (*out)->columns = columns;
    (*out)->step = step;
    return SUCCESS;
}

int cublasLtMatrixLayoutDestroy(struct thing *layout) {
    CHECK(is(layout, LAYOUT));
    end_of(layout);
    return SUCCESS;
}

int cublasLtMatmulPreferenceCreate(struct thing **out) {
    ENTER();
    *out = make(PREFERENCE);
    (*out)->schemes = 7;
    for (int i = 0; i < 4; i++) (*out)->alignments[i] = 256;
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(struct thing *preference) {
    CHECK(is(preference, PREFERENCE));
    end_of(preference);
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(struct thing *preference, int attribute, const void *value, size_t size) {
    ENTER();
    CHECK(is(preference, PREFERENCE));
    switch (attribute) {
    case 1: return put(&preference->workspace, 8, value, size);
    case 3: return put(&preference->schemes, 4, value, size);
    case 5: case 6: case 7: case 8: return put(&preference->alignments[attribute - 5], 4, value, size);
    }
    CHECK(!"an attribute that is known here");
}

/* An algorithm is good for the products that it was asked for only. As the manual has it, the search heeds where the bias lies. */
static unsigned bias_alignment(const struct thing *operation) {
    if (operation->epilogue != EPILOGUE_BIAS) return 0;
    return operation->bias % 256 ? (unsigned)(operation->bias & -operation->bias) : 256;
}

static struct algorithm algorithm_of(const struct thing *operation, const struct thing *weights, const struct thing *out) {
    struct algorithm found = {0x616c676f, out->rows, out->columns, operation->transposed[0] ? weights->rows : weights->columns,
                              bias_alignment(operation), 0, 0, out->type};
    return found;
}

int cublasLtMatmulAlgoGetHeuristic(struct thing *handle, struct thing *operation, struct thing *a, struct thing *b, struct thing *c,
                                   struct thing *d, struct thing *preference, int wanted, struct result *results, int *count) {
    ENTER();
    CHECK(is(handle, HANDLE) && is(operation, OPERATION) && is(preference, PREFERENCE) && played_context_is_current());
    CHECK(is(a, LAYOUT) && is(b, LAYOUT) && is(c, LAYOUT) && is(d, LAYOUT) && wanted == 1);
    say("search %ldx%ld schemes %u alignments %u,%u,%u,%u workspace %ld bias %u", (long)d->rows, (long)d->columns, preference->schemes,
        preference->alignments[0], preference->alignments[1], preference->alignments[2], preference->alignments[3],
        (long)preference->workspace, bias_alignment(operation));
    const char *refuse = getenv("FAKE_REFUSE");
    *count = 0;
    if (refuse && (uint64_t)atol(strchr(refuse, ':') + 1) == d->columns) return atoi(refuse);
    /* As the manual has it: a bias is of the result's type, which may be f32. */
    int bias_type = operation->bias_type < 0 ? d->type : operation->bias_type;
    if (operation->epilogue == EPILOGUE_BIAS && bias_type != d->type) return NOT_SUPPORTED;
    memset(results, 0, sizeof *results);
    results->algorithm = algorithm_of(operation, a, d);
    for (int i = 0; i < 4; i++) results->algorithm.alignments |= (uint64_t)preference->alignments[i] << 16 * i;
    results->algorithm.workspace = results->workspace = preference->workspace;
    *count = 1;
    return SUCCESS;
}

static double number(const void *start, int type, size_t index) {
    if (type == R_32F) return ((const float *)start)[index];
    uint32_t bits = (uint32_t)((const uint16_t *)start)[index] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void store(void *start, int type, size_t index, float value) {
    if (type == R_32F) {
        ((float *)start)[index] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    ((uint16_t *)start)[index] = (uint16_t)(bits >> 16);
}

/* An element of a matrix, columns one after another. */
static double element(const struct thing *matrix, const void *start, int transposed, size_t row, size_t column) {
    size_t first = transposed ? column : row, second = transposed ? row : column;
    return number(start, matrix->type, second * matrix->step + first);
}

static void multiply(void *data) {
    struct product *product = data;
    const struct thing *a = &product->matrices[0], *b = &product->matrices[1], *c = &product->matrices[2], *d = &product->matrices[3];
    const int32_t *transposed = product->operation.transposed;
    size_t sums = transposed[0] ? a->rows : a->columns;
    for (size_t column = 0; column < d->columns; column++) {
        for (size_t row = 0; row < d->rows; row++) {
            double sum = 0;
            for (size_t i = 0; i < sums; i++)
                sum += element(a, product->from[0], transposed[0], row, i) * element(b, product->from[1], transposed[1], i, column);
            sum *= product->alpha;
            if (product->beta != 0) sum += product->beta * element(c, product->from[2], 0, row, column);
            if (product->operation.epilogue == EPILOGUE_BIAS)
                sum += number((const void *)(uintptr_t)product->operation.bias, product->operation.bias_type, row);
            store(product->to, d->type, column * d->step + row, (float)sum);
        }
    }
    free(product);
}

static int holds(const struct thing *matrix, const void *start) {
    size_t count = (matrix->columns - 1) * matrix->step + matrix->rows;
    return played_memory_holds(start, count * (matrix->type == R_32F ? 4 : 2));
}

int cublasLtMatmul(struct thing *handle, struct thing *operation, const float *alpha, const void *a, struct thing *a_layout,
                   const void *b, struct thing *b_layout, const float *beta, const void *c, struct thing *c_layout, void *d,
                   struct thing *d_layout, const struct algorithm *algorithm, void *workspace, size_t workspace_bytes, void *stream) {
    ENTER();
    CHECK(is(handle, HANDLE) && is(operation, OPERATION) && played_context_is_current() && played_stream_is_there(stream));
    struct thing *layouts[4] = {a_layout, b_layout, c_layout, d_layout};
    const void *starts[4] = {a, b, c, d};
    struct algorithm expected = algorithm_of(operation, a_layout, d_layout);
    expected.alignments = algorithm->alignments;
    expected.workspace = algorithm->workspace;
    CHECK(!memcmp(&expected, algorithm, sizeof expected));
    CHECK(workspace_bytes >= algorithm->workspace && (uintptr_t)workspace % 256 == 0 && played_memory_holds(workspace, workspace_bytes));
    for (int i = 0; i < 4; i++) {
        CHECK(is(layouts[i], LAYOUT) && holds(layouts[i], starts[i]));
        CHECK((uintptr_t)starts[i] % (algorithm->alignments >> 16 * i & 0xffff) == 0);
    }
    /* What is added lies where the result goes, in the same way. */
    CHECK(c == d && c_layout == d_layout);
    if (operation->epilogue == EPILOGUE_BIAS)
        CHECK(played_memory_holds((void *)(uintptr_t)operation->bias, d_layout->rows * (operation->bias_type == R_32F ? 4 : 2)));
    const int32_t *transposed = operation->transposed;
    uint64_t sums = transposed[0] ? a_layout->rows : a_layout->columns;
    CHECK((transposed[0] ? a_layout->columns : a_layout->rows) == d_layout->rows);
    CHECK((transposed[1] ? b_layout->columns : b_layout->rows) == sums);
    CHECK((transposed[1] ? b_layout->rows : b_layout->columns) == d_layout->columns);
    say("multiply %ldx%ldx%ld transposed %d,%d types %d,%d,%d steps %ld,%ld,%ld factors %g,%g epilogue %u bias %d",
        (long)d_layout->rows, (long)d_layout->columns, (long)sums, transposed[0], transposed[1], a_layout->type, b_layout->type,
        d_layout->type, (long)a_layout->step, (long)b_layout->step, (long)d_layout->step, *alpha, *beta, operation->epilogue,
        operation->bias_type);
    struct product *product = calloc(1, sizeof *product);
    product->operation = *operation;
    for (int i = 0; i < 4; i++) product->matrices[i] = *layouts[i];
    for (int i = 0; i < 3; i++) product->from[i] = starts[i];
    product->alpha = *alpha;
    product->beta = *beta;
    product->to = d;
    played_add(multiply, product);
    return SUCCESS;
}
