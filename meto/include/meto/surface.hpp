// The unfinished surface of a stream that is read a vertex group at a time: the gate that the next face attaches to, the
// open boundary about it, and the points of the target's surface that no face covers yet. What a model that makes one
// face a step is shown before each step.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "meto/backend.hpp"
#include "meto/built.hpp"
#include "meto/fit.hpp"
#include "meto/point.hpp"
#include "meto/quantise.hpp"
#include "meto/triangle.hpp"

namespace meto {

// A group is an op and a vertex: L and R a face each, BOM, second and third the three of a sub-mesh's first face.
enum class Group : std::int32_t { left, right, bom, second, third, end };

// What the next group may be: the first of all, any turn or an end, or the rest of a first face.
enum class Phase : std::int32_t { start, turn, second, third };

constexpr Packed no_vertex = ~Packed(0);

// Half edges that wait for a twin, by vertex: which vertices they lead to, and which lead here.
class OpenEdges {
  public:
    void clear() {
        index_.clear();
        nodes_.clear();
        count_ = 0;
    }
    std::size_t size() const { return count_; }

    void add_face(Packed a, Packed b, Packed c) {
        add_edge(a, b);
        add_edge(b, c);
        add_edge(c, a);
    }

    // Does the half edge a -> b wait for a twin?
    bool waits(Packed a, Packed b) const {
        const auto found = index_.find(a);
        if (found == index_.end()) return false;
        const auto &list = nodes_[found->second].to;
        return std::find(list.begin(), list.end(), b) != list.end();
    }

    // By how much a face would change the number of open half edges.
    int opened_by(Packed a, Packed b, Packed c) const {
        const auto change = [this](Packed from, Packed to) { return waits(to, from) ? -1 : 1; };
        return change(a, b) + change(b, c) + change(c, a);
    }

    // The vertex w of the newest open half edge v -> w (ahead) or w -> v, other than `except`.
    Packed neighbour(Packed v, bool ahead, Packed except) const {
        const auto found = index_.find(v);
        if (found == index_.end()) return no_vertex;
        const auto &list = ahead ? nodes_[found->second].to : nodes_[found->second].from;
        for (auto w = list.rbegin(); w != list.rend(); ++w)
            if (*w != except) return *w;
        return no_vertex;
    }

    // Every vertex at which a half edge waits, to function(v).
    template <typename Function>
    void for_each_vertex(Function function) const {
        for (const Node &node : nodes_)
            if (!node.to.empty() || !node.from.empty()) function(node.vertex);
    }

  private:
    struct Node {
        Packed vertex;
        std::vector<Packed> to, from;
    };

    void add_edge(Packed a, Packed b) {
        Node &tail = node(a);
        if (remove(tail.from, b)) {  // b -> a waited: the two are twins
            remove(node(b).to, a);
            --count_;
            return;
        }
        tail.to.push_back(b);
        node(b).from.push_back(a);
        ++count_;
    }
    Node &node(Packed v) {
        const auto [at, is_new] = index_.try_emplace(v, nodes_.size());
        if (is_new) nodes_.push_back({v, {}, {}});
        return nodes_[at->second];
    }
    static bool remove(std::vector<Packed> &list, Packed v) {
        for (std::size_t i = list.size(); i-- > 0;)
            if (list[i] == v) {
                list.erase(list.begin() + std::ptrdiff_t(i));
                return true;
            }
        return false;
    }

