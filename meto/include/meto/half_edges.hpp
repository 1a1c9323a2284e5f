// The half-edge structure of a mesh: face records, and twins found by counting sort (no hashing).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "meto/buffer.hpp"
#include "meto/face.hpp"
#include "meto/twins.hpp"

namespace meto {

template <class Index> [[noreturn]] void throw_bad_index(const Index *faces, std::size_t count, std::size_t vertices) {
    std::size_t i = 0;
    while (i + 1 < 3 * count && faces[i] >= 0 && static_cast<std::uint64_t>(faces[i]) < vertices) ++i;
    throw std::invalid_argument("face " + std::to_string(i / 3) + " has vertex index " + std::to_string(faces[i]) +
                                "; there are " + std::to_string(vertices) + " vertices");
}

class HalfEdges {
  public:
    // Builds the records of `count` faces over `vertices` vertices. Throws std::invalid_argument for a bad index.
    template <class Index> void build(const Index *faces, std::size_t count, std::size_t vertices) {
        if (count > max_faces || vertices > max_vertices)
            throw std::invalid_argument("the mesh has " + std::to_string(count) + " faces and " +
                                        std::to_string(vertices) + " vertices; at most " + std::to_string(max_faces) +
                                        " and " + std::to_string(max_vertices) + " are possible");
        size_ = count;
        fill_records(faces, vertices);
        match_twins(vertices);
    }

    Face *data() { return faces_.data(); }
    std::size_t size() const { return size_; }
    std::size_t bytes() const { return faces_.bytes() + start_.bytes() + entries_.bytes(); }

  private:
    template <class Index> void fill_records(const Index *faces, std::size_t vertices) {
        Face *out = faces_.reserve(size_);
        bool good = true;
        for (std::size_t f = 0; f < size_; ++f) {
            Face record{{0, 0, 0}, {no_edge, no_edge, no_edge}, 0, 0};
            for (int j = 0; j < 3; ++j) {
                const Index v = faces[3 * f + j];
                good &= (v >= 0) & (static_cast<std::uint64_t>(v) < vertices);
                record.vertex[j] = static_cast<std::uint32_t>(v);
            }
            out[f] = record;
        }
        if (!good) throw_bad_index(faces, size_, vertices);
    }

    // Calls each(lower vertex, higher vertex, half edge) in face order.
    template <class Each> void for_each_edge(Each each) const {
        const Face *faces = faces_.data();
        for (std::uint32_t f = 0; f < size_; ++f)
            for (unsigned j = 0; j < 3; ++j) {
                const std::uint32_t s = faces[f].vertex[next_corner(j)], e = faces[f].vertex[prev_corner(j)];
                each(std::min(s, e), std::max(s, e), 4 * f + j);
            }
    }

    void match_twins(std::size_t vertices) {
        std::uint32_t *start = start_.reserve(vertices);
        std::fill_n(start, vertices, 0u);
        for_each_edge([=](std::uint32_t lower, std::uint32_t, HalfEdge) { ++start[lower]; });
        std::uint32_t sum = 0;
        for (std::size_t v = 0; v < vertices; ++v) {
            const std::uint32_t count = start[v];
            start[v] = sum;
            sum += count;
        }
        EdgeEntry *entries = entries_.reserve(3 * size_ + bucket_slack);
        for_each_edge([=](std::uint32_t lower, std::uint32_t higher, HalfEdge h) {
            entries[start[lower]++] = edge_entry(higher, h);
        });
        std::fill_n(entries + 3 * size_, bucket_slack, 0);
        pair_buckets(vertices);
    }

    // The scatter has moved each start to its bucket's end.
    void pair_buckets(std::size_t vertices) {
        const std::uint32_t *start = start_.data();
        EdgeEntry *entries = entries_.data();
        std::size_t begin = 0;
        for (std::size_t v = 0; v < vertices; ++v) {
            if (size_ > large_mesh)
                for (std::size_t i = begin; i < start[v]; ++i)
                    prefetch(faces_.data() + face_of(half_edge_of(entries[std::min(i + 64, 3 * size_ - 1)])));
            if (start[v] - begin > 1) pair_bucket(faces_.data(), entries + begin, start[v] - begin);
            begin = start[v];
        }
    }

    std::size_t size_ = 0;
    Buffer<Face> faces_;
    Buffer<std::uint32_t> start_;
    Buffer<EdgeEntry> entries_;
};

}  // namespace meto
