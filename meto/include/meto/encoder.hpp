// A mesh to tokens: quantise, match twins, find the starts, traverse, write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "meto/backend.hpp"
#include "meto/half_edges.hpp"
#include "meto/order.hpp"
#include "meto/quantise.hpp"
#include "meto/traversal.hpp"

namespace meto {

inline void prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    (void)p;
#endif
}

constexpr std::int32_t out_of_range_token = -1;

// Encodes one mesh in two steps, so that the caller allocates the tokens once their number is known:
// `traverse` fills face_order and face_type, `write` the tokens. An encoder is reused to keep its memory.
class Encoder {
  public:
    // vertices (V, 3), faces (F, 3); face_order (F,) and face_type (F,) are written. Returns the number of tokens.
    template <class Index>
    std::size_t traverse(Language language, const float *vertices, std::size_t num_vertices, const Index *faces,
                         std::size_t num_faces, std::int32_t *face_order, std::int32_t *face_type) {
        quantise_vertices(vertices, num_vertices, language.bins, quantised_.reserve(num_vertices));
        mesh_.build(faces, num_faces, num_vertices);
        mark_border(num_vertices);
        return dispatch(language.backend, [&](auto backend) {
            return visit_all<backend.value>(reinterpret_cast<std::uint32_t *>(face_order), face_type);
        });
    }

    // Writes the tokens of the mesh traversed last; face_order is put into its final form. With `mark_out_of_range` a
    // value that does not fit is written as -1, otherwise it throws std::invalid_argument naming the face.
    void write(Language language, std::int32_t *face_order, const std::int32_t *face_type, bool mark_out_of_range,
               std::int32_t *tokens) {
        dispatch(language.backend, [&](auto backend) {
            write_tokens<backend.value>(language, face_order, face_type, mark_out_of_range, tokens);
        });
    }

    std::size_t submeshes() const { return submeshes_; }

    // Gives memory back after an unusually large mesh.
    void trim(std::size_t keep_bytes) {
        const std::size_t held = quantised_.bytes() + mesh_.bytes() + queue_.bytes() + keys_.capacity() * sizeof(FaceKey) + vertex_visited_.bytes() +
                                 pending_.capacity() * sizeof(Gate);
        if (held > keep_bytes) *this = Encoder();
    }

  private:
    void mark_border(std::size_t num_vertices) {
        std::uint8_t *visited = vertex_visited_.reserve(num_vertices);
        std::memset(visited, 0, num_vertices);
        const Face *faces = mesh_.data();
        for (std::size_t f = 0; f < mesh_.size(); ++f)
            for (unsigned j = 0; j < 3; ++j)
                if (faces[f].twin[j] == no_edge)
                    visited[faces[f].vertex[next_corner(j)]] = visited[faces[f].vertex[prev_corner(j)]] = 1;
    }

    template <Backend backend> std::size_t visit_all(std::uint32_t *entered, std::int32_t *ops) {
        Traversal<backend> traversal(mesh_.data(), vertex_visited_.data(), pending_, entered, ops);
        FaceOrder order(mesh_.data(), mesh_.size(), quantised_.data(), keys_, queue_);
        if (mesh_.size() > 0) cover(traversal, order, order.lowest());
        if (traversal.visited() < mesh_.size())
            for (const FaceKey &key : order.components()) cover(traversal, order, key.face);
        submeshes_ = traversal.submeshes();
        return 4 * mesh_.size() + (backend == Backend::clers ? 8 : 6) * submeshes_;
    }

    // Visits the component whose lowest face is given. A walk reaches everything but what hangs on the edge that it
    // started from, and that only when both ends of the edge lie on the border and yet the edge does not.
    template <class Traversal> void cover(Traversal &traversal, FaceOrder &order, std::uint32_t lowest) {
        const Face *faces = mesh_.data();
        const HalfEdge start = start_half_edge(faces, lowest, quantised_.data());
        traversal.run(start);
        const HalfEdge twin = faces[face_of(start)].twin[corner_of(start)];
        if (!is_open(faces, twin)) return;
        for (const FaceKey &key : order.unvisited_around(face_of(twin)))
            if (!faces[key.face].visited) traversal.run(start_half_edge(faces, key.face, quantised_.data()));
    }

