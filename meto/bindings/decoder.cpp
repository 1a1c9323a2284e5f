// Decoders that are fed tokens as they come: many streams in lock-step, or one.
#include <nanobind/stl/string.h>

#include <vector>

#include "arrays.hpp"
#include "engine.hpp"
#include "errors.hpp"
#include "meto/live_decoder.hpp"

using namespace nanobind::literals;

namespace meto::py {

namespace {

class LiveBatch {
  public:
    LiveBatch(std::int64_t size, std::int64_t discrete_bins, const std::string &backend)
        : language_(language(backend, discrete_bins)) {
        if (size < 1 || size > max_size)
            throw std::invalid_argument("batch_size is " + std::to_string(size) + "; it must be between 1 and " +
                                        std::to_string(max_size));
        streams_.assign(static_cast<std::size_t>(size), LiveDecoder(language_));
        violations_.resize(streams_.size());
    }

    std::size_t size() const { return streams_.size(); }
    const Language &lang() const { return language_; }

    // tokens (B, T): T tokens to each stream; -1 feeds nothing. A stream with a violation takes no more.
    void feed(nb::object tokens) {
        const auto batch = static_cast<Py_ssize_t>(size());
        tokens = nb::module_::import_("meto._arrays").attr("as_token_rows")(tokens, batch);
        const Buffer buffer(tokens);
        const auto *data = buffer.data<std::int32_t>();
        const std::size_t steps = buffer.rows() / size();
        nb::gil_scoped_release release;
        for (std::size_t b = 0; b < size(); ++b)
            for (std::size_t t = 0; t < steps && !violations_[b]; ++t)
                if (const std::int32_t token = data[b * steps + t]; token != -1)
                    if (const char *reason = streams_[b].feed(token)) violations_[b] = {streams_[b].position(), reason};
    }

    // tokens (T,) to one stream, up to the first that is refused; nothing is held against the stream.
    nb::object feed_one(std::size_t b, nb::object tokens) {
        LiveDecoder &s = stream(b);
        tokens = ensure<std::int32_t>(tokens, 0, "as_tokens");
        const Buffer buffer(tokens);
        for (std::size_t t = 0; t < buffer.rows(); ++t)
            if (const char *reason = s.feed(buffer.data<std::int32_t>()[t])) return to_python({s.position(), reason});
        return nb::none();
    }

    LiveDecoder &stream(std::size_t b) {
        if (b >= size())
            throw std::invalid_argument("stream " + std::to_string(b) + " of " + std::to_string(size()) + " streams");
        return streams_[b];
    }

    nb::tuple mesh(std::size_t b) {
        const LiveDecoder &s = stream(b);
        Array<float> vertices(s.vertices().size(), 3);
        Array<std::int32_t> faces(s.faces().size(), 3), type(s.faces().size());
        for (std::size_t i = 0; i < s.vertices().size(); ++i)
            dequantise(s.vertices()[i], float(language_.bins), vertices.data + 3 * i);
        for (std::size_t i = 0; i < s.faces().size(); ++i)
            for (std::size_t k = 0; k < 3; ++k) faces.data[3 * i + k] = std::int32_t(s.faces()[i][k]);
        std::copy(s.face_type().begin(), s.face_type().end(), type.data);
        return nb::make_tuple(vertices.object, faces.object, type.object);
    }

    // Corner positions of the faces from `first` on, (n, 9).
    nb::object triangles(std::size_t b, std::size_t first) {
        const LiveDecoder &s = stream(b);
        first = std::min(first, s.faces().size());
        Array<float> out(s.faces().size() - first, 9);
        float *at = out.data;
        for (std::size_t i = first; i < s.faces().size(); ++i)
            for (std::uint32_t v : s.faces()[i]) dequantise(s.vertices()[v], float(language_.bins), at), at += 3;
        return out.object;
    }

    // (B, 9): the face each next op moves on from, on the grid; -1 where there is none yet.
    nb::object gates() {
        return per_stream(9, [](const LiveDecoder &s, std::int32_t *out) {
            const Triangle &t = s.gate();
            for (const Corner &c : {t.tip, t.start, t.end}) {
                const bool some = !s.faces().empty();
                *out++ = some ? unpack_x(c.at) : -1;
                *out++ = some ? unpack_y(c.at) : -1;
                *out++ = some ? unpack_z(c.at) : -1;
            }
        });
    }

    // (B, 2): the coordinate tokens [first, last) that stay on the grid; 0, 0 where no coordinate is expected.
    nb::object value_ranges() {
        return per_stream(2, [](const LiveDecoder &s, std::int32_t *out) {
            const TokenRange range = s.value_range();
            out[0] = range.first, out[1] = range.last;
        });
    }

    // (B, 3): faces decoded, tokens taken, splits open.
    nb::object counts() {
        return per_stream(3, [](const LiveDecoder &s, std::int32_t *out) {
            out[0] = std::int32_t(s.faces().size());
            out[1] = std::int32_t(s.position());
            out[2] = std::int32_t(s.open_splits());
        });
    }

    nb::list violations() const {
        nb::list out;
        for (const Violation &v : violations_) out.append(to_python(v));
        return out;
    }

    nb::object why_not_end(std::size_t b) {
        const char *reason = stream(b).may_end();
        return reason ? nb::object(nb::str(reason)) : nb::none();
    }

    void reset(std::size_t b) {
        stream(b) = LiveDecoder(language_);
        violations_[b] = {};
    }

  private:
    static constexpr std::int64_t max_size = 1 << 20;

    template <class Write> nb::object per_stream(std::size_t columns, Write write) {
        Array<std::int32_t> out(size(), columns);
        for (std::size_t b = 0; b < size(); ++b) write(streams_[b], out.data + columns * b);
        return out.object;
    }

    Language language_;
    std::vector<LiveDecoder> streams_;
    std::vector<Violation> violations_;
};

}  // namespace

void bind_decoder(nb::module_ &m) {
    nb::class_<LiveBatch>(m, "LiveBatch")
        .def(nb::init<std::int64_t, std::int64_t, const std::string &>(), "batch_size"_a, "discrete_bins"_a,
             "backend"_a)
        .def("feed", &LiveBatch::feed, "tokens"_a.none())
        .def("feed_one", &LiveBatch::feed_one, "stream"_a, "tokens"_a)
        .def("mesh", &LiveBatch::mesh, "stream"_a)
        .def("triangles", &LiveBatch::triangles, "stream"_a, "first"_a)
        .def("gates", &LiveBatch::gates)
        .def("value_ranges", &LiveBatch::value_ranges)
        .def("counts", &LiveBatch::counts)
        .def("violations", &LiveBatch::violations)
        .def("why_not_end", &LiveBatch::why_not_end, "stream"_a)
        .def("reset", &LiveBatch::reset, "stream"_a);
}

}  // namespace meto::py
