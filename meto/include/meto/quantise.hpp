// Coordinates in [-1, 1] to integers in [0, bins) and back, three to a 64-bit word.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace meto {

// A quantised vertex, packed as y, z, x from high to low with 21 bits each: comparing two words compares vertices in
// y-z-x order, and the sum of three words is the packed sum (3 * 65535 fits in 18 bits, so nothing carries).
using Packed = std::uint64_t;

constexpr int field_bits = 21;
constexpr std::uint32_t field_mask = (1u << field_bits) - 1;
// Added to a difference so that no field borrows; every field then holds its value plus `field_bias`.
constexpr int field_bias = 1 << (field_bits - 1);
constexpr Packed packed_bias =
    (Packed(field_bias) << (2 * field_bits)) | (Packed(field_bias) << field_bits) | Packed(field_bias);

inline Packed pack(std::uint32_t x, std::uint32_t y, std::uint32_t z) {
    return (Packed(y) << (2 * field_bits)) | (Packed(z) << field_bits) | x;
}
inline int unpack_x(Packed p) { return static_cast<int>(p & field_mask); }
inline int unpack_y(Packed p) { return static_cast<int>(p >> (2 * field_bits)); }
inline int unpack_z(Packed p) { return static_cast<int>((p >> field_bits) & field_mask); }

// How far beyond [-1, 1] a coordinate may be and still count as rounding.
constexpr float range_slack = 1e-5f;

inline bool in_range(float x) { return x >= -1.0f - range_slack && x <= 1.0f + range_slack; }

inline std::uint32_t quantise(float x, float half_bins, int bins) {
    int q = static_cast<int>((x + 1.0f) * half_bins);
    q = q < bins - 1 ? q : bins - 1;
    return static_cast<std::uint32_t>(q > 0 ? q : 0);
}

inline float dequantise(int q, float bins) { return (static_cast<float>(q) + 0.5f) / bins * 2.0f - 1.0f; }

[[noreturn]] inline void throw_bad_vertex(const float *xyz, std::size_t count) {
    std::size_t i = 0;
    while (i + 1 < 3 * count && in_range(xyz[i])) ++i;
    throw std::invalid_argument("vertex " + std::to_string(i / 3) + " has " + "xyz"[i % 3] + " = " +
                                std::to_string(xyz[i]) +
                                "; coordinates must be finite and in [-1, 1] (normalize_mesh scales a mesh)");
}

// Quantises `count` vertices (x, y, z each). Throws std::invalid_argument naming the first bad one.
inline void quantise_vertices(const float *xyz, std::size_t count, int bins, Packed *out) {
    const float half_bins = 0.5f * static_cast<float>(bins);
    bool good = true;
    for (std::size_t i = 0; i < count; ++i) {
        const float x = xyz[3 * i], y = xyz[3 * i + 1], z = xyz[3 * i + 2];
        const bool ok = in_range(x) & in_range(y) & in_range(z);
        good &= ok;
        if (ok) out[i] = pack(quantise(x, half_bins, bins), quantise(y, half_bins, bins), quantise(z, half_bins, bins));
    }
    if (!good) throw_bad_vertex(xyz, count);
}

}  // namespace meto