    template <Backend backend>
    void write_tokens(Language language, std::int32_t *face_order, const std::int32_t *face_type, bool mark,
                      std::int32_t *out) {
        using Op = Ops<backend>;
        const Face *faces = mesh_.data();
        for (std::size_t k = 0; k < mesh_.size(); ++k) {
            prefetch(faces + face_of(static_cast<std::uint32_t>(face_order[std::min(k + 16, mesh_.size() - 1)]) & ~starts_submesh));
            const auto entered = static_cast<std::uint32_t>(face_order[k]);
            const HalfEdge h = entered & ~starts_submesh;
            const Face &f = faces[face_of(h)];
            const unsigned j = corner_of(h), n = next_corner(j), p = prev_corner(j);
            const Packed *q = quantised_.data();
            const Packed tip = q[f.vertex[j]], start = q[f.vertex[n]], end = q[f.vertex[p]];
            face_order[k] = static_cast<std::int32_t>(face_of(h));
            if (entered & starts_submesh) {
                if (backend == Backend::clers && k > 0) *out++ = Op::E, *out++ = Op::EOM;
                *out++ = Op::BOM;
                out = write_first<backend>(language, tip, start, end, out);
                continue;
            }
            *out++ = face_type[k - 1];
            if constexpr (backend == Backend::lr_absco) {
                out = write_value<backend>(language, tip, out);
            } else {
                const HalfEdge t = f.twin[j];
                const Packed across = q[faces[face_of(t)].vertex[corner_of(t)]];
                out = write_residual<backend>(language, tip + across + packed_bias - start - end, face_of(h), mark, out);
            }
        }
        if (backend == Backend::clers && mesh_.size() > 0) *out++ = Op::E, *out++ = Op::EOM;
    }

    template <Backend backend>
    static std::int32_t *write_first(Language language, Packed tip, Packed start, Packed end, std::int32_t *out) {
        out = write_value<backend>(language, tip, out);
        if constexpr (backend == Backend::lr_absco) {
            out = write_value<backend>(language, start, out);
            return write_value<backend>(language, end, out);
        } else {  // differences of two coordinates always fit
            out = write_residual<backend>(language, start + packed_bias - tip, 0, false, out);
            return write_residual<backend>(language, end + packed_bias - start, 0, false, out);
        }
    }

    template <Backend> static std::int32_t *write_value(Language language, Packed value, std::int32_t *out) {
        const int zero = language.zero();
        out[0] = unpack_x(value) + zero;
        out[1] = unpack_y(value) + zero;
        out[2] = unpack_z(value) + zero;
        return out + 3;
    }

    template <Backend backend>
    static std::int32_t *write_residual(Language language, Packed biased, std::uint32_t face, bool mark,
                                        std::int32_t *out) {
        const int value[3] = {unpack_x(biased) - field_bias, unpack_y(biased) - field_bias,
                              unpack_z(biased) - field_bias};
        const int limit = language.num_base() / 2;
        for (int i = 0; i < 3; ++i) {
            const bool fits = backend == Backend::clers || (value[i] >= -limit && value[i] < limit);
            if (!fits && !mark) throw_out_of_range(value[i], "xyz"[i], face, limit);
            out[i] = fits ? value[i] + language.zero() : out_of_range_token;
        }
        return out + 3;
    }

    [[noreturn]] static void throw_out_of_range(int value, char axis, std::uint32_t face, int limit) {
        throw std::invalid_argument("face " + std::to_string(face) + " has the relative " + axis + " value " +
                                    std::to_string(value) + "; backend LR holds values in [" + std::to_string(-limit) +
                                    ", " + std::to_string(limit) + ")");
    }

    Buffer<Packed> quantised_;
    HalfEdges mesh_;
    Buffer<std::uint32_t> queue_;
    std::vector<FaceKey> keys_;
    Buffer<std::uint8_t> vertex_visited_;
    std::vector<Gate> pending_;
    std::size_t submeshes_ = 0;
};

}  // namespace meto
