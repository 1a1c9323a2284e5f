// How badly a vertex group that may come next fits the points of the target's surface and the unfinished mesh: what
// guided sampling weighs its candidates by. In nats, so that exp(-misfit) is a weight.
//
// A face should lie where points are, over points that no face of its direction covers yet, be no sliver, close what is
// open, and neither pass through others nor be the third at an edge. Where nothing of that is to be had any more, a new
// sub-mesh is not to be begun again and again, but the mesh to end. The constants were chosen on meshes that were neither
// trained on nor are reported on (docs/decoders.md).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "meto/grid.hpp"
#include "meto/normals.hpp"
#include "meto/point.hpp"

namespace meto {

// What a face would do to the surface so far.
struct Torn {
    int opened;   // by how much it changes the number of open half edges: -3 to 3
    int crowded;  // edges that have two faces already
    int crossed;  // faces that it passes through
};

class Fit {
  public:
    // count points (x, y, z each), of a surface that is covered within `cover`.
    void set(const float *points, std::size_t count, float cover) {
        cover_ = cover, idle_ = 0;
        covered_by_.assign(count, Point{0, 0, 0});
        measure(points, count);
        grid_.set(points, count, float(near * spacing_));
    }
    std::size_t size() const { return grid_.count(); }

    double face(Point a, Point b, Point c, Torn torn) const {
        const double open = 0.7 * torn.opened + 4 * torn.crowded + 4 * std::log1p(torn.crossed);
        const Patch patch = over(a, b, c);
        if (patch.area <= 0) return sharpness * (open + 2 - std::log(nothing_new));
        double excess = 0, away = 0;
        for (const auto &[u, v] : samples()) {
            const double distance = to_nearest((1 - u - v) * a + u * b + v * c) / spacing_;
            excess += std::max(0.0, distance - near);
            away += distance > far;
        }
        excess /= double(samples().size()), away /= double(samples().size());
        double fresh = 0, again = 0;
        for (std::size_t i : patch.points) {
            fresh += covered_by_[i].is_zero();
            again += dot(covered_by_[i], patch.normal) > 0.3f;
        }
        const double count = double(patch.points.size());
        const double overlap = count > 0 ? std::min(count, 4.0) / 4 * again / count : 0;
        const double off = excess + 1.5 * std::log1p(away * patch.area * density_);  // log of points that are not there
        const double sliver = std::max(0.0, 1 - patch.thickness / 0.1);
        return sharpness * (open + off + 3 * overlap + sliver - std::log(nothing_new + fresh));
    }
    // The edge a, b of a face to come.
    double edge(Point a, Point b) const {
        double excess = 0;
        for (float t : {0.25f, 0.5f, 0.75f}) excess += std::max(0.0, to_nearest(a + t * (b - a)) / spacing_ - near);
        return sharpness * excess / 3;
    }
    // A first vertex so far from the nearest point that no face covers.
    double vertex(float distance) const {
        return sharpness * (1 + 0.2 * idle_ + std::max(0.0, distance / spacing_ - 3));
    }
    // The end, while this share of the points is uncovered. Nobody need have thought of it to take it: `unasked`.
    double end(double uncovered, bool unasked) const {
        const double left = 20 * std::max(0.0, uncovered - (unasked ? 0.01 : 0.02));
        return sharpness * (unasked ? 1.5 + left - 0.2 * idle_ : left);
    }

    // A group is taken; with its face, if it makes one.
    void take() { idle_ += 1; }
    void take(Point a, Point b, Point c) {
        const Patch patch = over(a, b, c);
        double fresh = 0;
        for (std::size_t i : patch.points) {
            fresh += covered_by_[i].is_zero();
            covered_by_[i] = patch.normal;
        }
        idle_ = idle_ * std::max(0.0, 1 - fresh / 4) + 1;
    }

  private:
    static constexpr double near = 1.5, far = 2.5;  // distances that are expected of a surface, and that are not: spacings
    static constexpr double sharpness = 4, nothing_new = 0.1353352832366127;  // exp(-2) of a point
    static constexpr std::size_t neighbours = 8, probes = 256;

    // Points that lie over a triangle, within `cover` of it; area 0 where it has none.
    struct Patch {
        float area = 0, thickness = 0;  // thickness: the height over the longest edge, in its lengths
        Point normal{0, 0, 0};
        std::vector<std::size_t> points;
    };

