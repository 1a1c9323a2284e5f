// Normals of a point cloud: of each point's nearest neighbours the direction in which they spread the least.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
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

// points, out: count rows of x, y, z. neighbours: how many of the nearest each normal is made of, the point included.
inline void estimate_normals(const float *points, std::size_t count, std::size_t neighbours, float *out) {
    std::vector<float> x(count), y(count), z(count), distances(count);
    for (std::size_t i = 0; i < count; ++i) x[i] = points[3 * i], y[i] = points[3 * i + 1], z[i] = points[3 * i + 2];
    const std::size_t kept = std::min(neighbours, count);
    std::vector<std::pair<float, std::size_t>> nearest;
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < count; ++j) {
            const float dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i];
            distances[j] = dx * dx + dy * dy + dz * dz;
        }
        nearest.clear();
        float worst = std::numeric_limits<float>::infinity();
        for (std::size_t j = 0; j < count; ++j) {
            if (!(distances[j] < worst)) continue;
            // An insertion sort: there are few, and most points are too far to come here.
            if (nearest.size() == kept) nearest.pop_back();
            const std::pair<float, std::size_t> item{distances[j], j};
            nearest.insert(std::upper_bound(nearest.begin(), nearest.end(), item), item);
            if (nearest.size() == kept) worst = nearest.back().first;
        }
        double mean[3] = {};
        for (const auto &[d, j] : nearest) mean[0] += x[j], mean[1] += y[j], mean[2] += z[j];
        Spread spread;
        const double n = double(std::max<std::size_t>(nearest.size(), 1));
        for (const auto &[d, j] : nearest) spread.add(x[j] - mean[0] / n, y[j] - mean[1] / n, z[j] - mean[2] / n);
        double normal[3];
        thinnest(spread, normal);
        for (int k = 0; k < 3; ++k) out[3 * i + std::size_t(k)] = float(normal[k]);
    }
}

}  // namespace meto
