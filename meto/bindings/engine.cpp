// Engine: encode, decode and salvage one mesh.
#include "engine.hpp"

#include <nanobind/stl/string.h>

#include <memory>

#include "arrays.hpp"
#include "errors.hpp"
#include "meto/decoder.hpp"
#include "meto/encoder.hpp"

using namespace nanobind::literals;

namespace meto::py {

namespace {

// The thread's encoder, whose scratch memory outlives the call. It is taken out of its place while in use: allocating
// an array may run a finalizer that encodes, too.
class EncoderLease {
  public:
    EncoderLease() : encoder_(std::move(slot())) {
        if (!encoder_) encoder_ = std::make_unique<Encoder>();
    }
    ~EncoderLease() {
        encoder_->trim(keep_bytes);
        slot() = std::move(encoder_);
    }
    EncoderLease(const EncoderLease &) = delete;
    EncoderLease &operator=(const EncoderLease &) = delete;
    Encoder *operator->() { return encoder_.get(); }

  private:
    static constexpr std::size_t keep_bytes = std::size_t(128) << 20;  // about two million faces
    static std::unique_ptr<Encoder> &slot() {
        thread_local std::unique_ptr<Encoder> encoder;
        return encoder;
    }
    std::unique_ptr<Encoder> encoder_;
};

void report(const Engine &engine, std::size_t vertices, std::size_t faces, std::size_t tokens, std::size_t submeshes) {
    nb::print(nb::str("meto {}/{}: {} vertices, {} faces, {} sub-meshes, {} tokens ({:.2f} a face)")
                  .attr("format")(name(engine.language.backend), engine.language.bins, vertices, faces, submeshes,
                                  tokens, faces ? double(tokens) / double(faces) : 0.0));
}

template <class Index>
nb::tuple encode_as(const Engine &engine, const Buffer &vertices, const Buffer &faces, bool mark_out_of_range) {
    const std::size_t num_faces = faces.rows();
    Array<std::int32_t> order(num_faces), type(num_faces);
    EncoderLease encoder;
    std::size_t count;
    {
        nb::gil_scoped_release release;
        count = encoder->traverse(engine.language, vertices.data<float>(), vertices.rows(), faces.data<Index>(),
                                  num_faces, order.data, type.data);
    }
    Array<std::int32_t> tokens(count);
    {
        nb::gil_scoped_release release;
        encoder->write(engine.language, mark_out_of_range, tokens.data);
    }
    if (engine.verbose) report(engine, vertices.rows(), num_faces, count, encoder->submeshes());
    return nb::make_tuple(tokens.object, order.object, type.object);
}

struct Decoded {
    nb::object vertices, faces, face_type;
    Violation violation;
};

Decoded decode_prefix(Language language, nb::object tokens) {
    tokens = ensure<std::int32_t>(tokens, 0, "as_tokens");
    const Buffer buffer(tokens);
    const auto *data = buffer.data<std::int32_t>();
    const std::size_t count = buffer.rows();
    Extent measured, done;
    {
        nb::gil_scoped_release release;
        measured = dispatch(language.backend,
                            [&](auto b) { return scan<b.value>(data, count, language.num_tokens()); });
    }
    Array<float> vertices(measured.vertices, 3);
    Array<std::int32_t> faces(measured.faces, 3), type(measured.faces);
    {
        nb::gil_scoped_release release;
        done = decode(language, data, count, measured, {vertices.data, faces.data, type.data});
    }
    if (done.faces == measured.faces) return {vertices.object, faces.object, type.object, done.violation};
    return {first_rows(vertices.object, done.vertices), first_rows(faces.object, done.faces),
            first_rows(type.object, done.faces), done.violation};
}

}  // namespace

nb::tuple Engine::encode(nb::object vertices, nb::object faces, bool mark_out_of_range) const {
    vertices = ensure<float>(vertices, 3, "as_vertices");
    if (!Buffer(faces).is<std::int32_t>(3)) faces = ensure<std::int64_t>(faces, 3, "as_faces");
    const Buffer v(vertices), f(faces);
    if (f.is<std::int32_t>(3)) return encode_as<std::int32_t>(*this, v, f, mark_out_of_range);
    return encode_as<std::int64_t>(*this, v, f, mark_out_of_range);
}

nb::tuple Engine::decode(nb::object tokens, bool strict) const {
    Decoded d = decode_prefix(language, tokens);
    if (strict && d.violation) throw std::invalid_argument(message(d.violation));
    return nb::make_tuple(d.vertices, d.faces, d.face_type);
}

nb::tuple Engine::salvage(nb::object tokens) const {
    Decoded d = decode_prefix(language, tokens);
    return nb::make_tuple(d.vertices, d.faces, d.face_type, to_python(d.violation));
}

void bind_engine(nb::module_ &m) {
    nb::class_<Engine>(m, "Engine")
        .def(nb::init<std::int64_t, bool, const std::string &>(), "discrete_bins"_a = 512, "verbose"_a = false,
             "backend"_a = "LR_ABSCO")
        .def("encode", &Engine::encode, "vertices"_a.none(), "faces"_a.none(), "mark_out_of_range"_a = false)
        .def("decode", &Engine::decode, "tokens"_a.none(), "strict"_a = true)
        .def("salvage", &Engine::salvage, "tokens"_a.none())
        .def("_encode_flat", &Engine::encode_flat, "vertices"_a, "vertex_offsets"_a, "faces"_a, "face_offsets"_a,
             "mark_out_of_range"_a, "threads"_a)
        .def("_decode_flat", &Engine::decode_flat, "tokens"_a, "token_offsets"_a, "strict"_a, "threads"_a)
        .def_prop_ro("discrete_bins", [](const Engine &e) { return e.language.bins; })
        .def_prop_ro("backend", [](const Engine &e) { return name(e.language.backend); })
        .def_ro("verbose", &Engine::verbose)
        .def_prop_ro("num_base_tokens", [](const Engine &e) { return e.language.num_base(); })
        .def_prop_ro("num_special_tokens", [](const Engine &e) { return e.language.num_special(); })
        .def_prop_ro("num_tokens", [](const Engine &e) { return e.language.num_tokens(); });
}

}  // namespace meto::py
