// Normals of a point cloud: of each point's nearest neighbours the direction in which they spread the least.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

namespace meto {

// Symmetric 3 x 3: xx, xy, xz, yy, yz, zz.
struct Spread {
    double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;

    void add(double x, double y, double z) {
        xx += x * x, xy += x * y, xz += x * z;
        yy += y * y, yz += y * z, zz += z * z;
    }
};

// Unit eigenvector of the smallest eigenvalue, of either sign; (0, 1, 0) where there is no spread at all. The eigenvalue
// is a root of the characteristic polynomial (Smith 1961), the vector the longest cross product of two rows.
inline void thinnest(const Spread &s, double *out) {
    const double p1 = s.xy * s.xy + s.xz * s.xz + s.yz * s.yz, q = (s.xx + s.yy + s.zz) / 3;
    const double dx = s.xx - q, dy = s.yy - q, dz = s.zz - q;
    const double p = std::sqrt((dx * dx + dy * dy + dz * dz + 2 * p1) / 6);
    out[0] = out[2] = 0, out[1] = 1;
    if (!(p > 0)) return;
    const double det = dx * (dy * dz - s.yz * s.yz) - s.xy * (s.xy * dz - s.yz * s.xz) + s.xz * (s.xy * s.yz - dy * s.xz);
    const double r = std::min(1.0, std::max(-1.0, det / (2 * p * p * p)));
    constexpr double third = 2.0943951023931953;  // 2 pi / 3
    const double least = q + 2 * p * std::cos(std::acos(r) / 3 + third);
    const double rows[3][3] = {{s.xx - least, s.xy, s.xz}, {s.xy, s.yy - least, s.yz}, {s.xz, s.yz, s.zz - least}};
    double best = 0;
    for (int i = 0; i < 3; ++i) {
        const double *a = rows[i], *b = rows[(i + 1) % 3];
        const double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
        const double length = std::sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]);
        if (length > best) {
            best = length;
            for (int k = 0; k < 3; ++k) out[k] = c[k] / length;
        }
    }
}

// The nearest points of a cloud to each of them, by a grid: the cells about a point's own, ring after ring, until all
// further ones are farther away than the nearest found.
class Nearest {
  public:
    using Found = std::pair<float, std::size_t>;  // squared distance, index

    // kept: how many are asked for.
    Nearest(const float *points, std::size_t count, std::size_t kept) : points_(points), kept_(kept), cells_(count) {
        float high[3];
        for (int axis = 0; axis < 3; ++axis) {
            low_[axis] = std::numeric_limits<float>::infinity(), high[axis] = -low_[axis];
            for (std::size_t i = 0; i < count; ++i) {
                low_[axis] = std::min(low_[axis], at(i)[axis]);
                high[axis] = std::max(high[axis], at(i)[axis]);
            }
        }
        const float widest = std::max({high[0] - low_[0], high[1] - low_[1], high[2] - low_[2]});
        // Points lie on a surface, so that a cell holds about as many as are asked for.
        const double across = std::sqrt(double(count) / double(std::max<std::size_t>(kept, 1)));
        if (std::isfinite(widest) && widest > 0) size_ = widest / float(std::min(across, 64.0));
        for (int axis = 0; axis < 3; ++axis)
            sides_[axis] = size_ > 0 ? std::min(64, 1 + int((high[axis] - low_[axis]) / size_)) : 1;
        begins_.assign(std::size_t(sides_[0]) * sides_[1] * sides_[2] + 1, 0);
        for (std::size_t i = 0; i < count; ++i) ++begins_[cells_[i] = cell_of(i)];
        for (std::size_t c = 1; c < begins_.size(); ++c) begins_[c] += begins_[c - 1];
        sorted_.resize(count);
        for (std::size_t i = count; i-- > 0;) sorted_[--begins_[cells_[i]]] = i;
    }

