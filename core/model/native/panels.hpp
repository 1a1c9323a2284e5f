// Products with weights laid out in panels of sixteen outputs: they are read front to back, whatever the number of rows,
// and nothing is summed across lanes. A row comes out the same, bit for bit, whatever rows are beside it.
#pragma once

#include "lanes.hpp"

// x -> x weight^T + bias. panels: (out / 16 rounded up, in, 16), zeros beyond the last output; bias likewise, or null.
struct Linear {
    const float *panels, *bias;
    int64_t in, out;
};

namespace {

// Rows and panels that are computed side by side: as many sums as there are registers for.
#ifdef __AVX512F__
constexpr int kBlockRows = 8, kBlockPanels = 3;
#else
constexpr int kBlockRows = 4, kBlockPanels = 1;
#endif
constexpr int kRowPanels = 8;  // of a single row, so that no sum waits for the one before

inline void store(float* to, Lanes x) { std::memcpy(to, &x, sizeof x); }
inline int64_t rounded(int64_t size) { return (size + kLanes - 1) / kLanes * kLanes; }

template <int R, int P>
void block(const Linear& linear, int64_t panel, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    const float* weights = linear.panels + panel * linear.in * kLanes;
    Lanes sums[R][P];
    for (int p = 0; p < P; p++) {
        const Lanes bias = linear.bias ? load(linear.bias + (panel + p) * kLanes) : Lanes{};
        for (int r = 0; r < R; r++) sums[r][p] = bias;
    }
    for (int64_t c = 0; c < linear.in; c++) {
        Lanes w[P];
        for (int p = 0; p < P; p++) {
            w[p] = load(weights + (p * linear.in + c) * kLanes);
            if (R > 1) __builtin_prefetch(weights + ((P + p) * linear.in + c) * kLanes, 0, 2);
        }
        for (int r = 0; r < R; r++)
            for (int p = 0; p < P; p++) sums[r][p] += x[r * x_stride + c] * w[p];
    }
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) store(y + r * y_stride + (panel + p) * kLanes, sums[r][p]);
}

template <int P>
void panels_of_rows(const Linear& linear, int64_t panel, int64_t rows, const float* x, int64_t x_stride, float* y,
                    int64_t y_stride) {
    int64_t b = 0;
    for (; b + kBlockRows <= rows; b += kBlockRows)
        block<kBlockRows, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    for (; b + 2 <= rows; b += 2) block<2, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    if (b < rows) block<1, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
}

// y (rows, out rounded up to sixteen) of x (rows, in), their rows `stride`s apart.
inline void apply(const Linear& linear, int64_t rows, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    const int64_t panels = rounded(linear.out) / kLanes;
    int64_t panel = 0;
    if (rows == 1)
        for (; panel + kRowPanels <= panels; panel += kRowPanels)
            block<1, kRowPanels>(linear, panel, x, x_stride, y, y_stride);
    for (; panel + kBlockPanels <= panels; panel += kBlockPanels)
        panels_of_rows<kBlockPanels>(linear, panel, rows, x, x_stride, y, y_stride);
    for (; panel < panels; panel++) panels_of_rows<1>(linear, panel, rows, x, x_stride, y, y_stride);
}

// ---- functions of lanes -----------------------------------------------------------------------------------------------

inline Lanes absolute(Lanes x) { return (Lanes)((Bits)x & 0x7fffffffu); }
inline Lanes choose(Index which, Lanes a, Lanes b) { return which ? a : b; }

// x / 2 (1 + erf(x / sqrt 2)), its error function by Abramowitz and Stegun's 7.1.26: to 1.5e-7.
inline Lanes gelu(Lanes x) {
    const Lanes z = absolute(x) * 0.707106781f, t = 1.0f / (1.0f + 0.3275911f * z);
    Lanes p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Lanes rest = 0.5f * p * t * exp_negative(-z * z);  // of the normal distribution, beyond |x|
    return x * choose(x < 0, rest, 1.0f - rest);
}

// x / (1 + exp(-x))
inline Lanes silu(Lanes x) {
    const Lanes e = exp_negative(-absolute(x));
    return x * choose(x < 0, e, Lanes{} + 1.0f) / (1.0f + e);
}

// log(x) of normal numbers: the exponent, and a polynomial of the mantissa between sqrt(1/2) and sqrt 2 (Cephes' logf).
inline Lanes log_of(Lanes x) {
    Index exponent = (Index)(((Bits)x >> 23)) - 126;
    Lanes m = (Lanes)(((Bits)x & 0x007fffffu) | 0x3f000000u);  // in [0.5, 1)
    const Index low = m < 0.707106781f;
    exponent += low;  // -1 where true
    m = choose(low, m + m, m) - 1.0f;
    const Lanes square = m * m, e = __builtin_convertvector(exponent, Lanes);
    Lanes p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const Lanes y = p * m * square + e * -2.12194440e-4f - 0.5f * square;
    return m + y + e * 0.693359375f;
}

// log(1 + x) of x >= 0, with what the sum rounds away.
inline Lanes log1p_of(Lanes x) {
    const Lanes sum = 1.0f + x;
    return log_of(sum) + (x - (sum - 1.0f)) / sum;
}

// The sine and the cosine of pi * x: x less the nearest whole number, then their series.
inline void sine_and_cosine(Lanes x, Lanes& sine, Lanes& cosine) {
    const Index whole = __builtin_convertvector(x + choose(x < 0, Lanes{} - 0.5f, Lanes{} + 0.5f), Index);
    const Lanes r = (x - __builtin_convertvector(whole, Lanes)) * 3.14159265359f, square = r * r;  // |r| <= pi / 2
    Lanes s = square * 1.6059044e-10f - 2.5052108e-8f;
    s = s * square + 2.7557319e-6f;
    s = s * square - 1.9841270e-4f;
    s = s * square + 8.3333333e-3f;
    s = s * square - 1.6666667e-1f;
    s = s * square * r + r;
    Lanes c = square * 2.0876757e-9f - 2.7557319e-7f;
    c = c * square + 2.4801587e-5f;
    c = c * square - 1.3888889e-3f;
    c = c * square + 4.1666667e-2f;
    c = c * square - 0.5f;
    c = c * square + 1.0f;
    const Bits sign = (Bits)whole << 31;  // both change theirs with every odd number
    sine = (Lanes)((Bits)s ^ sign);
    cosine = (Lanes)((Bits)c ^ sign);
}

template <typename Function>
void for_lanes(float* x, int64_t size, Function function) {  // size: a multiple of sixteen
    for (int64_t i = 0; i < size; i += kLanes) store(x + i, function(load(x + i)));
}

}  // namespace
