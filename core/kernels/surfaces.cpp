#include "surfaces.hpp"

#include <cassert>

#include "meto/surface/candidates.hpp"
#include "meto/surface/observation.hpp"

namespace edgerunner {

static_assert(gate_columns == meto::gate_columns && neighbour_columns == meto::neighbour_columns);

class SurfaceSet {
  public:
    std::vector<meto::Surface> surfaces;

    meto::Surface& at(int64_t slot) {
        assert(slot >= 0 && size_t(slot) < surfaces.size());
        return surfaces[size_t(slot)];
    }
    const meto::Surface& at(int64_t slot) const { return const_cast<SurfaceSet*>(this)->at(slot); }
};

void observe(SurfaceSet& set, int64_t rows, const int64_t* slots, Observed& out) {
    const meto::SurfaceOptions& options = set.at(0).options();
    out.point_columns = int64_t(options.points());
    out.open_columns = int64_t(options.open_columns());
    for (std::vector<int32_t>* column : {&out.phase, &out.open_edges}) column->resize(size_t(rows));
    out.uncovered.resize(size_t(rows));
    out.waiting.resize(size_t(2 * rows));
    out.gate.resize(size_t(gate_columns * rows));
    out.neighbours.resize(size_t(neighbour_columns * rows));
    out.points.resize(size_t(out.point_columns * rows));
    out.open_vertices.resize(size_t(out.open_columns * rows));
    const meto::Observation arrays{out.phase.data(),     out.open_edges.data(),   out.waiting.data(),
                                   out.gate.data(),      out.neighbours.data(),   out.points.data(),
                                   out.uncovered.data(), out.open_vertices.data()};
    for (int64_t b = 0; b < rows; b++) arrays.write(size_t(b), set.at(slots[b]));
}

void refused_corners(const SurfaceSet& set, int64_t slot, int32_t kind, std::vector<int32_t>& corners) {
    corners.clear();
    set.at(slot).refused_corners(meto::Group(kind), [&](meto::Packed v) {
        if (v == meto::no_vertex) return;
        corners.resize(corners.size() + 3);
        meto::Surface::write(v, &corners[corners.size() - 3]);
    });
}

bool may_come(const SurfaceSet& set, int64_t slot, const int32_t* group) {
    const meto::Surface& surface = set.at(slot);
    if (group[0] == int32_t(meto::Group::end)) return surface.phase() == meto::Phase::turn;
    if (group[0] < 0 || group[0] > int32_t(meto::Group::end)) return false;
    return !surface.refusal(meto::Group(group[0]), group[1], group[2], group[3]);
}

void choose(const SurfaceSet& set, int64_t slot, const int32_t* candidates, int64_t count, float uniform, double end_cover,
            int32_t* group) {
    meto::choose_candidate(set.at(slot), candidates, size_t(count), uniform, end_cover, group);
}

void commit(SurfaceSet& set, int64_t slot, const int32_t* group) {
    if (group[0] != int32_t(meto::Group::end)) set.at(slot).commit(meto::Group(group[0]), group[1], group[2], group[3]);
}

}  // namespace edgerunner

using edgerunner::SurfaceSet;

extern "C" {

void* surfaces_create(int64_t slots, int64_t bins, int64_t near, int64_t spread, int64_t open, float cover) {
    const meto::SurfaceOptions options{int(bins), size_t(near), size_t(spread), cover, size_t(open)};
    auto* set = new SurfaceSet;
    set->surfaces.assign(size_t(slots), meto::Surface(options));
    return set;
}

void surfaces_destroy(void* set) { delete static_cast<SurfaceSet*>(set); }

void surfaces_begin(void* set, int64_t slot, const float* points, int64_t count, int32_t with_cost, int32_t with_faces) {
    static_cast<SurfaceSet*>(set)->at(slot).begin(points, size_t(count), {with_cost != 0, with_faces != 0});
}

void surfaces_fork(void* set, int64_t source, int64_t target) {
    auto& surfaces = *static_cast<SurfaceSet*>(set);
    surfaces.at(target) = surfaces.at(source);
}

void surfaces_release(void* set, int64_t slot) {
    auto& surface = static_cast<SurfaceSet*>(set)->at(slot);
    surface = meto::Surface(surface.options());
}

// Appends groups (count, 4) to one surface; returns how many may come.
int64_t surfaces_commit(void* set, int64_t slot, const int32_t* groups, int64_t count) {
    auto& surfaces = *static_cast<SurfaceSet*>(set);
    for (int64_t k = 0; k < count; k++) {
        if (!edgerunner::may_come(surfaces, slot, groups + 4 * k)) return k;
        edgerunner::commit(surfaces, slot, groups + 4 * k);
    }
    return count;
}
}
