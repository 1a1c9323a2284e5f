// The Python module meto._core.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "arrays.hpp"
#include "meto/decoder.hpp"
#include "meto/encoder.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace meto::py {

// What a thread keeps between calls; more is given back.
constexpr std::size_t keep_bytes = std::size_t(32) << 20;

Encoder &encoder() {
    thread_local Encoder instance;
    return instance;
}

// Python's slow path for arrays that are not yet of the right type: meto._arrays.NAME(object).
nb::object convert(const char *name, nb::handle object) {
    return nb::module_::import_("meto._arrays").attr(name)(object);
}

struct Engine {
    Language language;
    bool verbose;

    Engine(std::int64_t discrete_bins, bool verbose, const std::string &backend)
        : language(meto::language(backend, discrete_bins)), verbose(verbose) {}

    nb::tuple encode(nb::object vertices, nb::object faces, bool mark_out_of_range) const {
        if (!Buffer(vertices).is('f', 4, 3)) vertices = convert("as_vertices", vertices);
        const Buffer f(faces);
        if (f.is('i', 4, 3)) return encode_as<std::int32_t>(Buffer(vertices), f, mark_out_of_range);
        if (f.is('i', 8, 3)) return encode_as<std::int64_t>(Buffer(vertices), f, mark_out_of_range);
        nb::object converted = convert("as_faces", faces);
        return encode_as<std::int64_t>(Buffer(vertices), Buffer(converted), mark_out_of_range);
    }

    template <class Index> nb::tuple encode_as(const Buffer &vertices, const Buffer &faces, bool mark) const {
        Array<std::int32_t> order(faces.rows()), type(faces.rows());
        Encoder &e = encoder();
        std::size_t count;
        {
            nb::gil_scoped_release release;
            count = e.traverse(language, vertices.data<float>(), vertices.rows(), faces.data<Index>(), faces.rows(),
                               order.data, type.data);
        }
        Array<std::int32_t> tokens(count);
        {
            nb::gil_scoped_release release;
            e.write(language, order.data, type.data, mark, tokens.data);
            e.trim(keep_bytes);
        }
        return nb::make_tuple(tokens.object, order.object, type.object);
    }

    // Strict: the mesh, or a ValueError with the position.
    nb::tuple decode(nb::object tokens) const {
        Decoded d = decode_prefix(tokens);
        if (d.violation) throw std::invalid_argument(d.message());
        return nb::make_tuple(d.vertices, d.faces, d.face_type);
    }

    struct Decoded {
        nb::object vertices, faces, face_type;
        Violation violation;
        std::string message() const {
            return "token " + std::to_string(violation.position) + ": " + violation.reason;
        }
    };

    Decoded decode_prefix(nb::object tokens) const {
        if (!Buffer(tokens).is('i', 4)) tokens = convert("as_tokens", tokens);
        const Buffer t(tokens);
        return dispatch(language.backend, [&](auto backend) { return decode_as<backend.value>(t); });
    }

    template <Backend backend> Decoded decode_as(const Buffer &t) const {
        Extent extent;
        const auto *tokens = t.data<std::int32_t>();
        {
            nb::gil_scoped_release release;
            extent = scan<backend>(tokens, t.rows(), language.num_tokens());
        }
        Array<float> vertices(extent.vertices, 3);
        Array<std::int32_t> faces(extent.faces, 3), type(extent.faces);
        Extent done;
        {
            nb::gil_scoped_release release;
            StreamDecoder<backend> decoder(language, tokens, t.rows(), {vertices.data, faces.data, type.data});
            done = decoder.run(extent);
        }
        return {vertices.object, faces.object, type.object, done.violation ? done.violation : extent.violation};
    }
};

}  // namespace meto::py

NB_MODULE(_core, m) {
    using meto::py::Engine;
    nb::class_<Engine>(m, "Engine")
        .def(nb::init<std::int64_t, bool, const std::string &>(), "discrete_bins"_a = 512, "verbose"_a = false,
             "backend"_a = "LR_ABSCO")
        .def("encode", &Engine::encode, "vertices"_a, "faces"_a, "mark_out_of_range"_a = false)
        .def("decode", &Engine::decode, "tokens"_a)
        .def_prop_ro("discrete_bins", [](const Engine &e) { return e.language.bins; })
        .def_prop_ro("backend", [](const Engine &e) { return meto::name(e.language.backend); })
        .def_ro("verbose", &Engine::verbose)
        .def_prop_ro("num_base_tokens", [](const Engine &e) { return e.language.num_base(); })
        .def_prop_ro("num_special_tokens", [](const Engine &e) { return e.language.num_special(); })
        .def_prop_ro("num_tokens", [](const Engine &e) { return e.language.num_tokens(); });
}
