// Attention of single queries to their caches on the CPU, for generation: every key and value is read once, at the rate
// of memory, and summed in float32 whatever type the cache has.
//
// torch's own kernels reach half of that rate in float32 and a third in bfloat16. What one sequence gets does not
// depend, bit for bit, on the sequences beside it.
#pragma once

#include "vec_math.hpp"

namespace edgerunner {

// One head of one sequence: q (D) scaled; keys, values (length, D); scores has room for length rounded up to sixteen.
// Values are prefetched while keys are read, and the keys at `next`, which are likely read after these, with the values.
template <int D, typename T>
void attend_head(const float* q, const T* keys, const T* values, const T* next, int64_t length, float* scores,
                 float* sums) {
    constexpr int parts = D / lanes;
    const int64_t padded = (length + lanes - 1) / lanes * lanes;
    products(q, keys, length, D, scores, values);
    for (int64_t s = length; s < padded; s++) scores[s] = -INFINITY;
    Vec16f largest = Vec16f{} - INFINITY;
    for (int64_t s = 0; s < padded; s += lanes) largest = load(scores + s) > largest ? load(scores + s) : largest;
    float top = -INFINITY;
    for (int i = 0; i < lanes; i++) top = largest[i] > top ? largest[i] : top;
    Vec16f totals = {};
    for (int64_t s = 0; s < padded; s += lanes) {
        const Vec16f weights = exp_negative(load(scores + s) - top);
        std::memcpy(scores + s, &weights, sizeof weights);
        totals += weights;
    }
    float total = 0;
    for (int64_t s = length; s < padded; s++) totals[s % lanes] -= scores[s];  // exp(-87) each
    for (int i = 0; i < lanes; i++) total += totals[i];
    Vec16f out[parts] = {};
    for (int64_t s = 0; s < length; s++) {
        prefetch(next + s * D, D);
        for (int j = 0; j < parts; j++) out[j] += scores[s] * load(values + s * D + j * lanes);
    }
    for (int j = 0; j < parts; j++) {
        const Vec16f mean = out[j] / total;
        std::memcpy(sums + j * lanes, &mean, sizeof mean);
    }
}

struct AttentionShape {
    int64_t rows, heads, dim, capacity, stride;  // of q, k, v and out, from one row to the next
    float scale;
    int32_t threads;
};

template <int D, typename X, typename T>
void attend_rows(const AttentionShape& shape, const X* q, const X* k, const X* v, T* keys, T* values, const int64_t* slots,
                 const int64_t* lengths, X* out) {
    int64_t longest = 0;
    for (int64_t b = 0; b < shape.rows; b++) longest = lengths[b] > longest ? lengths[b] : longest;
#pragma omp parallel num_threads(shape.threads) if (shape.threads > 1)
    {
        std::vector<float> scores(longest + 1 + lanes);
        float query[D], sums[D];
#pragma omp for schedule(static)
        for (int64_t job = 0; job < shape.rows * shape.heads; job++) {
            const int64_t b = job / shape.heads, h = job % shape.heads;
            const int64_t from = b * shape.stride + h * D, at = (slots[b] * shape.heads + h) * shape.capacity * D;
            for (int d = 0; d < D; d++) {
                query[d] = to_float(q[from + d]) * shape.scale;
                put(keys + at + lengths[b] * D + d, to_float(k[from + d]));
                put(values + at + lengths[b] * D + d, to_float(v[from + d]));
            }
            const T* next = keys + at + shape.capacity * D;
            attend_head<D>(query, keys + at, values + at, next, lengths[b] + 1, scores.data(), sums);
            for (int d = 0; d < D; d++) put(out + job * D + d, sums[d]);
        }
    }
}

// Writes keys and values as attend_rows does, and attends to nothing.
template <typename X, typename T>
void write_rows(const AttentionShape& shape, const X* k, const X* v, T* keys, T* values, const int64_t* slots,
                const int64_t* lengths) {
    for (int64_t b = 0; b < shape.rows; b++)
        for (int64_t h = 0; h < shape.heads; h++) {
            const int64_t from = b * shape.stride + h * shape.dim;
            const int64_t at = ((slots[b] * shape.heads + h) * shape.capacity + lengths[b]) * shape.dim;
            for (int64_t i = 0; i < shape.dim; i++) {
                put(keys + at + i, to_float(k[from + i]));
                put(values + at + i, to_float(v[from + i]));
            }
        }
}

template <typename X, typename T>
int attend(const AttentionShape& shape, const X* q, const X* k, const X* v, T* keys, T* values, const int64_t* slots,
           const int64_t* lengths, X* out) {
    switch (shape.dim) {
#define CASE(D)                                                            \
    case D:                                                                \
        attend_rows<D>(shape, q, k, v, keys, values, slots, lengths, out); \
        return 0
        CASE(16);
        CASE(32);
        CASE(48);
        CASE(64);
        CASE(80);
        CASE(96);
        CASE(112);
        CASE(128);
#undef CASE
        default:
            return 1;
    }
}

}  // namespace edgerunner
