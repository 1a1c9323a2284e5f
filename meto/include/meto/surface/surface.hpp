// The unfinished mesh of a stream that is read a vertex group at a time: the gate that the next face attaches to, the open
// boundary, and the points of the target's surface that no face covers yet.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "meto/quantise.hpp"
#include "meto/surface/face_index.hpp"
#include "meto/surface/open_edges.hpp"
#include "meto/surface/placement_cost.hpp"
#include "meto/surface/point.hpp"
#include "meto/surface/uncovered.hpp"

namespace meto {

// The kinds of groups: L and R make a face each; BOM, SECOND and THIRD are the vertices of a sub-mesh's first face.
enum class Group : std::int32_t { left, right, bom, second, third, end };

// What may come next: the first group of all, a turn (L, R, BOM or END), or the rest of a first face.
enum class Phase : std::int32_t { start, turn, second, third };

struct SurfaceOptions {
    int bins;
    std::size_t near;    // points observed about each of the two edges that the next face may attach to
    std::size_t spread;  // points observed among all that are uncovered
    float cover;         // distance from a face within which it covers a point
    std::size_t open;    // vertices of the open boundary observed about each of the two edges

    std::size_t points() const { return 2 * near + spread; }
    std::size_t open_columns() const { return 2 * 3 * open; }
};

// What a surface keeps beside its boundary; neither is needed to replay a mesh.
struct SurfaceExtras {
    bool with_cost = false;   // `placement_cost` is asked for
    bool with_faces = false;  // `refused_corners` is asked for
};

class Surface {
  public:
    explicit Surface(SurfaceOptions options) : options_(options) {}

    // points: count rows of x, y, z.
    void begin(const float *points, std::size_t count, SurfaceExtras extras = {}) {
        phase_ = Phase::start;
        gate_ = {no_vertex, no_vertex, no_vertex};
        open_.clear();
        faces_.clear();
        uncovered_.set_points(points, count);
        cost_.set_points(points, extras.with_cost ? count : 0, options_.cover);
        with_faces_ = extras.with_faces || cost_.size() > 0;
    }

    const SurfaceOptions &options() const { return options_; }
    Phase phase() const { return phase_; }
    std::size_t open_edges() const { return open_.size(); }
    float uncovered() const { return uncovered_.share(); }

    // Why the group may not come next, or null. Coordinates are on the grid.
    const char *refusal(Group kind, int x, int y, int z) const {
        const bool fits = phase_ == Phase::start    ? kind == Group::bom
                          : phase_ == Phase::second ? kind == Group::second
                          : phase_ == Phase::third  ? kind == Group::third
                                                    : kind <= Group::bom;
        if (!fits) return "a group of another kind is expected";
        const auto outside = [this](int q) { return q < 0 || q >= options_.bins; };
        return outside(x) || outside(y) || outside(z) ? "the vertex is outside the grid" : nullptr;
    }

    // Appends a group that `refusal` has nothing against.
    void commit(Group kind, int x, int y, int z) {
        assert(!refusal(kind, x, y, z));
        gate_ = gate_after(kind, pack(std::uint32_t(x), std::uint32_t(y), std::uint32_t(z)));
        phase_ = kind == Group::bom ? Phase::second : kind == Group::second ? Phase::third : Phase::turn;
        if (phase_ != Phase::turn) return cost_.commit();
        const auto [tip, start, end] = gate_;
        open_.add_face(tip, start, end);
        uncovered_.cover(point(tip), point(start), point(end), options_.cover);
        if (cost_.size()) cost_.commit(point(tip), point(start), point(end));
        if (with_faces_) faces_.add(gate_);
    }

    // The cost of a group that may come next (see PlacementCost); 0 for every group without points or `with_cost`.
    double placement_cost(Group kind, int x, int y, int z) const {
        if (cost_.size() == 0) return 0;
        if (kind == Group::end) return cost_.end(uncovered_.share(), true);
        const Packed v = pack(std::uint32_t(x), std::uint32_t(y), std::uint32_t(z));
        if (kind == Group::bom) return uncovered_.size() ? cost_.vertex(uncovered_.distance(point(v))) : 3;
        if (kind == Group::second) return cost_.edge(point(gate_[0]), point(v));
        const auto face = gate_after(kind, v);
        const auto [tip, start, end] = face;
        const TopologyDelta delta{open_.delta(tip, start, end), faces_.non_manifold_edges(face),
                                  faces_.intersections(face)};
        return cost_.face(point(tip), point(start), point(end), delta);
    }

    // The cost of an END that no candidate sampled; infinite where it is not offered.
    double unsampled_end_cost() const {
        return cost_.size() && phase_ == Phase::turn ? cost_.end(uncovered_.share(), false) : INFINITY;
    }

    // Calls visit(vertex) for the vertices with which a group of this kind would repeat a face or have no area; for a
    // surface begun `with_faces`. A vertex may come several times.
    template <typename Visit> void refused_corners(Group kind, Visit visit) const {
        const auto [tip, start, end] = gate_;
        if (kind == Group::second) visit(tip);
        if (kind != Group::left && kind != Group::right && kind != Group::third) return;
        const Packed a = kind == Group::right ? start : tip;
        const Packed b = kind == Group::left ? end : kind == Group::right ? tip : start;
        visit(a);
        visit(b);
        for (Packed third : faces_.third_corners(a, b)) visit(third);
    }

