// A mesh to tokens: quantise, match twins, find the starts, traverse, write.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/backend.hpp"
#include "meto/half_edges.hpp"
#include "meto/order.hpp"
#include "meto/quantise.hpp"
#include "meto/traversal.hpp"
#include "meto/writer.hpp"

namespace meto {

// Encodes one mesh in two steps, so that the caller allocates the tokens once their number is known. An encoder is
// used again and again, to keep its memory.
class Encoder {
  public:
    // walk_steps: see Traversal.
    explicit Encoder(std::size_t walk_steps = 64) : walk_steps_(walk_steps) {}

    // vertices (V, 3), faces (F, 3); writes face_order (F,), not yet in its final form, and face_type (F,). Returns the
    // number of tokens. Throws std::invalid_argument for a bad vertex or index.
    template <class Index>
    std::size_t traverse(Language language, const float *vertices, std::size_t num_vertices, const Index *faces,
                         std::size_t num_faces, std::int32_t *face_order, std::int32_t *face_type) {
        quantise_vertices(vertices, num_vertices, language.bins, quantised_.reserve(num_vertices));
        mesh_.build(faces, num_faces, num_vertices);
        mark_border(num_vertices);
        walk_ = {reinterpret_cast<std::uint32_t *>(face_order), face_type, tips_.reserve(num_faces)};
        return dispatch(language.backend, [&](auto backend) { return visit_all<backend.value>(); });
    }

    // Writes the tokens of the mesh traversed last, and that call's face_order in its final form. A relative value
    // that has no token is written as -1 if `mark_out_of_range`, else std::invalid_argument names its face.
    void write(Language language, bool mark_out_of_range, std::int32_t *tokens) {
        dispatch(language.backend, [&](auto backend) {
            TokenWriter<backend.value>(language, mesh_.data(), quantised_.data(), mark_out_of_range, tokens)
                .run(mesh_.size(), walk_);
        });
    }

    std::size_t submeshes() const { return submeshes_; }

    // Gives memory back after an unusually large mesh.
    void trim(std::size_t keep_bytes) {
        const std::size_t held = quantised_.bytes() + mesh_.bytes() + vertex_visited_.bytes() + tips_.bytes() +
                                 queue_.bytes() + keys_.capacity() * sizeof(FaceKey) +
                                 pending_.capacity() * sizeof(Gate);
        if (held > keep_bytes) *this = Encoder(walk_steps_);
    }

  private:
    // The ends of a half edge without a twin count as visited from the outset.
    void mark_border(std::size_t num_vertices) {
        std::uint8_t *visited = vertex_visited_.reserve(num_vertices);
        std::fill_n(visited, num_vertices, std::uint8_t(0));
        const Face *faces = mesh_.data();
        for (std::size_t f = 0; f < mesh_.size(); ++f)
            for (unsigned j = 0; j < 3; ++j)
                if (faces[f].twin[j] == no_edge)
                    visited[faces[f].vertex[next_corner(j)]] = visited[faces[f].vertex[prev_corner(j)]] = 1;
    }

    template <Backend backend> std::size_t visit_all() {
        Traversal<backend> traversal(mesh_.data(), mesh_.size(), vertex_visited_.data(), pending_, walk_, walk_steps_);
        FaceOrder order(mesh_.data(), mesh_.size(), quantised_.data(), keys_, queue_);
        if (mesh_.size() > 0) cover(traversal, order, order.lowest());
        if (traversal.visited() < mesh_.size())
            for (const FaceKey &key : order.components()) cover(traversal, order, key.face);
        submeshes_ = traversal.submeshes();
        return TokenWriter<backend>::count(mesh_.size(), submeshes_);
    }

    // Visits the component whose lowest face is given. A walk reaches everything but what hangs on the edge that it
    // started from, and even that unless both ends of the edge lie on the border while the edge does not.
    template <class Walk> void cover(Walk &traversal, FaceOrder &order, std::uint32_t lowest) {
        const Face *faces = mesh_.data();
        const HalfEdge start = start_half_edge(faces, lowest, quantised_.data());
        traversal.run(start);
        const HalfEdge twin = faces[face_of(start)].twin[corner_of(start)];
        if (!is_open(faces, twin)) return;
        for (const FaceKey &key : order.unvisited_around(face_of(twin)))
            if (!faces[key.face].visited) traversal.run(start_half_edge(faces, key.face, quantised_.data()));
    }

    std::size_t walk_steps_;
    Buffer<Packed> quantised_;
    HalfEdges mesh_;
    Buffer<std::uint8_t> vertex_visited_;
    Buffer<std::uint32_t> tips_;
    Buffer<std::uint32_t> queue_;
    std::vector<FaceKey> keys_;
    std::vector<Gate> pending_;
    TraversalOut walk_{};
    std::size_t submeshes_ = 0;
};

}  // namespace meto
