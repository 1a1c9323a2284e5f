// Vectors of sixteen float32 lanes, whatever the processor makes of them, and loads from every type of cache and weight.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr int kLanes = 16;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t Index __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Bits __attribute__((vector_size(4 * kLanes)));
typedef uint16_t HalfBits __attribute__((vector_size(2 * kLanes)));

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

inline Lanes load(const float* from) {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}
inline Lanes load(const BFloat16* from) {
    HalfBits half;
    std::memcpy(&half, from, sizeof half);
    return (Lanes)(__builtin_convertvector(half, Bits) << 16);
}
inline Lanes load(const Float16* from) {
#ifdef __AVX512F__
    return (Lanes)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#else
    Lanes lanes;
    for (int i = 0; i < kLanes; i++) lanes[i] = float(from[i]);
    return lanes;
#endif
}

// Sums of two vectors' lanes, folded by halves: after four rounds lane i of the last holds the sum of vector i.
template <int Half>
inline Lanes fold(Lanes a, Lanes b) {
    Index low, high;
    for (int i = 0; i < kLanes; i++) {
        const int from = (i & Half) ? kLanes : 0;
        low[i] = from + (i & ~Half);
        high[i] = from + (i | Half);
    }
    return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

inline Lanes sums_of(Lanes (&x)[kLanes]) {
    for (int i = 0; i < kLanes; i += 2) x[i] = fold<1>(x[i], x[i + 1]);
    for (int i = 0; i < kLanes; i += 4) x[i] = fold<2>(x[i], x[i + 2]);
    for (int i = 0; i < kLanes; i += 8) x[i] = fold<4>(x[i], x[i + 4]);
    return fold<8>(x[0], x[8]);
}

// exp(x) for x <= 0 to float32's rounding: 2^n times a polynomial.
inline Lanes exp_negative(Lanes x) {
    x = x < -87.0f ? Lanes{} - 87.0f : x;
    const Index n = __builtin_convertvector(x * 1.44269504088896341f - 0.5f, Index);  // towards zero: to nearest here
    const Lanes whole = __builtin_convertvector(n, Lanes);
    const Lanes r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    Lanes p = Lanes{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * (Lanes)((n + 127) << 23);
}

// Asks for count values that are read soon; the address may lie beyond what there is.
template <typename T>
inline void prefetch(const T* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + i, 0, 2);
}

// to[i] = sum over c of x[c] * rows[i][c], for count rows of length size (a multiple of kLanes), which lie one after
// another; `to` has room for count rounded up to kLanes. What is written beyond count means nothing. As much is asked
// for of `soon`, if it is given.
template <typename T>
inline void products(const float* x, const T* rows, int64_t count, int64_t size, float* to, const T* soon = nullptr) {
    for (int64_t first = 0; first < count; first += kLanes) {
        const T* row[kLanes];
        for (int i = 0; i < kLanes; i++) row[i] = rows + (first + i < count ? first + i : count - 1) * size;
        if (soon) prefetch(soon + first * size, kLanes * size);
        Lanes sums[kLanes] = {};
        for (int64_t c = 0; c < size; c += kLanes) {
            const Lanes part = load(x + c);
            for (int i = 0; i < kLanes; i++) sums[i] += part * load(row[i] + c);
        }
        const Lanes folded = sums_of(sums);
        std::memcpy(to + first, &folded, sizeof folded);
    }
}

}  // namespace
