// Which side of a split is shorter: lengths of the boundary loops of unvisited surface.
#pragma once

#include "meto/face.hpp"

namespace meto {

// Walks a boundary loop of the unvisited surface, half edge by half edge. Only unvisited faces are entered, and those
// are never flipped yet, so next and prev are the input's. One step forwards and one backwards cancel out.
struct BoundaryWalk {
    const Face *faces;

    HalfEdge twin(HalfEdge h) const { return faces[face_of(h)].twin[corner_of(h)]; }

    HalfEdge forward(HalfEdge h) const {
        h = next_of(h);
        for (HalfEdge t = twin(h); is_open(faces, t); t = twin(h)) h = next_of(t);
        return h;
    }
    HalfEdge backward(HalfEdge h) const {
        h = prev_of(h);
        for (HalfEdge t = twin(h); is_open(faces, t); t = twin(h)) h = prev_of(t);
        return h;
    }
};

// Is the loop through `a` shorter than the one through `b`? Both are walked in lock-step, so the cost is the shorter
// one's. When both lie on one loop (the split met a hole, or a handle) the answer is no, and it is found as soon as two
// of the four walkers meet: a hole then costs its own length, not that of the loop it joins.
inline bool shorter_loop(const Face *faces, HalfEdge a, HalfEdge b) {
    const BoundaryWalk walk{faces};
    HalfEdge a_forward = a, a_backward = a, b_forward = b, b_backward = b;
    for (;;) {
        a_forward = walk.forward(a_forward);
        if (a_forward == b_backward) return false;
        b_backward = walk.backward(b_backward);
        if (a_forward == b_backward) return false;
        if (b_backward == b) return false;
        if (a_forward == a) return true;
        a_backward = walk.backward(a_backward);
        if (a_backward == b_forward) return false;
        b_forward = walk.forward(b_forward);
        if (a_backward == b_forward) return false;
    }
}

}  // namespace meto