    // The nearest to the point, itself included, from the nearest on; of equal ones the lower index first.
    void of(std::size_t point, std::vector<Found> &found) const {
        found.clear();
        const int x = int(cells_[point]) % sides_[0], y = int(cells_[point]) / sides_[0] % sides_[1],
                  z = int(cells_[point]) / sides_[0] / sides_[1];
        const int most = std::max({sides_[0], sides_[1], sides_[2]});
        for (int ring = 0; ring < most; ++ring) {
            // The rounding of cells and distances is far below a thousandth.
            const float reached = 0.999f * float(ring - 1) * size_;
            if (ring > 0 && found.size() == kept_ && found.back().first < reached * reached) return;
            for (int k = std::max(0, z - ring); k <= std::min(sides_[2] - 1, z + ring); ++k)
                for (int j = std::max(0, y - ring); j <= std::min(sides_[1] - 1, y + ring); ++j) {
                    const bool shell = std::abs(k - z) == ring || std::abs(j - y) == ring;
                    for (int i = x - ring; i <= x + ring; i += shell || ring == 0 ? 1 : 2 * ring)
                        if (i >= 0 && i < sides_[0]) take(point, std::size_t((k * sides_[1] + j) * sides_[0] + i), found);
                }
        }
    }

  private:
    const float *at(std::size_t i) const { return points_ + 3 * i; }

    std::size_t cell_of(std::size_t i) const {
        int place[3];
        for (int axis = 0; axis < 3; ++axis) {
            const float steps = size_ > 0 ? (at(i)[axis] - low_[axis]) / size_ : 0;
            place[axis] = steps < float(sides_[axis]) ? int(steps) : steps >= 0 ? sides_[axis] - 1 : 0;  // the last: NaN
        }
        return std::size_t((place[2] * sides_[1] + place[1]) * sides_[0] + place[0]);
    }

    // An insertion sort: there are few.
    void take(std::size_t point, std::size_t cell, std::vector<Found> &found) const {
        for (std::size_t r = begins_[cell]; r < begins_[cell + 1]; ++r) {
            const float *a = at(point), *b = at(sorted_[r]);
            const float dx = b[0] - a[0], dy = b[1] - a[1], dz = b[2] - a[2];
            const Found item{dx * dx + dy * dy + dz * dz, sorted_[r]};
            if (!(item.first < std::numeric_limits<float>::infinity())) continue;
            if (found.size() == kept_) {
                if (!(item < found.back())) continue;
                found.pop_back();
            }
            found.insert(std::upper_bound(found.begin(), found.end(), item), item);
        }
    }

    const float *points_;
    std::size_t kept_;
    float low_[3], size_ = 0;  // size_: of a cell; 0 where there is but one
    int sides_[3];
    std::vector<std::size_t> cells_;           // of each point
    std::vector<std::size_t> begins_, sorted_;  // the points cell by cell
};

// points, out: count rows of x, y, z. neighbours: how many of the nearest each normal is made of, the point included.
inline void estimate_normals(const float *points, std::size_t count, std::size_t neighbours, float *out) {
    const Nearest cloud(points, count, std::min(neighbours, count));
    std::vector<Nearest::Found> nearest;
    for (std::size_t i = 0; i < count; ++i) {
        cloud.of(i, nearest);
        double mean[3] = {};
        for (const auto &[d, j] : nearest)
            for (std::size_t k = 0; k < 3; ++k) mean[k] += double(points[3 * j + k]);
        Spread spread;
        const double n = double(std::max<std::size_t>(nearest.size(), 1));
        for (const auto &[d, j] : nearest) {
            const float *at = points + 3 * j;
            spread.add(at[0] - mean[0] / n, at[1] - mean[1] / n, at[2] - mean[2] / n);
        }
        double normal[3];
        thinnest(spread, normal);
        for (std::size_t k = 0; k < 3; ++k) out[3 * i + k] = float(normal[k]);
    }
}

}  // namespace meto
