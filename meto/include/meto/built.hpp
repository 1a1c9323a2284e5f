// The faces of an unfinished surface, on the grid: which of them a new face would pass through, and which of its edges
// have two faces already.
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

class Built {
  public:
    using Corners = std::array<Packed, 3>;

    void clear() {
        faces_.clear();
        uses_.clear();
    }
    void add(const Corners &corners) {
        faces_.emplace_back(corners);
        for (std::size_t k = 0; k < 3; ++k) ++uses_[edge(corners, k)];
    }

    // Edges of a face that two faces share already.
    int crowded(const Corners &corners) const {
        int count = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            const auto found = uses_.find(edge(corners, k));
            count += found != uses_.end() && found->second >= 2;
        }
        return count;
    }

    // Faces such that an edge of theirs passes through the inside of this one, or one of this one's through theirs.
    // Touching is no crossing, and neither is overlapping in one plane.
    int crossed(const Corners &corners) const {
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
        // Does an edge of the other pass through the inside?
        bool is_pierced_by(const Triangle &other) const {
            std::array<std::int64_t, 3> side;  // of the plane
            for (std::size_t k = 0; k < 3; ++k) side[k] = normal.dot(other.at[k] - at[0]);
            for (std::size_t k = 0; k < 3; ++k) {
                const std::size_t next = (k + 1) % 3;
                if ((side[k] < 0) == (side[next] < 0) || side[k] == 0 || side[next] == 0) continue;
                const Vector along = other.at[next] - other.at[k];
                int left = 0, right = 0;
                for (std::size_t j = 0; j < 3; ++j) {
                    const std::int64_t turn =
                        along.dot((at[j] - other.at[k]).cross(at[(j + 1) % 3] - other.at[k]));
                    left += turn > 0, right += turn < 0;
                }
                if (left == 3 || right == 3) return true;
            }
            return false;
        }
    };

    static std::pair<Packed, Packed> edge(const Corners &corners, std::size_t k) {
        return std::minmax(corners[k], corners[(k + 1) % 3]);
    }

    std::vector<Triangle> faces_;
    std::map<std::pair<Packed, Packed>, int> uses_;
};

}  // namespace meto
