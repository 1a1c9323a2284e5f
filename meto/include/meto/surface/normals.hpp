// Normals of a point cloud: the direction in which a point's nearest neighbours spread the least (Hoppe et al. 1992).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "meto/surface/grid.hpp"

namespace meto {

// A symmetric 3 x 3 covariance.
struct Covariance {
    double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;

    void add(double x, double y, double z) {
        xx += x * x, xy += x * y, xz += x * z;
        yy += y * y, yz += y * z, zz += z * z;
    }
};

// Writes the unit eigenvector of the smallest eigenvalue, of either sign; (0, 1, 0) where all points coincide. The
// eigenvalue is a root of the characteristic polynomial (Smith 1961), the vector the longest cross product of two rows.
inline void smallest_eigenvector(const Covariance &s, double *out) {
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

// The nearest points of a cloud to each of them: the cells of a grid about a point's own, ring after ring, until all
// further ones are farther away than the nearest found.
class Nearest {
  public:
    using Found = std::pair<float, std::size_t>;  // squared distance, index

    // kept: how many neighbours `find` returns.
    Nearest(const float *points, std::size_t count, std::size_t kept) : kept_(std::min(kept, count)) {
        if (kept_ == 0) return;
        // Points lie on a surface, so that a cell holds about as many as are asked for.
        grid_.set_points(points, count, Box(points, count).widest() / std::sqrt(float(count) / float(kept_)));
    }

    // Finds the nearest neighbours of one of the points, itself included, nearest first; ties go by index.
    void find(Point point, std::vector<Found> &found) const {
        found.clear();
        const Grid::Cell cell = grid_.cell_of(point);
        for (int ring = 0; ring < grid_.rings(); ++ring) {
            const float reached = grid_.reached(ring);
            if (ring > 0 && found.size() == kept_ && found.back().first < reached * reached) return;
            grid_.ring(cell, ring, [&](std::size_t rank) { insert(point, rank, found); });
        }
    }

  private:
    // Insertion sort: only a few are kept.
    void insert(Point point, std::size_t rank, std::vector<Found> &found) const {
        const Point away = grid_.point(rank) - point;
        const Found item{dot(away, away), grid_.index(rank)};
        if (!(item.first < std::numeric_limits<float>::infinity())) return;
        if (found.size() == kept_) {
            if (!(item < found.back())) return;
            found.pop_back();
        }
        found.insert(std::upper_bound(found.begin(), found.end(), item), item);
    }

    std::size_t kept_;
    Grid grid_;
};

// points, out: count rows of x, y, z. neighbours: how many nearest points define each normal, the point itself included.
inline void estimate_normals(const float *points, std::size_t count, std::size_t neighbours, float *out) {
    const Nearest cloud(points, count, neighbours);
    std::vector<Nearest::Found> nearest;
    for (std::size_t i = 0; i < count; ++i) {
        cloud.find({points[3 * i], points[3 * i + 1], points[3 * i + 2]}, nearest);
        double mean[3] = {};
        for (const auto &[d, j] : nearest)
            for (std::size_t k = 0; k < 3; ++k) mean[k] += double(points[3 * j + k]);
        Covariance spread;
        const double n = double(std::max<std::size_t>(nearest.size(), 1));
        for (const auto &[d, j] : nearest) {
            const float *at = points + 3 * j;
            spread.add(at[0] - mean[0] / n, at[1] - mean[1] / n, at[2] - mean[2] / n);
        }
        double normal[3];
        smallest_eigenvector(spread, normal);
        for (std::size_t k = 0; k < 3; ++k) out[3 * i + k] = float(normal[k]);
    }
}

}  // namespace meto
