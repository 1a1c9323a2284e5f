// The record of a face and the names of its half edges.
#pragma once

#include <cstddef>
#include <cstdint>

namespace meto {

// A half edge is 4 * face + j, where j is the corner it is opposite to; it runs from corner j+1 to corner j+2.
using HalfEdge = std::uint32_t;
constexpr HalfEdge no_edge = 0xffffffffu;
constexpr std::size_t max_faces = std::size_t(1) << 29;
constexpr std::size_t max_vertices = 3 * max_faces;

// Meshes of more faces do not fit the caches and gain from prefetching.
constexpr std::size_t large_mesh = std::size_t(1) << 15;

// All that a walk reads of a face, in half a cache line.
struct Face {
    std::uint32_t vertex[3];
    HalfEdge twin[3];
    std::uint32_t visited;
    std::uint32_t mark;  // of whoever floods over the faces
};
static_assert(sizeof(Face) == 32);

inline std::uint32_t face_of(HalfEdge h) { return h >> 2; }
inline unsigned corner_of(HalfEdge h) { return h & 3; }
inline unsigned next_corner(unsigned j) { return j == 2 ? 0 : j + 1; }
inline unsigned prev_corner(unsigned j) { return j == 0 ? 2 : j - 1; }
inline HalfEdge next_of(HalfEdge h) { return (h & ~3u) | next_corner(h & 3); }
inline HalfEdge prev_of(HalfEdge h) { return (h & ~3u) | prev_corner(h & 3); }

inline bool is_open(const Face *faces, HalfEdge twin) { return twin != no_edge && !faces[face_of(twin)].visited; }

}  // namespace meto
