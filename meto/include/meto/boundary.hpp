// Which side of a split is shorter: the lengths of the boundary loops of the surface that is still unvisited.
//
// Take twins as a permutation that maps a half edge to its twin where the face there is unvisited, and else to itself
// (a boundary half edge). Going to the twin and then to `next` permutes the half edges of the unvisited faces; its
// orbits run around the vertices. Left with boundary half edges only, they are the boundary loops. None of this needs
// the faces to be oriented alike: unvisited faces are never flipped yet.
#pragma once

#include <cstddef>
#include <cstdint>

#include "meto/cycles.hpp"
#include "meto/face.hpp"

namespace meto {

// Walks a boundary loop. One step forwards and one backwards cancel out.
struct BoundaryWalk {
    const Face *faces;
    std::int64_t steps = 0;  // taken so far, those around vertices included

    HalfEdge twin(HalfEdge h) const { return faces[face_of(h)].twin[corner_of(h)]; }

    HalfEdge forward(HalfEdge h) {
        h = next_of(h);
        for (HalfEdge t = twin(h); is_open(faces, t); t = twin(h), ++steps) h = next_of(t);
        ++steps;
        return h;
    }
    HalfEdge backward(HalfEdge h) {
        h = prev_of(h);
        for (HalfEdge t = twin(h); is_open(faces, t); t = twin(h), ++steps) h = prev_of(t);
        ++steps;
        return h;
    }
};

enum class Shorter { first, not_first, unknown };

// Is the loop through `a` shorter than the one through `b`? Both are walked in lock-step, so the cost is the shorter
// one's. When both lie on one loop (the split met a hole, or a handle) the answer is no, and it is found as soon as two
// of the four walkers meet: a hole then costs its own length, not that of the loop it joins. `steps` is the number of
// steps it may take, less those it took.
inline Shorter shorter_loop(const Face *faces, HalfEdge a, HalfEdge b, std::int64_t &steps) {
    BoundaryWalk walk{faces};
    HalfEdge a_forward = a, a_backward = a, b_forward = b, b_backward = b;
    const auto answer = [&](Shorter s) {
        steps -= walk.steps;
        return s;
    };
    while (walk.steps <= steps) {
        a_forward = walk.forward(a_forward);
        if (a_forward == b_backward) return answer(Shorter::not_first);
        b_backward = walk.backward(b_backward);
        if (a_forward == b_backward || b_backward == b) return answer(Shorter::not_first);
        if (a_forward == a) return answer(Shorter::first);
        a_backward = walk.backward(a_backward);
        if (a_backward == b_forward) return answer(Shorter::not_first);
        b_forward = walk.forward(b_forward);
        if (a_backward == b_forward) return answer(Shorter::not_first);
    }
    return answer(Shorter::unknown);
}

// All boundary loops, kept up to date as faces are visited. Much slower than walking on nearly every mesh, but a mesh
// with very many handles makes the walks add up to quadratic time, and this to n log n.
class BoundaryLoops {
  public:
    // Of the faces that are unvisited now.
    void build(const Face *faces, std::size_t size) {
        faces_ = faces;
        cycles_.clear(4 * size);
        BoundaryWalk walk{faces};
        for (std::uint32_t f = 0; f < size; ++f)
            for (unsigned j = 0; j < 3 && !faces[f].visited; ++j)
                if (const HalfEdge h = 4 * f + j; !is_open(faces, twin(h)) && !is_boundary(h)) {
                    cycles_.insert(h);
                    for (HalfEdge last = h, i = walk.forward(h); i != h; last = i, i = walk.forward(i)) {
                        cycles_.insert(i);
                        cycles_.splice(last, i);
                    }
                }
    }

    // The face is visited: cuts it off along all its edges, and away.
    void remove(std::uint32_t face) {
        for (unsigned j = 0; j < 3; ++j)
            if (!is_boundary(4 * face + j)) cut(4 * face + j);
        for (unsigned j = 0; j < 3; ++j) cycles_.erase(4 * face + j);
    }

    bool is_shorter(HalfEdge a, HalfEdge b) { return !cycles_.same(a, b) && cycles_.size(a) < cycles_.size(b); }

  private:
    // Where a half edge inside lies: between which boundary half edges on its way around the vertex.
    struct Gap {
        HalfEdge before = no_edge;  // none: the way around the vertex meets no boundary
        bool other_here = false;    // none: does it meet the twin? Else, if that lies in the same gap: is it before?
    };

    HalfEdge twin(HalfEdge h) const { return faces_[face_of(h)].twin[corner_of(h)]; }
    bool is_boundary(HalfEdge h) const { return cycles_.contains(h); }

    // Looks both ways at once, which costs the shorter one.
    Gap find_gap(HalfEdge h, HalfEdge other) {
        HalfEdge back = h, ahead = h;
        bool other_back = false, other_ahead = false;
        for (;;) {
            back = prev_of(back);
            if (is_boundary(back)) return {back, other_back};
            back = twin(back);
            other_back |= back == other;
            if (back == ahead) break;
            ahead = next_of(twin(ahead));
            if (is_boundary(ahead)) return {cycles_.before(ahead), !other_ahead};
            other_ahead |= ahead == other;
            if (back == ahead) break;
        }
        return {no_edge, other_back || other_ahead};
    }

    // Makes an edge inside a boundary: both its half edges stop being passed and are stopped at.
    void cut(HalfEdge h) {
        const HalfEdge t = twin(h);
        const Gap at_h = find_gap(h, t), at_t = find_gap(t, h);
        cycles_.insert(h);
        cycles_.insert(t);
        if (at_h.before == at_t.before && (at_h.before != no_edge || at_h.other_here)) {
            // On one way around a vertex, what lies between the two closes behind the second.
            if (at_h.before != no_edge) cycles_.splice(at_h.before, at_h.other_here ? t : h);
            return;
        }
        if (at_h.before != no_edge) cycles_.splice(at_h.before, h);
        if (at_t.before != no_edge) cycles_.splice(at_t.before, t);
        cycles_.splice(h, t);
    }

    const Face *faces_ = nullptr;
    Cycles cycles_;
};

}  // namespace meto
