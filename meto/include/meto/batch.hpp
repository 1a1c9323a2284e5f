// Many meshes at once, as flat arrays with offsets: item i lies at [offsets[i], offsets[i + 1]).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "meto/backend.hpp"
#include "meto/decoder.hpp"
#include "meto/encoder.hpp"
#include "meto/parallel.hpp"

namespace meto {

// Offsets of n items: n + 1 of them, from 0 to the size of the flat array, never falling. A checked copy.
class Offsets {
  public:
    Offsets(const char *what, const std::int64_t *offsets, std::size_t size, std::size_t total)
        : at_(offsets, offsets + size) {
        if (size == 0) throw std::invalid_argument(std::string(what) + " are empty; n + 1 are expected for n items");
        if (at_.front() != 0 || static_cast<std::uint64_t>(at_.back()) != total)
            throw std::invalid_argument(std::string(what) + " run from " + std::to_string(at_.front()) + " to " +
                                        std::to_string(at_.back()) + "; 0 to " + std::to_string(total) +
                                        " is expected");
        for (std::size_t i = 0; i < count(); ++i)
            if (at_[i + 1] < at_[i])
                throw std::invalid_argument(std::string(what) + " fall from " + std::to_string(at_[i]) + " to " +
                                            std::to_string(at_[i + 1]) + " at item " + std::to_string(i));
    }
    std::size_t count() const { return at_.size() - 1; }
    std::size_t operator[](std::size_t i) const { return static_cast<std::size_t>(at_[i]); }
    std::size_t size(std::size_t i) const { return static_cast<std::size_t>(at_[i + 1] - at_[i]); }

  private:
    std::vector<std::int64_t> at_;
};

// Runs work(i) and puts "mesh i: " before the message of an std::invalid_argument.
template <class Work> void name_item(const char *what, std::size_t i, Work work) {
    try {
        work();
    } catch (const std::invalid_argument &e) {
        throw std::invalid_argument(std::string(what) + " " + std::to_string(i) + ": " + e.what());
    }
}

// Encodes a batch. `run` fills face_order and face_type; the tokens, whose number is known only then, are held until
// `copy_tokens`.
template <class Index> class BatchEncoder {
  public:
    BatchEncoder(Language language, const float *vertices, Offsets vertex_offsets, const Index *faces,
                 Offsets face_offsets, bool mark_out_of_range)
        : language_(language), vertices_(vertices), vertex_offsets_(vertex_offsets), faces_(faces),
          face_offsets_(face_offsets), mark_(mark_out_of_range), tokens_(face_offsets.count()),
          sizes_(face_offsets.count()) {
        if (vertex_offsets.count() != face_offsets.count())
            throw std::invalid_argument("there are vertices of " + std::to_string(vertex_offsets.count()) +
                                        " meshes and faces of " + std::to_string(face_offsets.count()));
    }

    void run(std::size_t threads, std::int32_t *face_order, std::int32_t *face_type) {
        threads = thread_count(threads, sizes_.size());
        std::vector<Encoder> encoders(threads);
        parallel_for(sizes_.size(), threads, [&](std::size_t i, std::size_t thread) {
            name_item("mesh", i, [&] { encode(encoders[thread], i, face_order, face_type); });
        });
    }

    // offsets: one more than there are meshes.
    void token_offsets(std::int64_t *offsets) const {
        offsets[0] = 0;
        for (std::size_t i = 0; i < sizes_.size(); ++i) offsets[i + 1] = offsets[i] + std::int64_t(sizes_[i]);
    }

    std::size_t num_tokens() const { return std::accumulate(sizes_.begin(), sizes_.end(), std::size_t(0)); }

    void copy_tokens(std::int32_t *out) const {
        for (std::size_t i = 0; i < sizes_.size(); ++i) out = std::copy_n(tokens_[i].get(), sizes_[i], out);
    }

  private:
    void encode(Encoder &encoder, std::size_t i, std::int32_t *face_order, std::int32_t *face_type) {
        face_order += face_offsets_[i];
        face_type += face_offsets_[i];
        sizes_[i] = encoder.traverse(language_, vertices_ + 3 * vertex_offsets_[i], vertex_offsets_.size(i),
                                     faces_ + 3 * face_offsets_[i], face_offsets_.size(i), face_order, face_type);
        tokens_[i].reset(new std::int32_t[sizes_[i]]);
        encoder.write(language_, mark_, tokens_[i].get());
    }

    Language language_;
    const float *vertices_;
    Offsets vertex_offsets_;
    const Index *faces_;
    Offsets face_offsets_;
    bool mark_;
    std::vector<std::unique_ptr<std::int32_t[]>> tokens_;
    std::vector<std::size_t> sizes_;
};

// Decodes a batch: `measure` finds the sizes and `run` fills arrays of those sizes. Where a relative value leaves the
// grid a mesh comes out smaller than measured; `compact` closes the gaps.
class BatchDecoder {
  public:
    BatchDecoder(Language language, const std::int32_t *tokens, Offsets offsets)
        : language_(language), tokens_(tokens), offsets_(offsets), extents_(offsets.count()) {}

    void measure(std::size_t threads) {
        parallel_for(extents_.size(), thread_count(threads, extents_.size()), [&](std::size_t i, std::size_t) {
            extents_[i] = dispatch(language_.backend, [&](auto backend) {
                return scan<backend.value>(tokens_ + offsets_[i], offsets_.size(i), language_.num_tokens());
            });
        });
    }

    // vertex_offsets, face_offsets: one more than there are streams.
    void mesh_offsets(std::int64_t *vertex_offsets, std::int64_t *face_offsets) const {
        vertex_offsets[0] = face_offsets[0] = 0;
        for (std::size_t i = 0; i < extents_.size(); ++i) {
            vertex_offsets[i + 1] = vertex_offsets[i] + std::int64_t(extents_[i].vertices);
            face_offsets[i + 1] = face_offsets[i] + std::int64_t(extents_[i].faces);
        }
    }

    void run(std::size_t threads, const std::int64_t *vertex_offsets, const std::int64_t *face_offsets, MeshOut out) {
        parallel_for(extents_.size(), thread_count(threads, extents_.size()), [&](std::size_t i, std::size_t) {
            const MeshOut mesh{out.vertices + 3 * vertex_offsets[i], out.faces + 3 * face_offsets[i],
                               out.face_type + face_offsets[i]};
            extents_[i] = decode(language_, tokens_ + offsets_[i], offsets_.size(i), extents_[i], mesh);
        });
    }

    void compact(std::int64_t *vertex_offsets, std::int64_t *face_offsets, MeshOut out) const {
        std::int64_t vertex = 0, face = 0;
        for (std::size_t i = 0; i < extents_.size(); ++i) {
            const std::int64_t from_vertex = vertex_offsets[i], from_face = face_offsets[i];
            const auto vertices = std::int64_t(extents_[i].vertices), faces = std::int64_t(extents_[i].faces);
            std::copy_n(out.vertices + 3 * from_vertex, 3 * vertices, out.vertices + 3 * vertex);
            std::copy_n(out.faces + 3 * from_face, 3 * faces, out.faces + 3 * face);
            std::copy_n(out.face_type + from_face, faces, out.face_type + face);
            vertex_offsets[i] = vertex, face_offsets[i] = face;
            vertex += vertices, face += faces;
        }
        vertex_offsets[extents_.size()] = vertex, face_offsets[extents_.size()] = face;
    }

    const std::vector<Extent> &extents() const { return extents_; }

  private:
    Language language_;
    const std::int32_t *tokens_;
    Offsets offsets_;
    std::vector<Extent> extents_;
};

}  // namespace meto
