// Unfinished surfaces, read a vertex group at a time: many in lock-step, or a whole stream at once.
#include <nanobind/stl/string.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "engine.hpp"
#include "meto/normals.hpp"
#include "meto/shown.hpp"

using namespace nanobind::literals;

namespace meto::py {

namespace {

// What is shown before a step, a row a step.
struct Rows {
    SurfaceOptions options;
    Array<std::int32_t> phase, open, waiting, gate, neighbours, points;
    Array<float> uncovered;
    Array<std::int32_t> open_vertices;

    Rows(SurfaceOptions options, std::size_t rows)
        : options(options), phase(rows), open(rows), waiting(rows, 2), gate(rows, gate_columns), neighbours(rows, neighbour_columns),
          points(rows, std::max<std::size_t>(options.points(), 1)), uncovered(rows),
          open_vertices(rows, std::max<std::size_t>(options.open_columns(), 1)) {}

    void write(std::size_t row, Surface &surface) {
        const Shown shown{phase.data,      open.data,   waiting.data,   gate.data,
                          neighbours.data, points.data, uncovered.data, open_vertices.data};
        shown.write(row, surface);
    }
    nb::tuple objects() const {
        return nb::make_tuple(phase.object, open.object, waiting.object, gate.object, neighbours.object, points.object,
                              uncovered.object, open_vertices.object);
    }
};

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

    void reset(std::size_t b) { surface(b).reset(); }

    void set_points(std::size_t b, nb::object points, bool judged) {
        points = ensure<float>(points, 3, "as_vertices");
        const Buffer buffer(points);
        surface(b).set_points(buffer.data<float>(), buffer.rows(), judged);
    }

    // groups (B, 4): kind, x, y, z of each; a kind of -1 or of the end feeds nothing.
    void feed(nb::object groups) {
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        const Buffer buffer(groups);
        if (buffer.rows() != surfaces_.size())
            throw std::invalid_argument(std::to_string(buffer.rows()) + " groups for " +
                                        std::to_string(surfaces_.size()) + " surfaces");
        const auto *at = buffer.data<std::int32_t>();
        for (std::size_t b = 0; b < surfaces_.size(); ++b, at += 4) feed_to(surfaces_[b], b, at);
    }

    nb::tuple shown() {
        Rows rows(options_, surfaces_.size());
        for (std::size_t b = 0; b < surfaces_.size(); ++b) rows.write(b, surfaces_[b]);
        return rows.objects();
    }

    // groups (B * K, 4), K candidates of each surface in turn -> (B, K + 1) misfits, the last of an end if none of them is
    // one. A kind of -1 is no candidate.
    nb::object misfits(nb::object groups, float end_cover) {
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        const Buffer buffer(groups);
        const std::size_t size = surfaces_.size(), each = buffer.rows() / size;
        if (each * size != buffer.rows())
            throw std::invalid_argument(std::to_string(buffer.rows()) + " candidates for " + std::to_string(size) + " surfaces");
        Array<float> out(size, each + 1);
        const auto *at = buffer.data<std::int32_t>();
        {
            nb::gil_scoped_release release;
            for (std::size_t b = 0; b < size; ++b)
                misfits_of(surfaces_[b], at + 4 * each * b, each, end_cover, out.data + b * (each + 1));
        }
        return out.object;
    }

    // Of candidates (R * K, 4), K of each of the surfaces `which` (R), one each by numbers (R) in [0, 1) -> (R, 4).
    nb::object chosen(nb::object which, nb::object candidates, nb::object uniform, double end_cover) {
        which = ensure<std::int64_t>(which, 0, "as_offsets");
        candidates = ensure<std::int32_t>(candidates, 4, "as_groups");
        uniform = ensure<float>(uniform, 0, "as_numbers");
        const Buffer numbers(which), groups(candidates), drawn(uniform);
        const std::size_t count = numbers.rows(), each = count ? groups.rows() / count : 0;
        if (each * count != groups.rows() || drawn.rows() != count)
            throw std::invalid_argument(std::to_string(groups.rows()) + " candidates and " + std::to_string(drawn.rows()) +
                                        " numbers for " + std::to_string(count) + " surfaces");
        for (std::size_t k = 0; k < count; ++k) surface(std::size_t(numbers.data<std::int64_t>()[k]));  // is there such a one?
        Array<std::int32_t> out(count, 4);
        {
            nb::gil_scoped_release release;
            choose(this, numbers.data<std::int64_t>(), std::int64_t(count), groups.data<std::int32_t>(), std::int64_t(each),
                   drawn.data<float>(), end_cover, out.data);
        }
        return out.object;
    }

    // groups (G, 4) of one whole stream, points (N, 3): what is shown before each of them.
    nb::tuple replay(nb::object groups, nb::object points) {
        groups = ensure<std::int32_t>(groups, 4, "as_groups");
        points = ensure<float>(points, 3, "as_vertices");
        const Buffer buffer(groups), cloud(points);
        Rows rows(options_, buffer.rows());
        const auto *at = buffer.data<std::int32_t>();
        const auto *xyz = cloud.data<float>();
        const std::size_t count = cloud.rows();
        {
            nb::gil_scoped_release release;
            Surface surface(options_);
            surface.set_points(xyz, count);
            for (std::size_t g = 0; g < buffer.rows(); ++g, at += 4) {
                rows.write(g, surface);
                feed_to(surface, g, at);
            }
        }
        return rows.objects();
    }

