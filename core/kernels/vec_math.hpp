// Elementary functions of sixteen lanes, to float32's rounding or what their comments say.
#pragma once

#include "vec.hpp"

namespace edgerunner {

// exp(x) for x <= 0 to float32's rounding: 2^n times a polynomial.
inline Vec16f exp_negative(Vec16f x) {
    x = x < -87.0f ? Vec16f{} - 87.0f : x;
    const Vec16i n = __builtin_convertvector(x * 1.44269504088896341f - 0.5f, Vec16i);  // towards zero: to nearest here
    const Vec16f whole = __builtin_convertvector(n, Vec16f);
    const Vec16f r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    Vec16f p = Vec16f{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * (Vec16f)((n + 127) << 23);
}

inline Vec16f abs(Vec16f x) { return (Vec16f)((Vec16u)x & 0x7fffffffu); }
inline Vec16f select(Vec16i which, Vec16f a, Vec16f b) { return which ? a : b; }

// x / 2 (1 + erf(x / sqrt 2)), its error function by Abramowitz and Stegun's 7.1.26: to 1.5e-7.
inline Vec16f gelu(Vec16f x) {
    const Vec16f z = abs(x) * 0.707106781f, t = 1.0f / (1.0f + 0.3275911f * z);
    Vec16f p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vec16f rest = 0.5f * p * t * exp_negative(-z * z);  // of the normal distribution, beyond |x|
    return x * select(x < 0, rest, 1.0f - rest);
}

// x / (1 + exp(-x))
inline Vec16f silu(Vec16f x) {
    const Vec16f e = exp_negative(-abs(x));
    return x * select(x < 0, e, Vec16f{} + 1.0f) / (1.0f + e);
}

// log(x) of normal numbers: the exponent, and a polynomial of the mantissa between sqrt(1/2) and sqrt 2 (Cephes' logf).
inline Vec16f log(Vec16f x) {
    Vec16i exponent = (Vec16i)(((Vec16u)x >> 23)) - 126;
    Vec16f m = (Vec16f)(((Vec16u)x & 0x007fffffu) | 0x3f000000u);  // in [0.5, 1)
    const Vec16i low = m < 0.707106781f;
    exponent += low;  // -1 where true
    m = select(low, m + m, m) - 1.0f;
    const Vec16f square = m * m, e = __builtin_convertvector(exponent, Vec16f);
    Vec16f p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const Vec16f y = p * m * square + e * -2.12194440e-4f - 0.5f * square;
    return m + y + e * 0.693359375f;
}

// log(1 + x) of x >= 0, with what the sum rounds away.
inline Vec16f log1p(Vec16f x) {
    const Vec16f sum = 1.0f + x;
    return log(sum) + (x - (sum - 1.0f)) / sum;
}

// The sine and the cosine of pi * x: x less the nearest whole number, then their series.
inline void sin_cos_pi(Vec16f x, Vec16f& sine, Vec16f& cosine) {
    const Vec16i whole = __builtin_convertvector(x + select(x < 0, Vec16f{} - 0.5f, Vec16f{} + 0.5f), Vec16i);
    const Vec16f r = (x - __builtin_convertvector(whole, Vec16f)) * 3.14159265359f, square = r * r;  // |r| <= pi / 2
    Vec16f s = square * 1.6059044e-10f - 2.5052108e-8f;
    s = s * square + 2.7557319e-6f;
    s = s * square - 1.9841270e-4f;
    s = s * square + 8.3333333e-3f;
    s = s * square - 1.6666667e-1f;
    s = s * square * r + r;
    Vec16f c = square * 2.0876757e-9f - 2.7557319e-7f;
    c = c * square + 2.4801587e-5f;
    c = c * square - 1.3888889e-3f;
    c = c * square + 4.1666667e-2f;
    c = c * square - 0.5f;
    c = c * square + 1.0f;
    const Vec16u sign = (Vec16u)whole << 31;  // both change theirs with every odd number
    sine = (Vec16f)((Vec16u)s ^ sign);
    cosine = (Vec16f)((Vec16u)c ^ sign);
}

}  // namespace edgerunner
