// The triangle that decoding moves about, and how a coordinate is read relative to it.
#pragma once

#include <cstdint>
#include <vector>

#include "meto/backend.hpp"
#include "meto/quantise.hpp"

namespace meto {

struct Corner {
    std::uint32_t id;  // index of the decoded vertex
    Packed at;         // where it is on the grid
};

// The face decoded last, as (tip, start, end) of the half edge it was entered by.
struct Triangle {
    Corner tip{}, start{}, end{};

    // Moves to a new vertex, across the edge from the tip to start (right) or from end to the tip (left). Which way a
    // stream turns is unpredictable: no branches.
    void move(bool right, Corner to) {
        start = select(right, start, tip);
        end = select(right, tip, end);
        tip = to;
    }
    // Fourth corner of the parallelogram over that edge, biased so that no field borrows.
    Packed predict(bool right) const {
        const Packed ahead = start.at - end.at;
        return tip.at + packed_bias + (right ? ahead : Packed(0) - ahead);
    }

  private:
    static Corner select(bool first, Corner a, Corner b) { return {first ? a.id : b.id, first ? a.at : b.at}; }
};

// What an op does before its new vertex is known: S remembers the triangle, E goes back to the one remembered last.
// Returns whether the edge to cross is the right one.
template <Backend backend> bool follow(std::int32_t op, Triangle &triangle, std::vector<Triangle> &splits) {
    using Op = Ops<backend>;
    if constexpr (backend == Backend::clers) {
        if (op == Op::S) splits.push_back(triangle);
        if (op == Op::E) {
            triangle = splits.back();
            splits.pop_back();
            return true;
        }
    }
    return op == Op::R;
}

constexpr const char *leaves_grid = "the relative value leaves the grid";

// Adds three relative values (tokens less `zero`) to a biased point. Returns the first axis that leaves the grid, or 3.
inline int add_values(Packed biased, const std::int32_t *tokens, int zero, int bins, Packed &out) {
    const int x = unpack_x(biased) - field_bias + (tokens[0] - zero);
    const int y = unpack_y(biased) - field_bias + (tokens[1] - zero);
    const int z = unpack_z(biased) - field_bias + (tokens[2] - zero);
    const auto outside = [bins](int q) { return static_cast<std::uint32_t>(q) >= static_cast<std::uint32_t>(bins); };
    if (outside(x)) return 0;
    if (outside(y)) return 1;
    if (outside(z)) return 2;
    out = pack(static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), static_cast<std::uint32_t>(z));
    return 3;
}

inline void dequantise(Packed at, float bins, float *out) {
    out[0] = dequantise(unpack_x(at), bins);
    out[1] = dequantise(unpack_y(at), bins);
    out[2] = dequantise(unpack_z(at), bins);
}

}  // namespace meto