    // For native code that makes many steps without Python: addresses of this batch and of the three functions below.
    nb::tuple native() {
        const auto address = [](auto *of) { return reinterpret_cast<std::uintptr_t>(of); };
        return nb::make_tuple(address(this), address(&show), address(&choose), address(&feed_some));
    }

  private:
    // Some surfaces are shown, each in the row of its number.
    static std::int32_t show(void *batch, const std::int64_t *which, std::int64_t count, const Shown *out) {
        for (const std::int64_t *b = which; b < which + count; ++b)
            out->write(std::size_t(*b), static_cast<SurfaceBatch *>(batch)->surfaces_[std::size_t(*b)]);
        return 0;
    }
    // Of `each` candidates (count, each, 4), or the end, one for some surfaces, drawn by numbers (count) in [0, 1).
    static std::int32_t choose(void *batch, const std::int64_t *which, std::int64_t count, const std::int32_t *candidates,
                               std::int64_t each, const float *uniform, double end_cover, std::int32_t *groups) {
        std::vector<float> row(std::size_t(each) + 1);
        std::vector<double> cumulative(row.size());
        for (std::int64_t k = 0; k < count; ++k, candidates += 4 * each, groups += 4) {
            const Surface &surface = static_cast<SurfaceBatch *>(batch)->surfaces_[std::size_t(which[k])];
            misfits_of(surface, candidates, std::size_t(each), float(end_cover), row.data());
            const double least = *std::min_element(row.begin(), row.end());
            double sum = 0;
            for (std::size_t i = 0; i < row.size(); ++i) cumulative[i] = sum += std::exp(least - double(row[i]));
            const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), double(uniform[k]) * sum);
            const std::int64_t chosen = at - cumulative.begin();
            const std::int32_t end[4] = {std::int32_t(Group::end), 0, 0, 0};
            const std::int32_t *from = chosen < each ? candidates + 4 * chosen : end;
            std::copy(from, from + 4, groups);
        }
        return 0;
    }
    // Some surfaces take a group each, (count, 4); the end feeds nothing. 1: one of them may not come, and those after it
    // are not taken.
    static std::int32_t feed_some(void *batch, const std::int64_t *which, std::int64_t count, const std::int32_t *groups) {
        for (std::int64_t k = 0; k < count; ++k, groups += 4) {
            try {
                feed_to(static_cast<SurfaceBatch *>(batch)->surfaces_[std::size_t(which[k])], std::size_t(k), groups);
            } catch (const std::invalid_argument &) {  // C cannot be told otherwise
                return 1;
            }
        }
        return 0;
    }

    // Of `each` candidates (each, 4) and of an end that is not among them -> row (each + 1).
    static void misfits_of(const Surface &surface, const std::int32_t *candidates, std::size_t each, float end_cover,
                           float *row) {
        bool ends = surface.uncovered() > 1 - end_cover;
        for (std::size_t k = 0; k < each; ++k) {
            const std::int32_t *at = candidates + 4 * k;
            row[k] = candidate(surface, at, candidates, row);
            ends |= at[0] == std::int32_t(Group::end);
        }
        row[each] = ends ? INFINITY : float(surface.misfit_of_unasked_end());
    }

    // The misfit of a candidate; one that came before, of `first` to it, has it in `known`.
    static float candidate(const Surface &surface, const std::int32_t *group, const std::int32_t *first, const float *known) {
        if (group[0] < 0 || group[0] > std::int32_t(Group::end)) return INFINITY;
        for (const std::int32_t *other = first; other < group; other += 4)
            if (std::equal(group, group + 4, other)) return known[(other - first) / 4];
        return float(surface.misfit(Group(group[0]), group[1], group[2], group[3]));
    }

    static std::size_t checked(const char *name, std::int64_t count) {
        if (count < 0 || count > (1 << 16))
            throw std::invalid_argument(std::string(name) + " is " + std::to_string(count) + "; 0 to 65536 is expected");
        return static_cast<std::size_t>(count);
    }

    static void feed_to(Surface &surface, std::size_t row, const std::int32_t *group) {
        if (group[0] < 0 || group[0] == std::int32_t(Group::end)) return;
        if (group[0] > std::int32_t(Group::end))
            throw std::invalid_argument("group " + std::to_string(row) + ": there is no kind " +
                                        std::to_string(group[0]));
        if (const char *reason = surface.feed(Group(group[0]), group[1], group[2], group[3]))
            throw std::invalid_argument("group " + std::to_string(row) + ": " + reason);
    }

    Surface &surface(std::size_t b) {
        if (b >= surfaces_.size())
            throw std::invalid_argument("surface " + std::to_string(b) + " of " + std::to_string(surfaces_.size()));
        return surfaces_[b];
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
        .def("reset", &SurfaceBatch::reset, "surface"_a)
        .def("set_points", &SurfaceBatch::set_points, "surface"_a, "points"_a, "judged"_a)
        .def("misfits", &SurfaceBatch::misfits, "groups"_a, "end_cover"_a)
        .def("choose", &SurfaceBatch::chosen, "which"_a, "candidates"_a, "uniform"_a, "end_cover"_a)
        .def("feed", &SurfaceBatch::feed, "groups"_a)
        .def("shown", &SurfaceBatch::shown)
        .def("native", &SurfaceBatch::native)
        .def("replay", &SurfaceBatch::replay, "groups"_a, "points"_a);
}

}  // namespace meto::py
