// Unfinished surfaces, read a vertex group at a time: many side by side, or a whole stream at once.
#include <nanobind/stl/string.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "engine.hpp"
#include "meto/surface/candidates.hpp"
#include "meto/surface/normals.hpp"
#include "meto/surface/observation.hpp"

using namespace nanobind::literals;

namespace meto::py {

namespace {

// The arrays that an observation is written to; those of no columns get one.
struct ObservedArrays {
    Array<std::int32_t> phase, open, waiting, gate, neighbours, points;
    Array<float> uncovered;
    Array<std::int32_t> open_vertices;

    ObservedArrays(SurfaceOptions options, std::size_t rows)
        : phase(rows),
          open(rows),
          waiting(rows, 2),
          gate(rows, gate_columns),
          neighbours(rows, neighbour_columns),
          points(rows, std::max<std::size_t>(options.points(), 1)),
          uncovered(rows),
          open_vertices(rows, std::max<std::size_t>(options.open_columns(), 1)) {}

    Observation observation() const {
        return {phase.data,      open.data,   waiting.data,   gate.data,
                neighbours.data, points.data, uncovered.data, open_vertices.data};
    }
    nb::tuple objects() const {
        return nb::make_tuple(phase.object, open.object, waiting.object, gate.object, neighbours.object, points.object,
                              uncovered.object, open_vertices.object);
    }
};

std::invalid_argument mismatch(std::size_t count, const char *what, std::size_t surfaces) {
    return std::invalid_argument(std::to_string(count) + " " + what + " for " + std::to_string(surfaces) + " surfaces");
}

class SurfaceBatch {
  public:
    SurfaceBatch(std::int64_t size, std::int64_t bins, std::int64_t near, std::int64_t spread, float cover,
                 std::int64_t open)
        : options_{language("LR_ABSCO", bins).bins, checked("near", near), checked("spread", spread), cover,
                   checked("open", open)} {
        if (size < 1) throw std::invalid_argument("batch_size is " + std::to_string(size) + "; 1 or more is expected");
        if (!(cover >= 0)) throw std::invalid_argument("cover is " + std::to_string(cover) + "; 0 or more is expected");
        surfaces_.assign(static_cast<std::size_t>(size), Surface(options_));
    }

    void begin(std::int64_t b, nb::object points, bool with_cost, bool with_faces) {
        points = ensure<float>(points, 3, "as_vertices");
        const Buffer buffer(points);
        surface(b).begin(buffer.data<float>(), buffer.rows(), {with_cost, with_faces});
    }
    void fork(std::int64_t source, std::int64_t target) { surface(target) = surface(source); }
    void release(std::int64_t b) { surface(b) = Surface(options_); }

    // groups (R, 4): a kind of -1, or END, commits nothing.
    void commit(nb::object which, nb::object groups) {
        which = ensure<std::int64_t>(which, 0, "as_offsets");
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        const Buffer numbers(which), buffer(groups);
        if (buffer.rows() != numbers.rows()) throw mismatch(buffer.rows(), "groups", numbers.rows());
        const auto *at = buffer.data<std::int32_t>();
        for (std::size_t k = 0; k < numbers.rows(); ++k, at += 4)
            commit_to(surface(numbers.data<std::int64_t>()[k]), k, at);
    }

    nb::tuple observe(nb::object which) {
        which = ensure<std::int64_t>(which, 0, "as_offsets");
        const Buffer numbers(which);
        ObservedArrays arrays(options_, numbers.rows());
        const Observation out = arrays.observation();
        for (std::size_t k = 0; k < numbers.rows(); ++k) out.write(k, surface(numbers.data<std::int64_t>()[k]));
        return arrays.objects();
    }

    // (R, 2, width, 3): refused corners of L and R, or of the one kind that may come; -2 beyond them. And the width that
    // would have held them all.
    nb::tuple refused_corners(nb::object which, std::int64_t width) {
        which = ensure<std::int64_t>(which, 0, "as_offsets");
        const Buffer numbers(which);
        const std::size_t room = checked("width", width);
        Array<std::int32_t> out(numbers.rows(), std::max<std::size_t>(6 * room, 1));
        std::size_t needed = 0;
        for (std::size_t k = 0; k < numbers.rows(); ++k) {
            const Surface &one = surface(numbers.data<std::int64_t>()[k]);
            const bool turn = one.phase() == Phase::turn;
            const Group kinds[2] = {turn                           ? Group::left
                                    : one.phase() == Phase::second ? Group::second
                                    : one.phase() == Phase::third  ? Group::third
                                                                   : Group::bom,
                                    turn ? Group::right : Group::bom};
            std::fill_n(out.data + 6 * room * k, 6 * room, -2);
            for (std::size_t side = 0; side < 2; ++side) {
                std::size_t count = 0;
                one.refused_corners(kinds[side], [&](Packed v) {
                    if (v != no_vertex && count < room) Surface::write(v, out.data + 3 * (room * (2 * k + side) + count));
                    count += v != no_vertex;
                });
                needed = std::max(needed, count);
            }
        }
        return nb::make_tuple(out.object, needed);
    }

    // groups (B * K, 4): K candidates of each surface in turn -> (B, K + 1).
    nb::object placement_costs(nb::object groups, float end_cover) {
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        const Buffer buffer(groups);
        const std::size_t size = surfaces_.size(), each = buffer.rows() / size;
        if (each * size != buffer.rows()) throw mismatch(buffer.rows(), "candidates", size);
        Array<float> out(size, each + 1);
        const auto *at = buffer.data<std::int32_t>();
        {
            nb::gil_scoped_release release;
            for (std::size_t b = 0; b < size; ++b)
                meto::placement_costs(surfaces_[b], at + 4 * each * b, each, end_cover, out.data + b * (each + 1));
        }
        return out.object;
    }

