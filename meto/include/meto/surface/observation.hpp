// What is observed of unfinished surfaces before a step, in arrays with a row for each surface or step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "meto/surface/surface.hpp"

namespace meto {

constexpr std::size_t gate_columns = 9, neighbour_columns = 12;

struct Observation {
    std::int32_t *phase, *open_edges;  // (rows)
    std::int32_t *waiting;             // (rows, 2)
    std::int32_t *gate, *neighbours;   // (rows, gate_columns), (rows, neighbour_columns)
    std::int32_t *points;              // (rows, SurfaceOptions::points())
    float *uncovered;                  // (rows) share of the points
    std::int32_t *open_vertices;       // (rows, SurfaceOptions::open_columns())

    void write(std::size_t row, Surface &surface) const {
        phase[row] = std::int32_t(surface.phase());
        open_edges[row] = std::int32_t(surface.open_edges());
        surface.waiting(waiting + 2 * row);
        surface.gate(gate + gate_columns * row);
        surface.neighbours(neighbours + neighbour_columns * row);
        surface.points(points + surface.options().points() * row);
        uncovered[row] = surface.uncovered();
        surface.open_vertices(open_vertices + surface.options().open_columns() * row);
    }
};

}  // namespace meto