    std::unordered_map<Packed, std::size_t> index_;
    std::vector<Node> nodes_;
    std::size_t count_ = 0;
};

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

// The points of a surface that no face has come near to.
class Uncovered {
  public:
    // count points (x, y, z each). They are kept in y-z-x order, the order in which sub-meshes begin.
    void set(const float *points, std::size_t count) {
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

    // Distance from `to` to the nearest; infinite where none is left.
    float distance(Point to) const {
        float least = INFINITY;
        for (std::size_t i = 0; i < size(); ++i) {
            const Point away = Point{x_[i], y_[i], z_[i]} - to;
            least = std::min(least, dot(away, away));
        }
        return std::sqrt(least);
    }

    // Indices of `count` points about `to`, from the nearest on, ever sparser with the distance: of the `reach` times
    // count nearest those whose ranks grow geometrically. -1 where there are fewer.
    void about(Point to, std::size_t count, std::int32_t *out) {
        if (count == 0) return;
        if (ranks_.size() != count || ranks_of_ != std::min(size(), reach * count)) rank(count);
        nearest_.resize(size());
        for (std::size_t i = 0; i < size(); ++i) {
            const float dx = x_[i] - to.x, dy = y_[i] - to.y, dz = z_[i] - to.z;
            nearest_[i] = by_distance(dx * dx + dy * dy + dz * dz, order_[i]);
        }
        // From the farthest on, for what is nearer than one is not looked at behind it again.
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

    // Indices of `count` points spread evenly over the uncovered ones in y-z-x order, the lowest first.
    void spread(std::size_t count, std::int32_t *out) const {
        for (std::size_t k = 0; k < count; ++k)
            out[k] = size() < count ? (k < size() ? order_[k] : -1) : order_[k * size() / count];
    }

  private:
    std::size_t total_ = 0;
    std::vector<std::int32_t> order_;
    static constexpr std::size_t reach = 16;
    std::vector<float> x_, y_, z_;
    std::vector<std::uint64_t> nearest_;
    std::vector<std::size_t> ranks_;  // that are shown, of the nearest `ranks_of_` points
    std::size_t ranks_of_ = 0;

    // In the order of distances, which are not negative, and then of indices.
    static std::uint64_t by_distance(float squared, std::int32_t index) {
        std::uint32_t bits;
        std::memcpy(&bits, &squared, sizeof bits);
        return std::uint64_t(bits) << 32 | std::uint32_t(index);
    }

    void rank(std::size_t count) {
        ranks_.resize(count);
        ranks_of_ = std::min(size(), reach * count);
        const double growth = count > 1 ? std::pow(double(ranks_of_), 1.0 / double(count - 1)) : 1.0;
        double place = 1;
        for (std::size_t k = 0; k < count; ++k, place *= growth)
            ranks_[k] = std::max(k, std::size_t(place + 1e-6) - 1);
    }
};

// How much of the points is shown at each step, and when a point counts as covered.
struct SurfaceOptions {
    int bins;
    std::size_t near;    // points about each of the two edges that the next face may attach to
    std::size_t spread;  // points spread over all that is uncovered
    float cover;         // distance from a face within which a point is covered
    std::size_t open;    // vertices of the open boundary shown about each of the two edges

    std::size_t points() const { return 2 * near + spread; }
    std::size_t open_columns() const { return 2 * 3 * open; }
};

// Columns of what is shown: the gate's three vertices, then the boundary's neighbours of its left edge (one behind the
// end, one ahead of the tip) and of its right edge (one ahead of the start, one behind the tip).
constexpr std::size_t gate_columns = 9, neighbour_columns = 12;

class Surface {
  public:
    explicit Surface(SurfaceOptions options) : options_(options) {}

    // judged: keep what `misfit` needs.
    void set_points(const float *points, std::size_t count, bool judged = false) {
        uncovered_.set(points, count);
        built_.clear();
        fit_.set(points, judged ? count : 0, options_.cover);
    }

    void reset() {
        phase_ = Phase::start;
        open_.clear();
        uncovered_.set(nullptr, 0);
        built_.clear();
        fit_.set(nullptr, 0, options_.cover);
        gate_ = {no_vertex, no_vertex, no_vertex};
    }

    const SurfaceOptions &options() const { return options_; }
    Phase phase() const { return phase_; }
    std::size_t open_edges() const { return open_.size(); }
    float uncovered() const { return uncovered_.share(); }

    // Why the group is refused, or null. Coordinates are on the grid.
    const char *feed(Group kind, int x, int y, int z) {
        const bool fits = phase_ == Phase::start    ? kind == Group::bom
                          : phase_ == Phase::second ? kind == Group::second
                          : phase_ == Phase::third  ? kind == Group::third
                                                    : kind <= Group::bom;
        if (!fits) return "a group of another kind is expected";
        const auto outside = [this](int q) { return q < 0 || q >= options_.bins; };
        if (outside(x) || outside(y) || outside(z)) return "the vertex is outside the grid";
        take(kind, pack(std::uint32_t(x), std::uint32_t(y), std::uint32_t(z)));
        return nullptr;
    }

    void gate(std::int32_t *out) const {
        for (Packed v : gate_) out = write(v, out);
    }
    // Whether the left and the right edge of the gate still wait for a face; 0 where there is no gate.
    void waiting(std::int32_t *out) const {
        const auto [tip, start, end] = gate_;
        const bool turn = phase_ == Phase::turn;
        out[0] = turn && open_.waits(end, tip);
        out[1] = turn && open_.waits(tip, start);
    }
    void neighbours(std::int32_t *out) const {
        const auto [tip, start, end] = gate_;
        const bool turn = phase_ == Phase::turn;
        out = write(turn ? open_.neighbour(end, false, start) : second_behind(), out);
        out = write(turn ? open_.neighbour(tip, true, start) : third_ahead(), out);
        out = write(turn ? open_.neighbour(start, true, end) : no_vertex, out);
        write(turn ? open_.neighbour(tip, false, end) : no_vertex, out);
    }

    // Where the next group's points are looked for: the middles of the two edges, or the vertices there are.
    std::array<Point, 2> anchors() const {
        const auto [tip, start, end] = gate_;
        switch (phase_) {
        case Phase::turn: return {middle(tip, end), middle(tip, start)};
        case Phase::second: return {point(tip), point(tip)};
        case Phase::third: return {point(tip), point(start)};
        default: return {Point{0, -1, 0}, Point{0, -1, 0}};
        }
    }
    // (2 * open) vertices of the open boundary: the nearest to each anchor, but for those of the gate.
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
    // How badly a group that may come next would fit, see `Fit`; 0 for all where there are no points, or none judged.
    double misfit(Group kind, int x, int y, int z) const {
        if (fit_.size() == 0) return 0;
        if (kind == Group::end) return fit_.end(uncovered_.share(), false);
        const Packed v = pack(std::uint32_t(x), std::uint32_t(y), std::uint32_t(z));
        if (kind == Group::bom) return uncovered_.size() ? fit_.vertex(uncovered_.distance(point(v))) : 3;
        if (kind == Group::second) return fit_.edge(point(gate_[0]), point(v));
        const auto [tip, start, end] = after(kind, v);
        const Torn torn{open_.opened_by(tip, start, end), built_.crowded({tip, start, end}), built_.crossed({tip, start, end})};
        return fit_.face(point(tip), point(start), point(end), torn);
    }
    // The same of an end that was not among the candidates.
    double misfit_of_unasked_end() const {
        return fit_.size() && phase_ == Phase::turn ? fit_.end(uncovered_.share(), true) : INFINITY;
    }

    // (2 * near + spread) indices of points.
    void points(std::int32_t *out) {
        for (const Point &anchor : anchors()) {
            uncovered_.about(anchor, options_.near, out);
            out += options_.near;
        }
        uncovered_.spread(options_.spread, out);
    }

  private:
    // Of a first face (tip, start, end) whose tip is known: its edge tip -> start may close an open one that leads to
    // the tip; with the start known as well, the edge start -> end one that leads to start, end -> tip one from the tip.
    Packed second_behind() const {
        if (phase_ == Phase::second) return open_.neighbour(gate_[0], false, no_vertex);
        return phase_ == Phase::third ? open_.neighbour(gate_[1], false, gate_[0]) : no_vertex;
    }
    Packed third_ahead() const {
        if (phase_ == Phase::second) return open_.neighbour(gate_[0], true, no_vertex);
        return phase_ == Phase::third ? open_.neighbour(gate_[0], true, gate_[1]) : no_vertex;
    }

    // The gate after a group.
    std::array<Packed, 3> after(Group kind, Packed v) const {
        switch (kind) {
        case Group::bom: return {v, no_vertex, no_vertex};
        case Group::second: return {gate_[0], v, no_vertex};
        case Group::third: return {gate_[0], gate_[1], v};
        case Group::left: return {v, gate_[0], gate_[2]};
        default: return {v, gate_[1], gate_[0]};
        }
    }

    void take(Group kind, Packed v) {
        gate_ = after(kind, v);
        phase_ = kind == Group::bom ? Phase::second : kind == Group::second ? Phase::third : Phase::turn;
        if (phase_ != Phase::turn) return fit_.take();
        const auto [tip, start, end] = gate_;
        open_.add_face(tip, start, end);
        uncovered_.cover(point(tip), point(start), point(end), options_.cover);
        if (fit_.size() == 0) return;
        fit_.take(point(tip), point(start), point(end));
        built_.add({tip, start, end});
    }

    Point point(Packed v) const {
        const float bins = float(options_.bins);
        return {dequantise(unpack_x(v), bins), dequantise(unpack_y(v), bins), dequantise(unpack_z(v), bins)};
    }
    Point middle(Packed a, Packed b) const { return 0.5f * (point(a) + point(b)); }

    static std::int32_t *write(Packed v, std::int32_t *out) {
        const bool some = v != no_vertex;
        *out++ = some ? unpack_x(v) : -1;
        *out++ = some ? unpack_y(v) : -1;
        *out++ = some ? unpack_z(v) : -1;
        return out;
    }

    SurfaceOptions options_;
    Phase phase_ = Phase::start;
    OpenEdges open_;
    Uncovered uncovered_;
    Fit fit_;
    Built built_;  // if judged
    std::array<Packed, 3> gate_{no_vertex, no_vertex, no_vertex};
    std::vector<std::pair<float, Packed>> nearest_;  // scratch of `open_vertices`
};

}  // namespace meto
