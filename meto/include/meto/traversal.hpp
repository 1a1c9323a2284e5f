// The EdgeBreaker-style walk: visits every face once and records the half edge it was entered by and the op leaving it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "meto/backend.hpp"
#include "meto/boundary.hpp"
#include "meto/buffer.hpp"
#include "meto/face.hpp"

namespace meto {

// A half edge to enter a face by, with the ends of the edge that is crossed (as they are in the face left).
struct Gate {
    HalfEdge edge;
    std::uint32_t start, end;
    std::uint32_t from;  // position in the visiting order of the face left
};

// What a traversal writes, one entry a face in visiting order. The sign bit of `entered` tells where a sub-mesh starts.
struct TraversalOut {
    std::uint32_t *entered;
    std::int32_t *ops;
    std::uint32_t *tips;  // the vertex opposite that half edge
};
constexpr std::uint32_t starts_submesh = 0x80000000u;

template <Backend backend> class Traversal {
    using Op = Ops<backend>;
    static constexpr bool clers = backend == Backend::clers;
    static constexpr bool absolute = backend == Backend::lr_absco;

  public:
    // vertex_visited: one byte a vertex, set for those of the border.
    // walk_steps: how many steps along boundary loops a face are taken before the loops are kept in trees.
    Traversal(Face *faces, std::size_t size, std::uint8_t *vertex_visited, std::vector<Gate> &pending, TraversalOut out,
              std::size_t walk_steps)
        : faces_(faces), size_(size), large_(size > large_mesh), vertex_visited_(vertex_visited), pending_(pending),
          out_(out), walk_steps_(static_cast<std::int64_t>(walk_steps * size)) {}

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
    // The first face is never checked for orientation: its gate is made to agree with it.
    void start_submesh(HalfEdge h) {
        const Face &f = faces_[face_of(h)];
        const std::uint32_t start = f.vertex[next_corner(corner_of(h))], end = f.vertex[prev_corner(corner_of(h))];
        vertex_visited_[start] = vertex_visited_[end] = 1;
        const std::size_t first = visited_;
        ++submeshes_;
        walk({h, end, start, 0});
        out_.entered[first] |= starts_submesh;
    }

    // The latest pending gate whose face is still unvisited. In CLERS a split whose other side has been consumed
    // meanwhile turns out to have been an L.
    bool take_pending(Gate &gate) {
        while (!pending_.empty()) {
            gate = pending_.back();
            pending_.pop_back();
            if (!faces_[face_of(gate.edge)].visited) return true;
            if constexpr (clers) out_.ops[gate.from] = Op::L;
        }
        return false;
    }

    // Visits face after face until the branch ends.
    void walk(Gate gate) {
        for (;;) {
            const std::size_t k = visited_++;
            Face &f = faces_[face_of(gate.edge)];
            if constexpr (absolute)
                if (loops_) loops_->remove(face_of(gate.edge));
            f.visited = 1;
            const unsigned j = corner_of(gate.edge);
            unsigned n = next_corner(j), p = prev_corner(j);
            // Unless the face runs along the edge the other way round than the face left, it is flipped.
            if (f.vertex[n] != gate.end || f.vertex[p] != gate.start) std::swap(n, p);
            const std::uint32_t tip = f.vertex[j];
            out_.entered[k] = gate.edge;
            out_.tips[k] = tip;
            // next runs from the end of the edge entered by to the tip, prev from the tip to its start.
            const Gate to_next{f.twin[n], f.vertex[p], tip, static_cast<std::uint32_t>(k)};
            const Gate to_prev{f.twin[p], tip, f.vertex[n], static_cast<std::uint32_t>(k)};
            if (!vertex_visited_[tip]) {
                vertex_visited_[tip] = 1;
                out_.ops[k] = clers ? Op::C : Op::L;
                gate = to_next;
                if (large_) look_ahead(to_prev.edge);
                continue;
            }
            const bool next_open = is_open(faces_, to_next.edge), prev_open = is_open(faces_, to_prev.edge);
            if (next_open && prev_open) {
                gate = split(k, to_next, to_prev);
            } else if (next_open || prev_open) {
                out_.ops[k] = next_open ? Op::L : Op::R;
                gate = next_open ? to_next : to_prev;
            } else {
                out_.ops[k] = Op::end;
                return;
            }
        }
    }

    Gate split(std::size_t k, const Gate &to_next, const Gate &to_prev) {
        const bool go_next = !absolute || is_shorter(to_next.edge, to_prev.edge);
        out_.ops[k] = clers ? Op::S : go_next ? Op::L : Op::R;
        pending_.push_back(go_next ? to_prev : to_next);
        return go_next ? to_next : to_prev;
    }

    // Is the loop of unvisited surface through `a` shorter than that through `b`?
    bool is_shorter(HalfEdge a, HalfEdge b) {
        if (!loops_) {
            const Shorter answer = shorter_loop(faces_, a, b, walk_steps_);
            if (answer != Shorter::unknown) return answer == Shorter::first;
            loops_ = std::make_unique<BoundaryLoops>();
            loops_->build(faces_, size_);
        }
        return loops_->is_shorter(a, b);
    }

    // A mesh that does not fit the caches would wait for memory at every face. The walk is a spiral: a face left aside
    // now is entered one turn later, and so are its neighbours. They are fetched now, the face itself first.
    void look_ahead(HalfEdge aside) {
        prefetch(faces_ + face_of(aside));
        HalfEdge &slot = aside_[aside_count_++ % look_ahead_steps];
        for (HalfEdge t : faces_[face_of(slot)].twin)
            if (t != no_edge) prefetch(faces_ + face_of(t));
        slot = aside;
    }

    static constexpr std::size_t look_ahead_steps = 8;

    Face *faces_;
    std::size_t size_;
    bool large_;
    std::uint8_t *vertex_visited_;
    std::vector<Gate> &pending_;
    TraversalOut out_;
    HalfEdge aside_[look_ahead_steps] = {};
    std::size_t aside_count_ = 0;
    std::size_t visited_ = 0;
    std::size_t submeshes_ = 0;
    std::int64_t walk_steps_;
    std::unique_ptr<BoundaryLoops> loops_;
};

}  // namespace meto