    Patch over(Point a, Point b, Point c) const {
        Patch patch;
        const Point ab = b - a, ac = c - a;
        const Point across{ab.y * ac.z - ab.z * ac.y, ab.z * ac.x - ab.x * ac.z, ab.x * ac.y - ab.y * ac.x};
        const float length = std::sqrt(dot(across, across));
        const float d00 = dot(ab, ab), d01 = dot(ab, ac), d11 = dot(ac, ac), whole = d00 * d11 - d01 * d01;
        if (length < 1e-9f || whole <= 1e-14f) return patch;
        patch.area = length / 2;
        patch.thickness = length / std::max({d00, d11, dot(c - b, c - b)});
        patch.normal = (1 / length) * across;
        const float margin = 1e-3f;
        const float more = cover_ + 4 * margin * (std::sqrt(d00) + std::sqrt(d11));
        const auto [x0, x1] = std::minmax({a.x, b.x, c.x});
        const auto [y0, y1] = std::minmax({a.y, b.y, c.y});
        const auto [z0, z1] = std::minmax({a.z, b.z, c.z});
        grid_.box({x0 - more, y0 - more, z0 - more}, {x1 + more, y1 + more, z1 + more}, [&](std::size_t rank) {
            const Point ap = grid_.point(rank) - a;
            if (std::fabs(dot(ap, patch.normal)) > cover_) return;
            const float d20 = dot(ap, ab), d21 = dot(ap, ac);
            const float u = (d11 * d20 - d01 * d21) / whole, v = (d00 * d21 - d01 * d20) / whole;
            if (u >= -margin && v >= -margin && u + v <= 1 + margin) patch.points.push_back(rank);
        });
        return patch;
    }

    // Distance to the nearest point; some distance up to `near` spacings where it is no more.
    double to_nearest(Point p) const {
        const float enough = float(near * spacing_ * near * spacing_);
        float best = INFINITY;
        const Grid::Cell cell = grid_.cell_of(p);
        for (int ring = 0; ring < grid_.rings() && best > enough; ++ring) {
            const float reached = grid_.reached(ring);
            if (best < reached * reached) break;
            grid_.ring(cell, ring, [&](std::size_t rank) {
                const Point away = grid_.point(rank) - p;
                best = std::min(best, dot(away, away));
            });
        }
        return std::sqrt(double(best));
    }

    // The density of the points, by the area about some of them that holds their nearest, and the mean distance from
    // anywhere to the nearest of points spread so: of a Poisson process 1 / (2 sqrt(density)).
    void measure(const float *points, std::size_t size) {
        density_ = 1, spacing_ = 1;
        if (size <= neighbours) return;
        const Nearest cloud(points, size, neighbours + 1);
        std::vector<Nearest::Found> nearest;
        std::vector<float> reach;
        const std::size_t count = std::min(size, probes);
        for (std::size_t k = 0; k < count; ++k) {
            const float *at = points + 3 * (k * size / count);
            cloud.of({at[0], at[1], at[2]}, nearest);
            reach.push_back(nearest.empty() ? INFINITY : nearest.back().first);
        }
        std::nth_element(reach.begin(), reach.begin() + std::ptrdiff_t(count / 2), reach.end());
        density_ = double(neighbours) / (3.14159265358979 * std::max(double(reach[count / 2]), 1e-8));
        spacing_ = 0.5 / std::sqrt(density_);
    }

    // Places within a triangle, evenly, as the second and third of its barycentric coordinates.
    static const std::array<std::array<float, 2>, 28> &samples() {
        static const auto made = [] {
            std::array<std::array<float, 2>, 28> places{};
            std::size_t n = 0;
            for (int i = 0; i < 7; ++i)
                for (int j = 0; j < 7 - i; ++j) places[n++] = {(float(i) + 1.0f / 3) / 7, (float(j) + 1.0f / 3) / 7};
            return places;
        }();
        return made;
    }

    float cover_ = 0;
    double idle_ = 0;  // groups without a face that covered points; one that covers a few counts in part
    double density_ = 1, spacing_ = 1;
    Grid grid_;
    std::vector<Point> covered_by_;  // the normal of the latest face over each point, by rank
};

}  // namespace meto
