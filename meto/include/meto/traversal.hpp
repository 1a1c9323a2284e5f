// The EdgeBreaker-style walk: visits every face once and records the half edge it was entered by and the op leaving it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "meto/backend.hpp"
#include "meto/boundary.hpp"
#include "meto/face.hpp"

namespace meto {

// A half edge to visit later, with the ends of the edge it is entered across (start, end as seen from the face left).
struct Gate {
    HalfEdge edge;
    std::uint32_t start, end;
    std::uint32_t from;  // position in the visiting order of the face left
};

// `entered[k]` is the half edge by which the k-th face was entered, with bit 31 set where a sub-mesh starts;
// `ops[k]` is the op that leaves it. Both have one place a face.
constexpr std::uint32_t starts_submesh = 0x80000000u;

template <Backend backend> class Traversal {
    using Op = Ops<backend>;
    static constexpr bool clers = backend == Backend::clers;

  public:
    Traversal(Face *faces, std::uint8_t *vertex_visited, std::vector<Gate> &pending, std::uint32_t *entered,
              std::int32_t *ops)
        : faces_(faces), vertex_visited_(vertex_visited), pending_(pending), entered_(entered), ops_(ops) {}

    // Visits the sub-mesh that starts at `start` and all that split off from it.
    void run(HalfEdge start) {
        pending_.clear();
        start_submesh(start);
        Gate next;
        while (take_pending(next)) {
            if constexpr (clers)
                walk(next);
            else
                start_submesh(next.edge);
        }
    }

    std::size_t visited() const { return visited_; }
    std::size_t submeshes() const { return submeshes_; }

  private:
    // The first face is never checked for orientation: the gate is set so that it agrees.
    void start_submesh(HalfEdge h) {
        const Face &f = faces_[face_of(h)];
        const std::uint32_t start = f.vertex[next_corner(corner_of(h))], end = f.vertex[prev_corner(corner_of(h))];
        vertex_visited_[start] = vertex_visited_[end] = 1;
        const std::size_t first = visited_;
        ++submeshes_;
        walk({h, end, start, 0});
        entered_[first] |= starts_submesh;
    }

    // The latest pending gate whose face is still unvisited. In CLERS a split whose other side was consumed meanwhile
    // has become an L.
    bool take_pending(Gate &gate) {
        while (!pending_.empty()) {
            gate = pending_.back();
            pending_.pop_back();
            if (!faces_[face_of(gate.edge)].visited) return true;
            if constexpr (clers) ops_[gate.from] = Op::L;
        }
        return false;
    }

    // Visits faces one after the other until a branch ends.
    void walk(Gate gate) {
        for (;;) {
            Face &f = faces_[face_of(gate.edge)];
            f.visited = 1;
            const unsigned j = corner_of(gate.edge);
            unsigned n = next_corner(j), p = prev_corner(j);
            const std::size_t k = visited_++;
            entered_[k] = gate.edge;
            // Orientation: the face must run along the shared edge the other way round, or it is flipped.
            if (f.vertex[n] != gate.end || f.vertex[p] != gate.start) std::swap(n, p);
            const std::uint32_t tip = f.vertex[j], start = f.vertex[n], end = f.vertex[p];
            // The edge c.next runs from c.end to the tip; c.prev from the tip to c.start.
            const Gate to_next{f.twin[n], end, tip, std::uint32_t(k)};
            const Gate to_prev{f.twin[p], tip, start, std::uint32_t(k)};
            if (!vertex_visited_[tip]) {
                vertex_visited_[tip] = 1;
                ops_[k] = clers ? Op::C : Op::L;
                gate = to_next;
                continue;
            }
            const bool next_open = is_open(faces_, to_next.edge), prev_open = is_open(faces_, to_prev.edge);
            if (!next_open && !prev_open) {
                ops_[k] = Op::end;
                return;
            }
            if (next_open != prev_open) {
                ops_[k] = next_open ? Op::L : Op::R;
                gate = next_open ? to_next : to_prev;
                continue;
            }
            gate = split(k, to_next, to_prev);
        }
    }

    Gate split(std::size_t k, const Gate &to_next, const Gate &to_prev) {
        bool go_next = true;
        if constexpr (backend == Backend::lr_absco) go_next = shorter_loop(faces_, to_next.edge, to_prev.edge);
        ops_[k] = clers ? Op::S : go_next ? Op::L : Op::R;
        pending_.push_back(go_next ? to_prev : to_next);
        return go_next ? to_next : to_prev;
    }

    Face *faces_;
    std::uint8_t *vertex_visited_;
    std::vector<Gate> &pending_;
    std::uint32_t *entered_;
    std::int32_t *ops_;
    std::size_t visited_ = 0;
    std::size_t submeshes_ = 0;
};

}  // namespace meto
