// Where sub-meshes start: the order of faces and of connected components, and each face's start half edge.
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
struct FaceKey {
    Packed centre;
    std::uint32_t face;
    bool operator<(const FaceKey &o) const { return centre != o.centre ? centre < o.centre : face < o.face; }
};

// Finds lowest faces without sorting all of them: one walk from its lowest face nearly always covers a component.
class FaceOrder {
  public:
    FaceOrder(Face *faces, std::size_t size, const Packed *vertices, std::vector<FaceKey> &keys,
              Buffer<std::uint32_t> &queue)
        : faces_(faces), size_(static_cast<std::uint32_t>(size)), vertices_(vertices), keys_(keys), queue_(queue) {}

    FaceKey key(std::uint32_t face) const {
        const Face &f = faces_[face];
        return {vertices_[f.vertex[0]] + vertices_[f.vertex[1]] + vertices_[f.vertex[2]], face};
    }

    std::uint32_t lowest() const {
        FaceKey best = key(0);
        for (std::uint32_t f = 1; f < size_; ++f) {
            const FaceKey k = key(f);
            if (k.centre < best.centre) best = k;
        }
        return best.face;
    }

    // The lowest face of each connected component (through twins) of the unvisited faces, in order.
    const std::vector<FaceKey> &components() {
        keys_.clear();
        for (std::uint32_t f = 0; f < size_; ++f)
            if (is_new(f, in_component)) {
                FaceKey lowest = key(f);
                flood(f, in_component, [&](std::uint32_t g) { lowest = std::min(lowest, key(g)); });
                keys_.push_back(lowest);
            }
        std::sort(keys_.begin(), keys_.end());
        return keys_;
    }

    // All unvisited faces connected to `face`, in order.
    std::vector<FaceKey> unvisited_around(std::uint32_t face) {
        std::vector<FaceKey> region;
        flood(face, in_region, [&](std::uint32_t g) { region.push_back(key(g)); });
        std::sort(region.begin(), region.end());
        return region;
    }

  private:
    enum Mark : std::uint32_t { none, in_component, in_region };

    bool is_new(std::uint32_t f, Mark mark) const { return !faces_[f].visited && faces_[f].mark < mark; }

    template <class Each> void flood(std::uint32_t seed, Mark mark, Each each) {
        std::uint32_t *queue = queue_.reserve(size_);
        std::uint32_t end = 0;
        queue[end++] = seed;
        faces_[seed].mark = mark;
        for (std::uint32_t i = 0; i < end; ++i) {
            each(queue[i]);
            for (HalfEdge t : faces_[queue[i]].twin)
                if (t != no_edge && is_new(face_of(t), mark)) {
                    faces_[face_of(t)].mark = mark;
                    queue[end++] = face_of(t);
                }
        }
    }

    Face *faces_;
    std::uint32_t size_;
    const Packed *vertices_;
    std::vector<FaceKey> &keys_;
    Buffer<std::uint32_t> &queue_;
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
