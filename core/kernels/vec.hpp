// Vectors of sixteen float32 lanes, loads from every type of cache, and products of a vector with rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace edgerunner {

constexpr int lanes = 16;
typedef float Vec16f __attribute__((vector_size(4 * lanes)));
typedef int32_t Vec16i __attribute__((vector_size(4 * lanes)));
typedef uint32_t Vec16u __attribute__((vector_size(4 * lanes)));
typedef uint16_t Vec16h __attribute__((vector_size(2 * lanes)));

struct BFloat16 {
    uint16_t bits;
};
typedef _Float16 Float16;

inline float to_float(float x) { return x; }
inline float to_float(Float16 x) { return float(x); }
inline float to_float(BFloat16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline void put(float* to, float x) { *to = x; }
inline void put(Float16* to, float x) { *to = Float16(x); }
inline void put(BFloat16* to, float x) {  // to nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    to->bits = x == x ? uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : uint16_t(0x7fc0);
}

inline Vec16f load(const float* from) {
    Vec16f x;
    std::memcpy(&x, from, sizeof x);
    return x;
}
inline Vec16f load(const BFloat16* from) {
    Vec16h half;
    std::memcpy(&half, from, sizeof half);
    return (Vec16f)(__builtin_convertvector(half, Vec16u) << 16);
}
inline Vec16f load(const Float16* from) {
#ifdef __AVX512F__
    return (Vec16f)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#else
    Vec16f x;
    for (int i = 0; i < lanes; i++) x[i] = float(from[i]);
    return x;
#endif
}

// Sums of two vectors' lanes, folded by halves: after four rounds lane i of the last holds the sum of vector i.
template <int Half> inline Vec16f fold(Vec16f a, Vec16f b) {
    Vec16i low, high;
    for (int i = 0; i < lanes; i++) {
        const int from = (i & Half) ? lanes : 0;
        low[i] = from + (i & ~Half);
        high[i] = from + (i | Half);
    }
    return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

// The sum of each of sixteen vectors, in that order; they are overwritten.
inline Vec16f sum_each(Vec16f (&x)[lanes]) {
    for (int i = 0; i < lanes; i += 2) x[i] = fold<1>(x[i], x[i + 1]);
    for (int i = 0; i < lanes; i += 4) x[i] = fold<2>(x[i], x[i + 2]);
    for (int i = 0; i < lanes; i += 8) x[i] = fold<4>(x[i], x[i + 4]);
    return fold<8>(x[0], x[8]);
}

inline void store(float* to, Vec16f x) { std::memcpy(to, &x, sizeof x); }
// size rounded up to whole vectors
inline int64_t rounded(int64_t size) { return (size + lanes - 1) / lanes * lanes; }

// Prefetches count values; the address may lie beyond the array.
template <typename T> inline void prefetch(const T* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + i, 0, 2);
}

// to[i] = sum over c of x[c] * rows[i][c], for count contiguous rows of length size (a multiple of sixteen). `to` has room
// for count rounded up to sixteen; values beyond count are undefined. If given, `soon` is prefetched alongside.
template <typename T>
inline void products(const float* x, const T* rows, int64_t count, int64_t size, float* to, const T* soon = nullptr) {
    for (int64_t first = 0; first < count; first += lanes) {
        const T* row[lanes];
        for (int i = 0; i < lanes; i++) row[i] = rows + (first + i < count ? first + i : count - 1) * size;
        if (soon) prefetch(soon + first * size, lanes * size);
        Vec16f sums[lanes] = {};
        for (int64_t c = 0; c < size; c += lanes) {
            const Vec16f part = load(x + c);
            for (int i = 0; i < lanes; i++) sums[i] += part * load(row[i] + c);
        }
        const Vec16f folded = sum_each(sums);
        std::memcpy(to + first, &folded, sizeof folded);
    }
}

// x = function(x), a vector at a time; size is a multiple of sixteen.
template <typename Function> void for_each_vec(float* x, int64_t size, Function function) {
    for (int64_t i = 0; i < size; i += lanes) store(x + i, function(load(x + i)));
}

}  // namespace edgerunner
