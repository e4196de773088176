// From logits to tokens: penalties, temperature, top-k, top-p, min-p, and a draw keyed by seed, sequence and position.
//
// All filters keep the first tokens in the order of descending logits (ties by number), and the draw goes through that order as well. Nothing is
// sorted: tokens are counted and weighed by their distance from the best, then by the bytes of their logits, until the one that is
// looked for is found. Weights are integers, so that sums do not depend on the order in which threads add.
#include "common.cuh"

// Where a row's token cannot be drawn because a logit is not finite.
constexpr u32 NO_TOKEN = 0xffffffffu;

struct PenaltyArguments {
    // `[rows, vocabulary]`.
    float* logits;
    // `[count, 2]`: row and token; no pair twice.
    const u32* places;
    // `[count, 2]`: what a positive logit is divided by, a negative one multiplied; then what is subtracted.
    const float* amounts;
    u32 vocabulary;
    u32 count;
};

constexpr u32 PENALTY_THREADS = 256;

KERNEL(penalise, PENALTY_THREADS, PenaltyArguments) {
    constexpr float GREATEST = 3.4028234663852886e38f;
    const u32 index = block_x() * PENALTY_THREADS + thread_index();
    if (index >= arguments.count) {
        return;
    }
    float* logit = arguments.logits + u64(arguments.places[2 * index]) * arguments.vocabulary + arguments.places[2 * index + 1];
    const float factor = arguments.amounts[2 * index];
    float value = *logit;
    // What is no number must stay so, to be found.
    if (value - value == 0) {
        value = lesser(greater(value > 0 ? value / factor : value * factor, -GREATEST), GREATEST);
        value = lesser(greater(value - arguments.amounts[2 * index + 1], -GREATEST), GREATEST);
    }
    *logit = value;
}

struct SampleRow {
    u64 seed;
    u64 sequence;
    u64 position;
    // 0 takes the most likely token.
    float temperature;
    float top_p;
    float min_p;
    // 0 considers all.
    u32 top_k;
};

struct SampleArguments {
    // `[rows, vocabulary]`.
    const float* logits;
    const SampleRow* rows;
    // `[rows]`.
    u32* tokens;
    // `[rows]`: the logarithms of the tokens' probabilities by the logits as they are; or null.
    float* logprobs;
    u32 vocabulary;
    u32 unused;
};

constexpr u32 SAMPLE_WARPS = 16;
constexpr u32 SAMPLE_THREADS = SAMPLE_WARPS * WARP;
constexpr u32 CLASSES = 256;
// Tokens that are further below the best share the last class.
constexpr float CLASSIFIED_NATS = 64.0f;
// The best token's weight.
constexpr float UNIT = 1099511627776.0f;

// The first tokens in order: how many, and what they weigh together.
struct Prefix {
    u64 tokens;
    u64 mass;
};

enum Until : u32 { COUNT_REACHED, MASS_REACHED, MASS_PASSED };

struct Counts {
    u32 tokens[CLASSES];
    u64 mass[CLASSES];
};

struct SampleShared {
    Counts classes, bytes;
    float sums[SAMPLE_WARPS];
    float bests[SAMPLE_WARPS];
    float leasts[SAMPLE_WARPS];
    u32 best_tokens[SAMPLE_WARPS];
    u32 ties[SAMPLE_THREADS];
    // What one thread finds for all.
    Prefix before;
    u32 bin;
    u32 broken;
    u32 token;
};

// What all threads know of a row.
struct Row {
    const float* logits;
    u32 vocabulary;
    float best, least;
    u32 best_token;
    float per_temperature;
    float classes_per_nat;
};

// A number in [0, 1), from the first words of Philox-4x32 with ten rounds (Salmon et al., SC 2011).
DEVICE double uniform(const SampleRow& row) {
    u32 a = u32(row.position), b = u32(row.position >> 32), c = u32(row.sequence), d = u32(row.sequence >> 32);
    u32 left = u32(row.seed), right = u32(row.seed >> 32);
#pragma unroll 1
    for (int round = 0; round < 10; round++) {
        const u64 first = u64(a) * 0xd2511f53u, second = u64(c) * 0xcd9e8d57u;
        a = u32(second >> 32) ^ b ^ left;
        b = u32(second);
        c = u32(first >> 32) ^ d ^ right;
        d = u32(first);
        left += 0x9e3779b9u;
        right += 0xbb67ae85u;
    }
    return double((u64(b) << 32 | a) >> 11) * (1.0 / 9007199254740992.0);
}

