// A uniform grid over a point cloud, for neighbourhood queries.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "meto/surface/point.hpp"

namespace meto {

// The bounding box of count points (x, y, z each); its width is not finite where there are none or one is not.
struct Box {
    std::array<float, 3> low, high;

    Box(const float *points, std::size_t count) {
        low.fill(std::numeric_limits<float>::infinity()), high.fill(-low[0]);
        for (std::size_t i = 0; i < 3 * count; ++i) {
            low[i % 3] = std::min(low[i % 3], points[i]);
            high[i % 3] = std::max(high[i % 3], points[i]);
        }
    }
    float widest() const { return std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]}); }
};

// Points are numbered by rank: those of one cell follow one another, in the order in which they were given.
class Grid {
  public:
    struct Cell {
        int x, y, z;
    };

    // points: count rows of x, y, z. size: side of a cell, enlarged where an axis would have too many cells.
    void set_points(const float *points, std::size_t count, float size) {
        const Box box(points, count);
        const float widest = box.widest();
        const bool some = std::isfinite(widest) && widest > 0 && size > 0;  // else there is one cell
        low_ = box.low;
        size_ = some ? std::max(size, widest / float(most)) : 0;
        for (int axis = 0; axis < 3; ++axis)
            sides_[axis] = some ? std::min(most, 1 + int((box.high[axis] - box.low[axis]) / size_)) : 1;
        begins_.assign(std::size_t(sides_[0]) * sides_[1] * sides_[2] + 1, 0);
        std::vector<std::size_t> cells(count);
        for (std::size_t i = 0; i < count; ++i) {
            const Cell cell = cell_of({points[3 * i], points[3 * i + 1], points[3 * i + 2]});
            ++begins_[cells[i] = number(cell.x, cell.y, cell.z)];
        }
        for (std::size_t c = 1; c < begins_.size(); ++c) begins_[c] += begins_[c - 1];
        indices_.resize(count), points_.resize(count);
        for (std::size_t i = count; i-- > 0;) {
            const std::size_t rank = --begins_[cells[i]];
            indices_[rank] = i;
            points_[rank] = {points[3 * i], points[3 * i + 1], points[3 * i + 2]};
        }
    }

    std::size_t count() const { return points_.size(); }
    float size() const { return size_; }
    std::size_t index(std::size_t rank) const { return indices_[rank]; }
    const Point &point(std::size_t rank) const { return points_[rank]; }

    // The cell that holds a place, or the one nearest to it.
    Cell cell_of(Point p) const { return {along(0, p.x), along(1, p.y), along(2, p.z)}; }

    // How many rings about a cell cover the whole grid.
    int rings() const { return std::max({sides_[0], sides_[1], sides_[2]}); }
    // The least distance from a place to any point outside the first `rings` rings about its cell.
    float reached(int rings) const { return rings < 2 ? 0 : 0.999f * float(rings - 1) * size_; }  // rounding is far below

    // Calls visit(rank) for the points of the cells that are `ring` cells away (0: the cell itself).
    template <typename Visit> void ring(Cell at, int ring, Visit visit) const {
        for (int z = std::max(0, at.z - ring); z <= std::min(sides_[2] - 1, at.z + ring); ++z)
            for (int y = std::max(0, at.y - ring); y <= std::min(sides_[1] - 1, at.y + ring); ++y)
                if (std::abs(z - at.z) == ring || std::abs(y - at.y) == ring) {
                    row(at.x - ring, at.x + ring, y, z, visit);
                } else {
                    row(at.x - ring, at.x - ring, y, z, visit);
                    row(at.x + ring, at.x + ring, y, z, visit);
                }
    }

    // Calls visit(rank) for the points of all cells that a box touches.
    template <typename Visit> void box(Point low, Point high, Visit visit) const {
        const Cell first = cell_of(low), last = cell_of(high);
        for (int z = first.z; z <= last.z; ++z)
            for (int y = first.y; y <= last.y; ++y) row(first.x, last.x, y, z, visit);
    }

  private:
    static constexpr int most = 64;  // cells along an axis

    std::size_t number(int x, int y, int z) const { return (std::size_t(z) * sides_[1] + y) * sides_[0] + x; }

    int along(int axis, float value) const {
        const float steps = size_ > 0 ? (value - low_[axis]) / size_ : 0;
        return !(steps > 0) ? 0 : steps < float(sides_[axis]) ? int(steps) : sides_[axis] - 1;  // NaN: 0
    }

    template <typename Visit> void row(int first, int last, int y, int z, Visit &visit) const {
        first = std::max(first, 0), last = std::min(last, sides_[0] - 1);
        if (first > last) return;
        const std::size_t end = begins_[number(last, y, z) + 1];
        for (std::size_t rank = begins_[number(first, y, z)]; rank < end; ++rank) visit(rank);
    }

    std::array<float, 3> low_{};
    float size_ = 0;
    int sides_[3] = {1, 1, 1};
    std::vector<std::size_t> begins_{0, 0}, indices_;  // the first rank of each cell; what was given, by rank
    std::vector<Point> points_;                        // by rank
};

}  // namespace meto
