// Engine: batches as flat arrays with offsets, on several threads.
#include "arrays.hpp"
#include "engine.hpp"
#include "errors.hpp"
#include "meto/batch.hpp"

namespace meto::py {

namespace {

Offsets offsets_of(const char *what, const Buffer &offsets, std::size_t total) {
    return {what, offsets.data<std::int64_t>(), offsets.rows(), total};
}

template <class Index>
nb::tuple encode_as(Language language, const Buffer &vertices, const Buffer &vertex_offsets, const Buffer &faces,
                    const Buffer &face_offsets, bool mark_out_of_range, std::size_t threads) {
    BatchEncoder<Index> batch(language, vertices.data<float>(),
                              offsets_of("vertex_offsets", vertex_offsets, vertices.rows()), faces.data<Index>(),
                              offsets_of("face_offsets", face_offsets, faces.rows()), mark_out_of_range);
    Array<std::int32_t> order(faces.rows()), type(faces.rows());
    {
        nb::gil_scoped_release release;
        batch.run(threads, order.data, type.data);
    }
    Array<std::int64_t> token_offsets(face_offsets.rows());
    Array<std::int32_t> tokens(batch.num_tokens());
    {
        nb::gil_scoped_release release;
        batch.token_offsets(token_offsets.data);
        batch.copy_tokens(tokens.data);
    }
    return nb::make_tuple(tokens.object, token_offsets.object, order.object, type.object);
}

void throw_first_violation(const BatchDecoder &batch) {
    for (std::size_t i = 0; i < batch.extents().size(); ++i)
        if (const Violation &v = batch.extents()[i].violation)
            throw std::invalid_argument("stream " + std::to_string(i) + ": " + message(v));
}

}  // namespace

nb::tuple Engine::encode_flat(nb::object vertices, nb::object vertex_offsets, nb::object faces,
                              nb::object face_offsets, bool mark_out_of_range, std::size_t threads) const {
    vertices = ensure<float>(vertices, 3, "as_vertices");
    if (!Buffer(faces).is<std::int32_t>(3)) faces = ensure<std::int64_t>(faces, 3, "as_faces");
    vertex_offsets = ensure<std::int64_t>(vertex_offsets, 0, "as_offsets");
    face_offsets = ensure<std::int64_t>(face_offsets, 0, "as_offsets");
    const Buffer v(vertices), vo(vertex_offsets), f(faces), fo(face_offsets);
    if (f.is<std::int32_t>(3)) return encode_as<std::int32_t>(language, v, vo, f, fo, mark_out_of_range, threads);
    return encode_as<std::int64_t>(language, v, vo, f, fo, mark_out_of_range, threads);
}

nb::tuple Engine::decode_flat(nb::object tokens, nb::object token_offsets, bool strict, std::size_t threads) const {
    tokens = ensure<std::int32_t>(tokens, 0, "as_tokens");
    token_offsets = ensure<std::int64_t>(token_offsets, 0, "as_offsets");
    const Buffer t(tokens), to(token_offsets);
    BatchDecoder batch(language, t.data<std::int32_t>(), offsets_of("token_offsets", to, t.rows()));
    {
        nb::gil_scoped_release release;
        batch.measure(threads);
    }
    Array<std::int64_t> vertex_offsets(to.rows()), face_offsets(to.rows());
    batch.mesh_offsets(vertex_offsets.data, face_offsets.data);
    Array<float> vertices(std::size_t(vertex_offsets.data[to.rows() - 1]), 3);
    Array<std::int32_t> faces(std::size_t(face_offsets.data[to.rows() - 1]), 3), type(faces.rows);
    const MeshOut out{vertices.data, faces.data, type.data};
    {
        nb::gil_scoped_release release;
        batch.run(threads, vertex_offsets.data, face_offsets.data, out);
        batch.compact(vertex_offsets.data, face_offsets.data, out);
    }
    if (strict) throw_first_violation(batch);
    nb::list violations;
    for (const Extent &e : batch.extents()) violations.append(to_python(e.violation));
    const auto num_vertices = std::size_t(vertex_offsets.data[to.rows() - 1]);
    const auto num_faces = std::size_t(face_offsets.data[to.rows() - 1]);
    return nb::make_tuple(first_rows(vertices.object, num_vertices), vertex_offsets.object,
                          first_rows(faces.object, num_faces), face_offsets.object,
                          first_rows(type.object, num_faces), violations);
}

}  // namespace meto::py