// Numbers whose order is the descending one of logits.
DEVICE u32 key_of(float logit) {
    const u32 bits = float_bits(logit);
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

DEVICE u32 class_of(const Row& row, float logit) {
    const float place = (row.best - logit) * row.per_temperature * row.classes_per_nat;
    return u32(lesser(place, float(CLASSES - 1)));
}

DEVICE u64 weight_of(const Row& row, float logit) {
    return u64(exp2_fast((logit - row.best) * row.per_temperature * LOG2_E) * UNIT);
}

// Finds the greatest and the least logit; false when one is not finite.
DEVICE bool find_extremes(Row& row, SampleShared& shared) {
    float best = -INFINITE, least = INFINITE;
    u32 token = NO_TOKEN;
    bool broken = false;
    if (thread_index() == 0) {
        shared.broken = 0;
    }
    sync_block();
    for (u32 at = thread_index(); at < row.vocabulary; at += SAMPLE_THREADS) {
        const float logit = row.logits[at];
        broken |= !(logit - logit == 0);
        if (logit > best) {
            best = logit;
            token = at;
        }
        least = lesser(least, logit);
    }
    if (broken) {
        atomic_add(&shared.broken, 1u);
    }
    for (u32 distance = WARP / 2; distance > 0; distance /= 2) {
        const u32 other_lane = thread_index() % WARP ^ distance;
        const float other = bits_float(shuffle_bits(float_bits(best), other_lane));
        const u32 other_token = shuffle_bits(token, other_lane);
        if (other > best || (other == best && other_token < token)) {
            best = other;
            token = other_token;
        }
    }
    least = -warp_greatest(-least);
    if (thread_index() % WARP == 0) {
        shared.bests[thread_index() / WARP] = best;
        shared.best_tokens[thread_index() / WARP] = token;
        shared.leasts[thread_index() / WARP] = least;
    }
    sync_block();
    row.best = shared.bests[0];
    row.best_token = shared.best_tokens[0];
    row.least = shared.leasts[0];
    for (u32 warp = 1; warp < SAMPLE_WARPS; warp++) {
        const float other = shared.bests[warp];
        if (other > row.best || (other == row.best && shared.best_tokens[warp] < row.best_token)) {
            row.best = other;
            row.best_token = shared.best_tokens[warp];
        }
        row.least = lesser(row.least, shared.leasts[warp]);
    }
    return shared.broken == 0;
}

DEVICE void clear(Counts& counts) {
    sync_block();
    for (u32 bin = thread_index(); bin < CLASSES; bin += SAMPLE_THREADS) {
        counts.tokens[bin] = 0;
        counts.mass[bin] = 0;
    }
    sync_block();
}

DEVICE void count(Counts& counts, u32 bin, u64 weight) {
    atomic_add(&counts.tokens[bin], 1u);
    atomic_add(&counts.mass[bin], weight);
}

DEVICE void classify(const Row& row, SampleShared& shared) {
    clear(shared.classes);
    for (u32 at = thread_index(); at < row.vocabulary; at += SAMPLE_THREADS) {
        count(shared.classes, class_of(row, row.logits[at]), weight_of(row, row.logits[at]));
    }
    sync_block();
}

DEVICE bool ends(Prefix prefix, Until until, u64 wanted) {
    return until == COUNT_REACHED ? prefix.tokens >= wanted : until == MASS_REACHED ? prefix.mass >= wanted : prefix.mass > wanted;
}

// Goes through bins from `before` on to the one in which the wanted prefix ends; if there is none, to the last that has tokens.
DEVICE void find_bin(const Counts& counts, Until until, u64 wanted, SampleShared& shared) {
    sync_block();
    if (thread_index() == 0) {
        Prefix before = shared.before, last_before = before;
        u32 bin = 0, last = 0;
#pragma unroll 1
        for (; bin < CLASSES; bin++) {
            const Prefix after = {before.tokens + counts.tokens[bin], before.mass + counts.mass[bin]};
            if (counts.tokens[bin]) {
                last = bin;
                last_before = before;
                if (ends(after, until, wanted)) {
                    break;
                }
            }
            before = after;
        }
        shared.bin = last;
        shared.before = last_before;
    }
    sync_block();
}

// The shortest prefix of at least one token that ends there, or the whole; and the key of its last token.
struct Found {
    Prefix prefix;
    u32 key;
    // How many tokens with that key are in the prefix.
    u32 ties;
};

DEVICE Found find(const Row& row, Until until, u64 wanted, SampleShared& shared) {
    sync_block();
    if (thread_index() == 0) {
        shared.before = {0, 0};
    }
    find_bin(shared.classes, until, wanted, shared);
    const u32 of_class = shared.bin;
    u32 key = 0;
#pragma unroll 1
    for (u32 level = 0; level < 4; level++) {
        const u32 shift = 24 - 8 * level;
        clear(shared.bytes);
        for (u32 at = thread_index(); at < row.vocabulary; at += SAMPLE_THREADS) {
            const float logit = row.logits[at];
            if (class_of(row, logit) == of_class) {
                const u32 its = key_of(logit);
                if (level == 0 || its >> (shift + 8) == key >> (shift + 8)) {
                    count(shared.bytes, its >> shift & 255, weight_of(row, logit));
                }
            }
        }
        find_bin(shared.bytes, until, wanted, shared);
        key |= shared.bin << shift;
    }
    // The tokens of this bin are equal. Those of an empty prefix are none, so at least one is taken.
    const u32 equal = shared.bytes.tokens[shared.bin];
    const u64 weight = shared.bytes.mass[shared.bin] / equal;
    Found found = {shared.before, key, 0};
    do {
        found.prefix.tokens++;
        found.prefix.mass += weight;
        found.ties++;
    } while (found.ties < equal && !ends(found.prefix, until, wanted));
    sync_block();
    return found;
}

// The number of the `ties`-th token with that key.
DEVICE u32 token_of(const Row& row, u32 key, u32 ties, SampleShared& shared) {
    // Each thread looks at tokens side by side, so that threads before it have all the earlier ones.
    const u32 share = (row.vocabulary + SAMPLE_THREADS - 1) / SAMPLE_THREADS, begin = thread_index() * share;
    const u32 end = begin + share < row.vocabulary ? begin + share : row.vocabulary;
    u32 own = 0;
    for (u32 at = begin; at < end; at++) {
        own += key_of(row.logits[at]) == key;
    }
    shared.ties[thread_index()] = own;
    sync_block();
    u32 before = 0;
    if (own) {
        for (u32 thread = 0; thread < thread_index(); thread++) {
            before += shared.ties[thread];
        }
    }
    for (u32 at = begin; at < end && before < ties; at++) {
        before += key_of(row.logits[at]) == key;
        if (before == ties && own && key_of(row.logits[at]) == key) {
            shared.token = at;
        }
    }
    sync_block();
    return shared.token;
}

// The tokens with at least the share `min_p` of the best one's probability.
DEVICE Prefix likely_enough(const Row& row, float min_p, SampleShared& shared) {
    const float least = natural_log(min_p);
    clear(shared.bytes);
    for (u32 at = thread_index(); at < row.vocabulary; at += SAMPLE_THREADS) {
        const float logit = row.logits[at];
        if ((logit - row.best) * row.per_temperature >= least) {
            count(shared.bytes, thread_index() % CLASSES, weight_of(row, logit));
        }
    }
    sync_block();
    Prefix prefix = {0, 0};
#pragma unroll 1
    for (u32 bin = 0; bin < CLASSES; bin++) {
        prefix.tokens += shared.bytes.tokens[bin];
        prefix.mass += shared.bytes.mass[bin];
    }
    sync_block();
    return prefix;
}

DEVICE u32 draw(Row& row, const SampleRow& parameters, SampleShared& shared) {
    row.per_temperature = 1.0f / parameters.temperature;
    const float nats = lesser(greater((row.best - row.least) * row.per_temperature, 1e-30f), CLASSIFIED_NATS);
    row.classes_per_nat = float(CLASSES - 1) / nats;
    classify(row, shared);
    Prefix kept = {row.vocabulary, 0};
#pragma unroll 1
    for (u32 bin = 0; bin < CLASSES; bin++) {
        kept.mass += shared.classes.mass[bin];
    }
    if (parameters.top_k > 0 && parameters.top_k < row.vocabulary) {
        kept = find(row, COUNT_REACHED, parameters.top_k, shared).prefix;
    }
    if (parameters.top_p < 1.0f) {
        const double wanted = double(kept.mass) * parameters.top_p;
        const u64 whole = u64(wanted);
        const Prefix shorter = find(row, MASS_REACHED, whole + (double(whole) < wanted), shared).prefix;
        kept = shorter.tokens < kept.tokens ? shorter : kept;
    }
    if (parameters.min_p > 0) {
        const Prefix shorter = likely_enough(row, parameters.min_p, shared);
        kept = shorter.tokens < kept.tokens ? shorter : kept;
    }
    Found found = find(row, MASS_PASSED, u64(double(kept.mass) * uniform(parameters)), shared);
    if (found.prefix.tokens > kept.tokens) {
        found = find(row, COUNT_REACHED, kept.tokens, shared);
    }
    return token_of(row, found.key, found.ties, shared);
}

// A block a row.
KERNEL(sample, SAMPLE_THREADS, SampleArguments) {
    SHARED_MEMORY(SampleShared, shared);
    const SampleRow parameters = arguments.rows[block_x()];
    Row row = {};
    row.logits = arguments.logits + u64(block_x()) * arguments.vocabulary;
    row.vocabulary = arguments.vocabulary;
    u32 token = NO_TOKEN;
    if (find_extremes(row, shared)) {
        token = parameters.temperature == 0 ? row.best_token : draw(row, parameters, shared);
    }
    float sum = 0;
    for (u32 at = thread_index(); at < row.vocabulary; at += SAMPLE_THREADS) {
        sum += exp2_fast((row.logits[at] - row.best) * LOG2_E);
    }
    sum = block_sum(sum, shared.sums);
    if (thread_index() == 0) {
        arguments.tokens[block_x()] = token;
        if (arguments.logprobs) {
            arguments.logprobs[block_x()] = token == NO_TOKEN ? -INFINITE : row.logits[token] - row.best - natural_log(sum);
        }
    }
}
