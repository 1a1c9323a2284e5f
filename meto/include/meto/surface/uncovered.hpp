// The input points that no face of an unfinished mesh covers yet.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "meto/surface/point.hpp"

namespace meto {

// Squared distance from p to the triangle a, b, c, by the regions of its plane (Ericson 2004, section 5.1.5).
inline float squared_distance(Point p, Point a, Point b, Point c) {
    const auto to = [p](Point q) { return dot(p - q, p - q); };
    const Point ab = b - a, ac = c - a, ap = p - a;
    const float d1 = dot(ab, ap), d2 = dot(ac, ap);
    if (d1 <= 0 && d2 <= 0) return to(a);
    const Point bp = p - b;
    const float d3 = dot(ab, bp), d4 = dot(ac, bp);
    if (d3 >= 0 && d4 <= d3) return to(b);
    const float vc = d1 * d4 - d3 * d2;
    if (vc <= 0 && d1 >= 0 && d3 <= 0) return to(a + (d1 / (d1 - d3)) * ab);
    const Point cp = p - c;
    const float d5 = dot(ab, cp), d6 = dot(ac, cp);
    if (d6 >= 0 && d5 <= d6) return to(c);
    const float vb = d5 * d2 - d1 * d6;
    if (vb <= 0 && d2 >= 0 && d6 <= 0) return to(a + (d2 / (d2 - d6)) * ac);
    const float va = d3 * d6 - d5 * d4;
    if (va <= 0 && d4 >= d3 && d5 >= d6) return to(b + ((d4 - d3) / ((d4 - d3) + (d5 - d6))) * (c - b));
    const float sum = va + vb + vc;
    return sum > 0 ? to(a + (vb / sum) * ab + (vc / sum) * ac) : to(a);
}

// The points that no face has come near to. They are kept in y-z-x order, the order in which sub-meshes begin.
class Uncovered {
  public:
    // points: count rows of x, y, z.
    void set_points(const float *points, std::size_t count) {
        order_.resize(count);
        for (std::size_t i = 0; i < count; ++i) order_[i] = std::int32_t(i);
        const auto key = [points](std::int32_t i, int axis) { return points[3 * std::size_t(i) + std::size_t(axis)]; };
        std::sort(order_.begin(), order_.end(), [&](std::int32_t a, std::int32_t b) {
            for (int axis : {1, 2, 0})
                if (key(a, axis) != key(b, axis)) return key(a, axis) < key(b, axis);
            return a < b;
        });
        total_ = count;
        for (std::vector<float> *axis : {&x_, &y_, &z_}) axis->resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            const float *at = points + 3 * std::size_t(order_[i]);
            x_[i] = at[0], y_[i] = at[1], z_[i] = at[2];
        }
    }
    std::size_t size() const { return order_.size(); }
    float share() const { return total_ ? float(size()) / float(total_) : 0.0f; }

    // Drops the points within `distance` of a face.
    void cover(Point a, Point b, Point c, float distance) {
        const auto [x0, x1] = std::minmax({a.x, b.x, c.x});
        const auto [y0, y1] = std::minmax({a.y, b.y, c.y});
        const auto [z0, z1] = std::minmax({a.z, b.z, c.z});
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size(); ++i) {
            const Point p{x_[i], y_[i], z_[i]};
            const bool near = p.x >= x0 - distance && p.x <= x1 + distance && p.y >= y0 - distance &&
                              p.y <= y1 + distance && p.z >= z0 - distance && p.z <= z1 + distance;
            if (near && squared_distance(p, a, b, c) <= distance * distance) continue;
            x_[kept] = p.x, y_[kept] = p.y, z_[kept] = p.z, order_[kept] = order_[i];
            ++kept;
        }
        order_.resize(kept);
    }

    // Distance from `to` to the nearest uncovered point; infinite where none is left.
    float distance(Point to) const {
        float least = INFINITY;
        for (std::size_t i = 0; i < size(); ++i) {
            const Point away = Point{x_[i], y_[i], z_[i]} - to;
            least = std::min(least, dot(away, away));
        }
        return std::sqrt(least);
    }

    // Writes the indices of `count` points about `to`, nearest first and sparser with the distance: among the `reach` *
    // count nearest those whose ranks grow geometrically. -1 where there are fewer.
    void sample_near(Point to, std::size_t count, std::int32_t *out) {
        if (count == 0) return;
        if (ranks_.size() != count || ranked_ != std::min(size(), reach * count)) rank(count);
        nearest_.resize(size());
        for (std::size_t i = 0; i < size(); ++i) {
            const float dx = x_[i] - to.x, dy = y_[i] - to.y, dz = z_[i] - to.z;
            nearest_[i] = distance_key(dx * dx + dy * dy + dz * dz, order_[i]);
        }
        // Farthest first: each selection leaves all nearer points before it.
        auto end = nearest_.end();
        for (std::size_t k = count; k-- > 0;) {
            out[k] = -1;
            if (ranks_[k] >= size()) continue;
            const auto at = nearest_.begin() + std::ptrdiff_t(ranks_[k]);
            if (at < end) std::nth_element(nearest_.begin(), at, end);
            out[k] = std::int32_t(*at & 0xffffffffu);
            end = at;
        }
    }

    // Writes the indices of `count` points spread evenly over the y-z-x order, lowest first.
    void sample_spread(std::size_t count, std::int32_t *out) const {
        for (std::size_t k = 0; k < count; ++k)
            out[k] = size() < count ? (k < size() ? order_[k] : -1) : order_[k * size() / count];
    }

  private:
    std::size_t total_ = 0;
    std::vector<std::int32_t> order_;
    static constexpr std::size_t reach = 16;
    std::vector<float> x_, y_, z_;
    std::vector<std::uint64_t> nearest_;
    std::vector<std::size_t> ranks_;  // of the points sampled among the `ranked_` nearest
    std::size_t ranked_ = 0;

    // A key that sorts by distance, which is not negative, and then by index.
    static std::uint64_t distance_key(float squared, std::int32_t index) {
        std::uint32_t bits;
        std::memcpy(&bits, &squared, sizeof bits);
        return std::uint64_t(bits) << 32 | std::uint32_t(index);
    }

    void rank(std::size_t count) {
        ranks_.resize(count);
        ranked_ = std::min(size(), reach * count);
        const double growth = count > 1 ? std::pow(double(ranked_), 1.0 / double(count - 1)) : 1.0;
        double place = 1;
        for (std::size_t k = 0; k < count; ++k, place *= growth) ranks_[k] = std::max(k, std::size_t(place + 1e-6) - 1);
    }
};

}  // namespace meto
