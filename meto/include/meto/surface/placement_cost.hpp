// The cost of placing the next vertex group, by the points of the target's surface and the unfinished mesh. Guided
// sampling draws among candidates with weights exp(-cost): costs are in nats.
//
// A face should lie where points are, over points that no face of its direction covers yet, be no sliver, close open
// edges, and neither intersect others nor be the third face at an edge. Where nothing new can be covered any more, the
// mesh should end rather than begin sub-mesh after sub-mesh. The constants were chosen on meshes that were neither
// trained on nor are reported on (docs/decoders.md).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "meto/surface/grid.hpp"
#include "meto/surface/normals.hpp"
#include "meto/surface/point.hpp"

namespace meto {

// What a new face would change in the unfinished mesh.
struct TopologyDelta {
    int open_edges;          // change of the number of open half edges: -3 to 3
    int non_manifold_edges;  // edges of the face that have two faces already
    int intersections;       // faces that it passes through
};

class PlacementCost {
  public:
    // points: count rows of x, y, z; a face covers the points within `cover` of it.
    void set_points(const float *points, std::size_t count, float cover) {
        cover_ = cover, idle_ = 0;
        covered_by_.assign(count, Point{0, 0, 0});
        measure(points, count);
        grid_.set_points(points, count, float(near * spacing_));
    }
    std::size_t size() const { return grid_.count(); }

    // The cost of a face.
    double face(Point a, Point b, Point c, TopologyDelta delta) const {
        const double topology = 0.7 * delta.open_edges + 4 * delta.non_manifold_edges + 4 * std::log1p(delta.intersections);
        const Patch patch = over(a, b, c);
        if (patch.area <= 0) return sharpness * (topology + 2 - std::log(nothing_new));
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
        return sharpness * (topology + off + 3 * overlap + sliver - std::log(nothing_new + fresh));
    }
    // The cost of a sub-mesh's first edge.
    double edge(Point a, Point b) const {
        double excess = 0;
        for (float t : {0.25f, 0.5f, 0.75f}) excess += std::max(0.0, to_nearest(a + t * (b - a)) / spacing_ - near);
        return sharpness * excess / 3;
    }
    // The cost of a sub-mesh's first vertex, by its distance from the nearest uncovered point.
    double vertex(float distance) const { return sharpness * (1 + 0.2 * idle_ + std::max(0.0, distance / spacing_ - 3)); }
    // The cost of ending the mesh while this share of the points is uncovered. `sampled`: END is among the candidates;
    // otherwise it is offered beside them, the cheaper the longer no face has covered a point.
    double end(double uncovered, bool sampled) const {
        const double left = 20 * std::max(0.0, uncovered - (sampled ? 0.02 : 0.01));
        return sharpness * (sampled ? left : 1.5 + left - 0.2 * idle_);
    }

    // Counts a group that made no face, or one that made the face a, b, c.
    void commit() { idle_ += 1; }
    void commit(Point a, Point b, Point c) {
        const Patch patch = over(a, b, c);
        double fresh = 0;
        for (std::size_t i : patch.points) {
            fresh += covered_by_[i].is_zero();
            covered_by_[i] = patch.normal;
        }
        idle_ = idle_ * std::max(0.0, 1 - fresh / 4) + 1;
    }

  private:
    static constexpr double near = 1.5, far = 2.5;  // in spacings: distances that are usual on a surface, and that are not
    static constexpr double sharpness = 4, nothing_new = 0.1353352832366127;  // exp(-2) of a point
    static constexpr std::size_t neighbours = 8, probes = 256;

    // The points that lie over a triangle, within `cover` of it; the area is 0 for a degenerate triangle.
    struct Patch {
        float area = 0, thickness = 0;  // thickness: height over the longest edge, divided by it
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

    // Distance to the nearest point; any distance below `near` spacings counts alike, so it need not be the least.
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

    // Estimates the points' density from the area that holds the nearest neighbours of some of them, and their spacing:
    // the mean distance from a place to its nearest point, for a Poisson process 1 / (2 sqrt(density)).
    void measure(const float *points, std::size_t size) {
        density_ = 1, spacing_ = 1;
        if (size <= neighbours) return;
        const Nearest cloud(points, size, neighbours + 1);
        std::vector<Nearest::Found> nearest;
        std::vector<float> reach;
        const std::size_t count = std::min(size, probes);
        for (std::size_t k = 0; k < count; ++k) {
            const float *at = points + 3 * (k * size / count);
            cloud.find({at[0], at[1], at[2]}, nearest);
            reach.push_back(nearest.empty() ? INFINITY : nearest.back().first);
        }
        std::nth_element(reach.begin(), reach.begin() + std::ptrdiff_t(count / 2), reach.end());
        density_ = double(neighbours) / (3.14159265358979 * std::max(double(reach[count / 2]), 1e-8));
        spacing_ = 0.5 / std::sqrt(density_);
    }

    // The second and third barycentric coordinates of places spread evenly over a triangle.
    static const std::array<std::array<float, 2>, 28> &samples() {
        static const auto table = [] {
            std::array<std::array<float, 2>, 28> places{};
            std::size_t n = 0;
            for (int i = 0; i < 7; ++i)
                for (int j = 0; j < 7 - i; ++j) places[n++] = {(float(i) + 1.0f / 3) / 7, (float(j) + 1.0f / 3) / 7};
            return places;
        }();
        return table;
    }

    float cover_ = 0;
    double idle_ = 0;  // groups since a face covered new points, decayed by faces that cover a few
    double density_ = 1, spacing_ = 1;
    Grid grid_;
    std::vector<Point> covered_by_;  // the normal of the latest face over each point, by rank
};

}  // namespace meto
