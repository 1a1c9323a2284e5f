// Attention of single queries to their caches on the CPU, for generation: every key and value is read once, at the rate
// of memory, and summed in float32 whatever type the cache has.
//
// torch's own kernels reach half of that rate in float32 and a third in bfloat16. What one sequence gets does not
// depend, bit for bit, on the sequences beside it.

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

// One head of one sequence: q (D) scaled; keys, values (length, D); scores: room for length rounded up to kLanes.
template <int D, typename T>
void attend_head(const float* q, const T* keys, const T* values, int64_t length, float* scores, float* sums) {
    constexpr int kParts = D / kLanes;
    const int64_t padded = (length + kLanes - 1) / kLanes * kLanes;
    Lanes query[kParts], largest = Lanes{} - INFINITY;
    for (int j = 0; j < kParts; j++) query[j] = load(q + j * kLanes);
    for (int64_t s = 0; s < padded; s += kLanes) {
        Lanes products[kLanes];
        for (int i = 0; i < kLanes; i++) {
            // Beyond the end the last key is read again; what comes of it is put aside below.
            const T* key = keys + (s + i < length ? s + i : length - 1) * D;
            products[i] = query[0] * load(key);
            for (int j = 1; j < kParts; j++) products[i] += query[j] * load(key + j * kLanes);
        }
        const Lanes sums = sums_of(products);
        largest = sums > largest ? sums : largest;
        std::memcpy(scores + s, &sums, sizeof sums);
    }
    float top = -INFINITY;
    for (int i = 0; i < kLanes; i++) top = largest[i] > top ? largest[i] : top;
    for (int64_t s = length; s < padded; s++) scores[s] = -INFINITY;
    Lanes totals = {};
    for (int64_t s = 0; s < padded; s += kLanes) {
        const Lanes weights = exp_negative(load(scores + s) - top);
        std::memcpy(scores + s, &weights, sizeof weights);
        totals += weights;
    }
    float total = 0;
    for (int64_t s = length; s < padded; s++) totals[s % kLanes] -= scores[s];  // exp(-87) each
    for (int i = 0; i < kLanes; i++) total += totals[i];
    Lanes out[kParts] = {};
    for (int64_t s = 0; s < length; s++)
        for (int j = 0; j < kParts; j++) out[j] += scores[s] * load(values + s * D + j * kLanes);
    for (int j = 0; j < kParts; j++) {
        const Lanes mean = out[j] / total;
        std::memcpy(sums + j * kLanes, &mean, sizeof mean);
    }
}

struct Shape {
    int64_t rows, heads, dim, capacity, stride;  // of q, k, v and out, from one row to the next
    float scale;
    int32_t threads;
};

template <int D, typename X, typename T>
void attend_rows(const Shape& shape, const X* q, const X* k, const X* v, T* keys, T* values, const int64_t* slots,
                 const int64_t* lengths, X* out) {
    int64_t longest = 0;
    for (int64_t b = 0; b < shape.rows; b++) longest = lengths[b] > longest ? lengths[b] : longest;
#pragma omp parallel num_threads(shape.threads) if (shape.threads > 1)
    {
        std::vector<float> scores(longest + 1 + kLanes);
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
            attend_head<D>(query, keys + at, values + at, lengths[b] + 1, scores.data(), sums);
            for (int d = 0; d < D; d++) put(out + job * D + d, sums[d]);
        }
    }
}

template <typename X, typename T>
int attend(const Shape& shape, const X* q, const X* k, const X* v, T* keys, T* values, const int64_t* slots,
           const int64_t* lengths, X* out) {
    switch (shape.dim) {
#define CASE(D) \
    case D: attend_rows<D>(shape, q, k, v, keys, values, slots, lengths, out); return 0
        CASE(16);
        CASE(32);
        CASE(48);
        CASE(64);
        CASE(80);
        CASE(96);
        CASE(112);
        CASE(128);
#undef CASE
        default: return 1;
    }
}

}  // namespace

// Writes k and v (rows, heads, dim) behind each row's cache, and attends to all of it with q, likewise, -> out.
//   q, k, v: rows `stride` apart; out: (rows, heads * dim), contiguous.
//   keys, values: (slots, heads, capacity, dim); slots, lengths: (rows), lengths without the new position.
// Returns 1 for a head dimension that is not compiled.
#define ATTEND(NAME, X, T)                                                                                        \
    extern "C" int NAME(int64_t rows, int64_t heads, int64_t dim, int64_t capacity, int64_t stride, float scale,  \
                        int32_t threads, const X* q, const X* k, const X* v, T* keys, T* values,                  \
                        const int64_t* slots, const int64_t* lengths, X* out) {                                   \
        return attend({rows, heads, dim, capacity, stride, scale, threads}, q, k, v, keys, values, slots, lengths, \
                      out);                                                                                       \
    }
ATTEND(attend_float32_float32, float, float)
ATTEND(attend_float32_float16, float, Float16)
ATTEND(attend_float32_bfloat16, float, BFloat16)
ATTEND(attend_bfloat16_bfloat16, BFloat16, BFloat16)
