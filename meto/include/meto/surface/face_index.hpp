// The faces of an unfinished mesh by their edges and places: which faces a new one would repeat or pass through, and
// which of its edges would become non-manifold.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "meto/quantise.hpp"

namespace meto {

class FaceIndex {
  public:
    using Corners = std::array<Packed, 3>;

    void clear() {
        faces_.clear();
        thirds_.clear();
    }
    void add(const Corners &corners) {
        faces_.emplace_back(corners);
        for (std::size_t k = 0; k < 3; ++k) thirds_[edge(corners[k], corners[(k + 1) % 3])].push_back(corners[(k + 2) % 3]);
    }

    // The third corners of the faces at the edge a-b, in either direction.
    const std::vector<Packed> &third_corners(Packed a, Packed b) const {
        static const std::vector<Packed> none;
        const auto found = thirds_.find(edge(a, b));
        return found == thirds_.end() ? none : found->second;
    }

    // How many edges of a new face have two faces already.
    int non_manifold_edges(const Corners &corners) const {
        int count = 0;
        for (std::size_t k = 0; k < 3; ++k) count += third_corners(corners[k], corners[(k + 1) % 3]).size() >= 2;
        return count;
    }

    // How many faces have an edge that passes through the inside of a new face, or are passed through by one of its
    // edges. Faces that touch, or overlap in one plane, do not intersect.
    int intersections(const Corners &corners) const {
        const Triangle mine(corners);
        return int(std::count_if(faces_.begin(), faces_.end(), [&](const Triangle &other) {
            return mine.meets_box(other) && (mine.is_pierced_by(other) || other.is_pierced_by(mine));
        }));
    }

  private:
    struct Vector {
        std::int64_t x, y, z;
        Vector operator-(const Vector &o) const { return {x - o.x, y - o.y, z - o.z}; }
        Vector cross(const Vector &o) const { return {y * o.z - z * o.y, z * o.x - x * o.z, x * o.y - y * o.x}; }
        std::int64_t dot(const Vector &o) const { return x * o.x + y * o.y + z * o.z; }
    };

    // With coordinates of up to 16 bits every product below fits into 64.
    struct Triangle {
        std::array<Vector, 3> at;
        Vector low, high, normal;

        explicit Triangle(const Corners &corners) {
            for (std::size_t k = 0; k < 3; ++k) at[k] = {unpack_x(corners[k]), unpack_y(corners[k]), unpack_z(corners[k])};
            const auto [x0, x1] = std::minmax({at[0].x, at[1].x, at[2].x});
            const auto [y0, y1] = std::minmax({at[0].y, at[1].y, at[2].y});
            const auto [z0, z1] = std::minmax({at[0].z, at[1].z, at[2].z});
            low = {x0, y0, z0}, high = {x1, y1, z1};
            normal = (at[1] - at[0]).cross(at[2] - at[0]);
        }
        bool meets_box(const Triangle &o) const {
            return low.x <= o.high.x && o.low.x <= high.x && low.y <= o.high.y && o.low.y <= high.y && low.z <= o.high.z &&
                   o.low.z <= high.z;
        }
        // Whether an edge of the other triangle passes through the inside of this one.
        bool is_pierced_by(const Triangle &other) const {
            std::array<std::int64_t, 3> side;  // of this plane that each corner lies on
            for (std::size_t k = 0; k < 3; ++k) side[k] = normal.dot(other.at[k] - at[0]);
            for (std::size_t k = 0; k < 3; ++k) {
                const std::size_t next = (k + 1) % 3;
                if ((side[k] < 0) == (side[next] < 0) || side[k] == 0 || side[next] == 0) continue;
                const Vector along = other.at[next] - other.at[k];
                int left = 0, right = 0;
                for (std::size_t j = 0; j < 3; ++j) {
                    const std::int64_t turn = along.dot((at[j] - other.at[k]).cross(at[(j + 1) % 3] - other.at[k]));
                    left += turn > 0, right += turn < 0;
                }
                if (left == 3 || right == 3) return true;
            }
            return false;
        }
    };

    static std::pair<Packed, Packed> edge(Packed a, Packed b) { return std::minmax(a, b); }

    std::vector<Triangle> faces_;
    std::map<std::pair<Packed, Packed>, std::vector<Packed>> thirds_;  // of each edge
};

}  // namespace meto