    // candidates (R * K, 4), K of each of the surfaces (R), drawn by numbers (R) in [0, 1) -> (R, 4).
    nb::object choose(nb::object which, nb::object candidates, nb::object uniform, double end_cover) {
        which = ensure<std::int64_t>(which, 0, "as_offsets");
        candidates = ensure<std::int32_t>(candidates, 4, "as_groups");
        uniform = ensure<float>(uniform, 0, "as_numbers");
        const Buffer numbers(which), groups(candidates), drawn(uniform);
        const std::size_t count = numbers.rows(), each = count ? groups.rows() / count : 0;
        if (each * count != groups.rows()) throw mismatch(groups.rows(), "candidates", count);
        if (drawn.rows() != count) throw mismatch(drawn.rows(), "numbers", count);
        std::vector<const Surface *> chosen;
        for (std::size_t k = 0; k < count; ++k) chosen.push_back(&surface(numbers.data<std::int64_t>()[k]));
        Array<std::int32_t> out(count, 4);
        const auto *at = groups.data<std::int32_t>();
        const auto *number = drawn.data<float>();
        {
            nb::gil_scoped_release release;
            for (std::size_t k = 0; k < count; ++k)
                choose_candidate(*chosen[k], at + 4 * each * k, each, number[k], end_cover, out.data + 4 * k);
        }
        return out.object;
    }

    // groups (G, 4) of one whole stream, points (N, 3): what is observed before each group.
    nb::tuple replay(nb::object groups, nb::object points) {
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        points = ensure<float>(points, 3, "as_vertices");
        const Buffer buffer(groups), cloud(points);
        ObservedArrays arrays(options_, buffer.rows());
        const Observation out = arrays.observation();
        const auto *at = buffer.data<std::int32_t>();
        const auto *xyz = cloud.data<float>();
        const std::size_t count = cloud.rows();
        {
            nb::gil_scoped_release release;
            Surface surface(options_);
            surface.begin(xyz, count);
            for (std::size_t g = 0; g < buffer.rows(); ++g, at += 4) {
                out.write(g, surface);
                commit_to(surface, g, at);
            }
        }
        return arrays.objects();
    }

  private:
    static std::size_t checked(const char *name, std::int64_t count) {
        if (count < 0 || count > (1 << 16))
            throw std::invalid_argument(std::string(name) + " is " + std::to_string(count) + "; 0 to 65536 is expected");
        return static_cast<std::size_t>(count);
    }

    static void commit_to(Surface &surface, std::size_t row, const std::int32_t *group) {
        if (group[0] < 0 || group[0] == std::int32_t(Group::end)) return;
        const std::string name = "group " + std::to_string(row);
        if (group[0] > std::int32_t(Group::end))
            throw std::invalid_argument(name + ": there is no kind " + std::to_string(group[0]));
        if (const char *reason = surface.refusal(Group(group[0]), group[1], group[2], group[3]))
            throw std::invalid_argument(name + ": " + reason);
        surface.commit(Group(group[0]), group[1], group[2], group[3]);
    }

    Surface &surface(std::int64_t b) {
        if (b < 0 || std::size_t(b) >= surfaces_.size())
            throw std::invalid_argument("surface " + std::to_string(b) + " of " + std::to_string(surfaces_.size()));
        return surfaces_[std::size_t(b)];
    }

    SurfaceOptions options_;
    std::vector<Surface> surfaces_;
};

nb::object normals(nb::object points, std::int64_t neighbours) {
    if (neighbours < 3) throw std::invalid_argument("neighbours is " + std::to_string(neighbours) + "; 3 or more");
    points = ensure<float>(points, 3, "as_vertices");
    const Buffer buffer(points);
    Array<float> out(buffer.rows(), 3);
    const auto *xyz = buffer.data<float>();
    const std::size_t count = buffer.rows();
    {
        nb::gil_scoped_release release;
        estimate_normals(xyz, count, static_cast<std::size_t>(neighbours), out.data);
    }
    return out.object;
}

}  // namespace

void bind_surface(nb::module_ &m) {
    m.def("estimate_normals", &normals, "points"_a, "neighbours"_a);
    nb::class_<SurfaceBatch>(m, "SurfaceBatch")
        .def(nb::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, float, std::int64_t>(), "batch_size"_a,
             "discrete_bins"_a, "near"_a, "spread"_a, "cover"_a, "open"_a)
        .def("begin", &SurfaceBatch::begin, "surface"_a, "points"_a, "with_cost"_a, "with_faces"_a)
        .def("fork", &SurfaceBatch::fork, "source"_a, "target"_a)
        .def("release", &SurfaceBatch::release, "surface"_a)
        .def("commit", &SurfaceBatch::commit, "surfaces"_a, "groups"_a)
        .def("observe", &SurfaceBatch::observe, "surfaces"_a)
        .def("refused_corners", &SurfaceBatch::refused_corners, "surfaces"_a, "width"_a)
        .def("placement_costs", &SurfaceBatch::placement_costs, "groups"_a, "end_cover"_a)
        .def("choose", &SurfaceBatch::choose, "surfaces"_a, "candidates"_a, "uniform"_a, "end_cover"_a)
        .def("replay", &SurfaceBatch::replay, "groups"_a, "points"_a);
}

}  // namespace meto::py
