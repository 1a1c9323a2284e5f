// The unfinished surfaces of all slots. They are compiled in a file of their own (surfaces.cpp), with the floating-point
// flags of meto: contracted multiply-adds would break ties between points otherwise than in training.
#pragma once

#include <cstdint>
#include <vector>

#include "structs.hpp"

namespace edgerunner {

constexpr int gate_columns = 9, neighbour_columns = 12;

// A row for each surface: meto's Observation.
struct Observed {
    std::vector<int32_t> phase, open_edges, waiting, gate, neighbours, points, open_vertices;
    std::vector<float> uncovered;
    int64_t point_columns, open_columns;
};

class SurfaceSet;

void observe(SurfaceSet& set, int64_t rows, const int64_t* slots, Observed& out);
// corners (x, y, z each) that a group of this kind may not have.
void refused_corners(const SurfaceSet& set, int64_t slot, int32_t kind, std::vector<int32_t>& corners);
// Whether the group may come next in the slot; END may always come.
bool may_come(const SurfaceSet& set, int64_t slot, const int32_t* group);
// Draws one of `count` candidates (count, 4), or END, by their placement costs.
void choose(const SurfaceSet& set, int64_t slot, const int32_t* candidates, int64_t count, float uniform, double end_cover,
            int32_t* group);
// Appends a group that may come; END appends nothing.
void commit(SurfaceSet& set, int64_t slot, const int32_t* group);

}  // namespace edgerunner
