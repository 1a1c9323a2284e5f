// Random meshes, good and bad, for the fuzzer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace fuzz {

using Random = std::mt19937_64;

inline int below(Random &random, int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); }
inline bool chance(Random &random, int percent) { return below(random, 100) < percent; }

struct Mesh {
    std::vector<float> vertices;      // (V, 3)
    std::vector<std::int64_t> faces;  // (F, 3)
    bool spoilt = false;              // a ValueError is due

    std::size_t num_vertices() const { return vertices.size() / 3; }
    std::size_t num_faces() const { return faces.size() / 3; }
};

inline void add_vertices(Random &random, Mesh &mesh, int count) {
    // A coarse grid makes ties and coinciding vertices.
    const int cells = chance(random, 50) ? 4 : 4096;
    for (int i = 0; i < 3 * count; ++i)
        mesh.vertices.push_back(static_cast<float>(2.0 * below(random, cells + 1) / cells - 1.0));
}

// Any faces over few vertices.
inline Mesh soup(Random &random) {
    Mesh mesh;
    const int vertices = 1 + below(random, 40), faces = below(random, 80);
    add_vertices(random, mesh, vertices);
    for (int i = 0; i < 3 * faces; ++i) mesh.faces.push_back(below(random, vertices));
    return mesh;
}

// A grid, perhaps rolled up, with holes, faces turned over and vertices glued together.
inline Mesh surface(Random &random) {
    Mesh mesh;
    const int width = 2 + below(random, 8), height = 2 + below(random, 8);
    const bool wrap_x = chance(random, 40), wrap_y = chance(random, 40);
    const int holes = chance(random, 50) ? below(random, 40) : 0, turned = chance(random, 30) ? 20 : 0;
    add_vertices(random, mesh, width * height);
    std::vector<std::int64_t> id(static_cast<std::size_t>(width * height));
    std::iota(id.begin(), id.end(), 0);
    for (int k = chance(random, 40) ? below(random, 6) : 0; k > 0; --k)
        id[std::size_t(below(random, width * height))] = id[std::size_t(below(random, width * height))];
    const auto at = [&](int x, int y) { return id[std::size_t(y % height * width + x % width)]; };
    for (int y = 0; y < height - !wrap_y; ++y)
        for (int x = 0; x < width - !wrap_x; ++x)
            for (int half = 0; half < 2; ++half) {
                if (chance(random, holes)) continue;
                std::int64_t face[3] = {at(x, y), half ? at(x + 1, y + 1) : at(x + 1, y),
                                        half ? at(x, y + 1) : at(x + 1, y + 1)};
                if (chance(random, turned)) std::swap(face[0], face[1]);
                mesh.faces.insert(mesh.faces.end(), face, face + 3);
            }
    return mesh;
}

// Few faces, repeated: one face many times, fans around one edge, faces that repeat a vertex.
inline Mesh repeated(Random &random) {
    Mesh mesh;
    const int kinds = 1 + below(random, 3), faces = 1 + below(random, 40);
    add_vertices(random, mesh, 6);
    std::vector<std::int64_t> kind;
    for (int i = 0; i < 3 * kinds; ++i) kind.push_back(below(random, chance(random, 50) ? 3 : 6));
    for (int i = 0; i < faces; ++i) {
        const auto k = kind.begin() + 3 * below(random, kinds);
        mesh.faces.insert(mesh.faces.end(), k, k + 3);
    }
    return mesh;
}

inline void spoil(Random &random, Mesh &mesh) {
    const float values[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), 1e30f, -1.5f, 1.01f};
    const auto n = static_cast<std::int64_t>(mesh.num_vertices());
    const std::int64_t indices[] = {-1, n, n + 1, std::numeric_limits<std::int32_t>::max(),
                                    std::numeric_limits<std::int64_t>::min(), std::int64_t(1) << 32};
    if (chance(random, 50) && !mesh.faces.empty())
        mesh.faces[random() % mesh.faces.size()] = indices[below(random, 6)], mesh.spoilt = true;
    else if (!mesh.vertices.empty())
        mesh.vertices[random() % mesh.vertices.size()] = values[below(random, 6)], mesh.spoilt = true;
}

inline Mesh any_mesh(Random &random) {
    const int kind = below(random, 100);
    Mesh mesh = kind < 40 ? soup(random) : kind < 85 ? surface(random) : repeated(random);
    if (chance(random, 10)) spoil(random, mesh);
    return mesh;
}

}  // namespace fuzz