    // ---- what is observed before a group --------------------------------------------------------------------------

    // (9) The gate: tip, start and end of the latest face, or the vertices of a first face so far.
    void gate(std::int32_t *out) const {
        for (Packed v : gate_) out = write(v, out);
    }
    // (2) Whether the gate's left and right edges are open; 0 in the other phases.
    void waiting(std::int32_t *out) const {
        const auto [tip, start, end] = gate_;
        const bool turn = phase_ == Phase::turn;
        out[0] = turn && open_.is_open(end, tip);
        out[1] = turn && open_.is_open(tip, start);
    }
    // (12) The boundary's neighbours of the left edge (behind the end, ahead of the tip) and of the right edge (ahead of
    // the start, behind the tip), with which the next face would close a second edge.
    void neighbours(std::int32_t *out) const {
        const auto [tip, start, end] = gate_;
        const bool turn = phase_ == Phase::turn;
        out = write(turn ? open_.neighbour(end, false, start) : behind_second(), out);
        out = write(turn ? open_.neighbour(tip, true, start) : ahead_third(), out);
        out = write(turn ? open_.neighbour(start, true, end) : no_vertex, out);
        write(turn ? open_.neighbour(tip, false, end) : no_vertex, out);
    }
    // (2 * near + spread) Indices of uncovered points.
    void points(std::int32_t *out) {
        for (const Point &anchor : anchors()) {
            uncovered_.sample_near(anchor, options_.near, out);
            out += options_.near;
        }
        uncovered_.sample_spread(options_.spread, out);
    }
    // (2 * open, 3) The vertices of the open boundary nearest to each anchor, those of the gate left out.
    void open_vertices(std::int32_t *out) {
        for (const Point &anchor : anchors()) {
            nearest_.clear();
            if (phase_ != Phase::start && options_.open)
                open_.for_each_vertex([&](Packed v) {
                    if (v == gate_[0] || v == gate_[1] || v == gate_[2]) return;
                    const Point to = point(v) - anchor;
                    nearest_.emplace_back(dot(to, to), v);
                });
            const std::size_t count = std::min(options_.open, nearest_.size());
            std::partial_sort(nearest_.begin(), nearest_.begin() + std::ptrdiff_t(count), nearest_.end());
            for (std::size_t k = 0; k < options_.open; ++k) out = write(k < count ? nearest_[k].second : no_vertex, out);
        }
    }

    static std::int32_t *write(Packed v, std::int32_t *out) {
        const bool some = v != no_vertex;
        *out++ = some ? unpack_x(v) : -1;
        *out++ = some ? unpack_y(v) : -1;
        *out++ = some ? unpack_z(v) : -1;
        return out;
    }

  private:
    // Where points and vertices are looked for: the middles of the gate's two edges, or the vertices of a first face.
    std::array<Point, 2> anchors() const {
        const auto [tip, start, end] = gate_;
        switch (phase_) {
        case Phase::turn:
            return {middle(tip, end), middle(tip, start)};
        case Phase::second:
            return {point(tip), point(tip)};
        case Phase::third:
            return {point(tip), point(start)};
        default:
            return {Point{0, -1, 0}, Point{0, -1, 0}};
        }
    }

    // Within a first face, vertices with which its edges would close open ones: once the tip is known those beside it,
    // once the start is known too those behind the start and ahead of the tip.
    Packed behind_second() const {
        if (phase_ == Phase::second) return open_.neighbour(gate_[0], false, no_vertex);
        return phase_ == Phase::third ? open_.neighbour(gate_[1], false, gate_[0]) : no_vertex;
    }
    Packed ahead_third() const {
        if (phase_ == Phase::second) return open_.neighbour(gate_[0], true, no_vertex);
        return phase_ == Phase::third ? open_.neighbour(gate_[0], true, gate_[1]) : no_vertex;
    }

    std::array<Packed, 3> gate_after(Group kind, Packed v) const {
        switch (kind) {
        case Group::bom:
            return {v, no_vertex, no_vertex};
        case Group::second:
            return {gate_[0], v, no_vertex};
        case Group::third:
            return {gate_[0], gate_[1], v};
        case Group::left:
            return {v, gate_[0], gate_[2]};
        default:
            return {v, gate_[1], gate_[0]};
        }
    }

    Point point(Packed v) const {
        const float bins = float(options_.bins);
        return {dequantise(unpack_x(v), bins), dequantise(unpack_y(v), bins), dequantise(unpack_z(v), bins)};
    }
    Point middle(Packed a, Packed b) const { return 0.5f * (point(a) + point(b)); }

    SurfaceOptions options_;
    Phase phase_ = Phase::start;
    std::array<Packed, 3> gate_{no_vertex, no_vertex, no_vertex};
    OpenEdges open_;
    Uncovered uncovered_;
    PlacementCost cost_;
    bool with_faces_ = false;
    FaceIndex faces_;
    std::vector<std::pair<float, Packed>> nearest_;  // scratch of `open_vertices`
};

}  // namespace meto
