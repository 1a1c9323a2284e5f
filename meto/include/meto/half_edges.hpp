// The half-edge structure: one 32-byte record a face, twins matched by counting sort (no hashing).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "meto/buffer.hpp"

namespace meto {

// A half edge is 4 * face + j, where j is the corner it is opposite to; it runs from corner j+1 to corner j+2.
using HalfEdge = std::uint32_t;
constexpr HalfEdge no_edge = 0xffffffffu;
constexpr std::size_t max_faces = std::size_t(1) << 29;

struct Face {
    std::uint32_t vertex[3];
    HalfEdge twin[3];
    std::uint32_t visited;
    std::uint32_t mark;  // scratch of whoever walks over the faces
};
static_assert(sizeof(Face) == 32);

inline std::uint32_t face_of(HalfEdge h) { return h >> 2; }
inline unsigned corner_of(HalfEdge h) { return h & 3; }
inline unsigned next_corner(unsigned j) { return j == 2 ? 0 : j + 1; }
inline unsigned prev_corner(unsigned j) { return j == 0 ? 2 : j - 1; }
inline HalfEdge next_of(HalfEdge h) { return (h & ~3u) | next_corner(h & 3); }
inline HalfEdge prev_of(HalfEdge h) { return (h & ~3u) | prev_corner(h & 3); }

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
        if (count > max_faces || vertices > 3 * max_faces)
            throw std::invalid_argument("a mesh may have at most " + std::to_string(max_faces) + " faces and " +
                                        std::to_string(3 * max_faces) + " vertices");
        size_ = count;
        fill_records(faces, vertices);
        match_twins(vertices);
    }

    Face *data() { return faces_.data(); }
    std::size_t size() const { return size_; }
    std::size_t bytes() const { return faces_.bytes() + start_.bytes() + entries_.bytes(); }
    void release() { *this = HalfEdges(); }

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

    // Bucket b holds the half edges whose lower vertex is b, as (higher vertex, half edge), in face order.
    void match_twins(std::size_t vertices) {
        const Face *faces = faces_.data();
        std::uint32_t *start = start_.reserve(vertices + 1);
        std::fill_n(start, vertices + 1, 0u);
        for (std::size_t f = 0; f < size_; ++f)
            for (unsigned j = 0; j < 3; ++j) ++start[lower_vertex(faces[f], j)];
        std::uint32_t sum = 0;
        for (std::size_t v = 0; v <= vertices; ++v) {
            const std::uint32_t n = start[v];
            start[v] = sum;
            sum += n;
        }
        std::uint64_t *entries = entries_.reserve(3 * size_);
        for (std::size_t f = 0; f < size_; ++f)
            for (unsigned j = 0; j < 3; ++j)
                entries[start[lower_vertex(faces[f], j)]++] =
                    (std::uint64_t(higher_vertex(faces[f], j)) << 32) | (4 * f + j);
        std::uint32_t begin = 0;  // the scatter has moved each start to its bucket's end
        for (std::size_t v = 0; v < vertices; ++v) {
            match_bucket(entries + begin, entries + start[v]);
            begin = start[v];
        }
    }

    static std::uint32_t lower_vertex(const Face &f, unsigned j) {
        return std::min(f.vertex[next_corner(j)], f.vertex[prev_corner(j)]);
    }
    static std::uint32_t higher_vertex(const Face &f, unsigned j) {
        return std::max(f.vertex[next_corner(j)], f.vertex[prev_corner(j)]);
    }

    // Of each run of equal edges the first half edge is paired with the first later one of another face.
    void match_bucket(std::uint64_t *begin, std::uint64_t *end) {
        std::sort(begin, end);
        while (begin < end) {
            std::uint64_t *other = begin + 1;
            while (other < end && *other >> 32 == *begin >> 32 && face_of(HalfEdge(*other)) == face_of(HalfEdge(*begin)))
                ++other;
            if (other < end && *other >> 32 == *begin >> 32) pair(HalfEdge(*begin), HalfEdge(*other));
            const std::uint64_t edge = *begin >> 32;
            while (begin < end && *begin >> 32 == edge) ++begin;
        }
    }

    void pair(HalfEdge a, HalfEdge b) {
        faces_.data()[face_of(a)].twin[corner_of(a)] = b;
        faces_.data()[face_of(b)].twin[corner_of(b)] = a;
    }

    std::size_t size_ = 0;
    Buffer<Face> faces_;
    Buffer<std::uint32_t> start_;
    Buffer<std::uint64_t> entries_;
};

}  // namespace meto
