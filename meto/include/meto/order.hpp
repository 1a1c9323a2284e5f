// Where sub-meshes start: connected components in the order of their lowest face, and each face's start half edge.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/half_edges.hpp"
#include "meto/quantise.hpp"

namespace meto {

// Faces are ordered by centre (y, z, x), then by input index. Three times the centre is the sum of the packed corners.
inline Packed centre(const Face &f, const Packed *vertices) {
    return vertices[f.vertex[0]] + vertices[f.vertex[1]] + vertices[f.vertex[2]];
}

struct FaceKey {
    Packed centre;
    std::uint32_t face;
    bool operator<(const FaceKey &o) const { return centre != o.centre ? centre < o.centre : face < o.face; }
};

// A connected component (through twins): its lowest face, and where its faces lie in the flood's queue.
struct Component {
    FaceKey lowest;
    std::uint32_t begin, end;
};

// Sorting all faces is not needed: a traversal nearly always covers the whole component from its lowest face.
class Components {
  public:
    void find(HalfEdges &mesh, const Packed *vertices) {
        Face *faces = mesh.data();
        const auto size = static_cast<std::uint32_t>(mesh.size());
        queue_.reserve(size);
        found_.clear();
        std::uint32_t used = 0;
        for (std::uint32_t f = 0; f < size; ++f)
            if (!faces[f].mark) {
                found_.push_back(flood(faces, vertices, f, used));
                used = found_.back().end;
            }
        std::sort(found_.begin(), found_.end(),
                  [](const Component &a, const Component &b) { return a.lowest < b.lowest; });
    }

    const std::vector<Component> &all() const { return found_; }

    // The component's faces that are still to visit, in order.
    std::vector<FaceKey> unvisited(const Component &c, const Face *faces, const Packed *vertices) const {
        std::vector<FaceKey> left;
        for (std::uint32_t i = c.begin; i < c.end; ++i) {
            const std::uint32_t f = queue_.data()[i];
            if (!faces[f].visited) left.push_back({centre(faces[f], vertices), f});
        }
        std::sort(left.begin(), left.end());
        return left;
    }

    std::size_t bytes() const { return queue_.bytes() + found_.capacity() * sizeof(Component); }
    void release() { *this = Components(); }

  private:
    Component flood(Face *faces, const Packed *vertices, std::uint32_t seed, std::uint32_t begin) {
        std::uint32_t *queue = queue_.data();
        std::uint32_t end = begin;
        queue[end++] = seed;
        faces[seed].mark = 1;
        FaceKey lowest{centre(faces[seed], vertices), seed};
        for (std::uint32_t i = begin; i < end; ++i) {
            const Face &f = faces[queue[i]];
            lowest = std::min(lowest, FaceKey{centre(f, vertices), queue[i]});
            for (HalfEdge t : f.twin)
                if (t != no_edge && !faces[face_of(t)].mark) {
                    faces[face_of(t)].mark = 1;
                    queue[end++] = face_of(t);
                }
        }
        return {lowest, begin, end};
    }

    Buffer<std::uint32_t> queue_;
    std::vector<Component> found_;
};

inline float distance(Packed a, Packed b) {
    const auto dx = static_cast<float>(unpack_x(a) - unpack_x(b));
    const auto dy = static_cast<float>(unpack_y(a) - unpack_y(b));
    const auto dz = static_cast<float>(unpack_z(a) - unpack_z(b));
    return std::sqrt(dx * dx + dy * dy + dz * dz);
}

// The last twinless half edge, else the one whose opposite vertex and its twin's are closest.
inline HalfEdge start_half_edge(const Face *faces, std::uint32_t face, const Packed *vertices) {
    const Face &f = faces[face];
    for (unsigned j = 3; j-- > 0;)
        if (f.twin[j] == no_edge) return 4 * face + j;
    unsigned best = 0;
    float shortest = 0;
    for (unsigned j = 0; j < 3; ++j) {
        const std::uint32_t across = faces[face_of(f.twin[j])].vertex[corner_of(f.twin[j])];
        const float d = distance(vertices[f.vertex[j]], vertices[across]);
        if (j == 0 || d < shortest) best = j, shortest = d;
    }
    return 4 * face + best;
}

}  // namespace meto
