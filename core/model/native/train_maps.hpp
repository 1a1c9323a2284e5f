// The maps of all steps of whole meshes, whose coordinates are known: what training weighs into its logits. Each step's are
// those of `Maps` (face_maps.hpp), as in generation.
#pragma once

#include "face_maps.hpp"

// What the maps of `steps` steps of several meshes are made from, see `MapInputs` and `Earlier` of core/model/face_maps.py.
struct TrainMaps {
    int64_t steps, bins, near, point_room, threads;
    const int64_t *rows, *numbers;  // (steps) the mesh of each, and how many vertices it comes after
    const bool* right;              // (steps) the step attaches to the right edge
    const bool* used;               // (steps, 3, bins)
    const int32_t* shown;           // (steps, 2, near) points about the two edges, or -1
    const int64_t* vertices;        // (steps, 3) true ones, mesh after mesh
    const float* density;           // (meshes, 3, bins)
    const int64_t* counts;          // (meshes) points
    const float *places, *normals;  // (meshes, 3, point_room)
    const int32_t* cells;           // (meshes, 3, point_room)
    const float* fading;            // (bins)
    float* out[3];                  // (steps, kNumMaps[k], bins)
};

namespace {

// The points about the edge that a step attaches to, out of its cloud.
class NearPoints {
  public:
    PointTable gather(const TrainMaps& t, int64_t step, const PointTable& cloud) {
        const int64_t stride = rounded(t.near);
        table_.assign(6 * stride, 0);
        cells_.assign(3 * stride, 0);
        const int32_t* points = t.shown + (2 * step + t.right[step]) * t.near;
        int64_t present = 0;
        for (int64_t i = 0; i < t.near; i++) {
            if (points[i] < 0) continue;
            for (int axis = 0; axis < 3; axis++) {
                const int64_t from = axis * cloud.stride + points[i], to = axis * stride + present;
                table_[to] = cloud.places[from];
                table_[3 * stride + to] = cloud.normals[from];
                cells_[to] = cloud.cells[from];
            }
            present++;
        }
        return {present, stride, table_.data(), table_.data() + 3 * stride, cells_.data()};
    }

  private:
    std::vector<float> table_;
    std::vector<int32_t> cells_;
};

inline void train_maps(const TrainMaps& t) {
    constexpr int axes[3] = {1, 2, 0};
#pragma omp parallel num_threads(int(t.threads))
    {
        Maps maps;
        NearPoints near;
#pragma omp for schedule(static)
        for (int64_t step = 0; step < t.steps; step++) {
            const int64_t row = t.rows[step], points = 3 * row * t.point_room;
            const PointTable cloud = {t.counts[row], t.point_room, t.places + points, t.normals + points, t.cells + points};
            const int64_t* first = t.vertices + 3 * (step - t.numbers[step]);
            maps.begin({t.bins, t.used + 3 * step * t.bins, t.density + 3 * row * t.bins, first, t.numbers[step], t.fading},
                       near.gather(t, step, cloud), cloud);
            for (int k = 0; k < 3; k++) {
                const int64_t size = kNumMaps[k] * t.bins;
                std::memcpy(t.out[k] + step * size, maps.fill(k, axes[k]), size * sizeof(float));
                if (k < 2) maps.take(axes[k], t.vertices[3 * step + axes[k]]);
            }
        }
    }
}

}  // namespace
