// The priors over a coordinate's bins that the face decoder adds to its logits: CoordinatePriors and TangentPlanes of
// core/model/coordinate_priors.py, of one step at a time.
#pragma once

#include "structs.hpp"
#include "vec_math.hpp"

namespace edgerunner {

constexpr float plane_reach = 8, least_slope = 0.15f;  // as there
constexpr int blur_bins = 5;
constexpr int num_priors[3] = {5, 10, 14};

// Points and their planes; the arrays of x, y and z are `stride` apart.
struct PointTable {
    int64_t count = 0, stride = 0;
    const float *places = nullptr, *normals = nullptr;  // (3, stride) in bins, and unit normals
    const int32_t* cells = nullptr;                     // (3, stride) bins
};

// The points about an edge, gathered from a cloud.
class NearPoints {
  public:
    // points (count): indices into the cloud, or -1. The table is valid until the next call.
    PointTable gather(const int32_t* points, int64_t count, const PointTable& cloud) {
        const int64_t stride = rounded(count);
        places_.assign(3 * stride, 0);
        normals_.assign(3 * stride, 0);
        cells_.assign(3 * stride, 0);
        int64_t present = 0;
        for (int64_t i = 0; i < count; i++) {
            if (points[i] < 0) continue;
            for (int axis = 0; axis < 3; axis++) {
                const int64_t from = axis * cloud.stride + points[i], to = axis * stride + present;
                places_[to] = cloud.places[from];
                normals_[to] = cloud.normals[from];
                cells_[to] = cloud.cells[from];
            }
            present++;
        }
        return {present, stride, places_.data(), normals_.data(), cells_.data()};
    }

  private:
    std::vector<float> places_, normals_;
    std::vector<int32_t> cells_;
};

class TangentPlanes {
  public:
    // fading: see FaceDecoder.
    void begin(const PointTable& points, const float* fading, int64_t bins) {
        points_ = points, fading_ = fading, bins_ = bins, fixed_ = 0;
        weights_.assign(rounded(points.count), 1.0f);
    }

    void fix(int axis, int64_t value) {
        const int32_t* cells = points_.cells + axis * points_.stride;
        for (int64_t i = 0; i < points_.count; i++) {
            const int64_t apart = cells[i] - value;
            weights_[i] *= fading_[apart < 0 ? -apart : apart];
        }
        axes_[fixed_] = axis, values_[fixed_++] = float(value) + 0.5f;
    }

    void count(int axis, float* out) const {
        const int32_t* cells = points_.cells + axis * points_.stride;
        std::memset(out, 0, bins_ * sizeof(float));
        for (int64_t i = 0; i < points_.count; i++) out[cells[i]] += weights_[i];
    }

    // out (bins): the last coordinate as the points' planes give it, by the two that are fixed.
    void read_off(int axis, float* out) const {
        std::memset(out, 0, bins_ * sizeof(float));
        const auto row = [this](const float* table, int which) { return table + which * points_.stride; };
        const float *place = row(points_.places, axis), *slope = row(points_.normals, axis);
        const float *place0 = row(points_.places, axes_[0]), *place1 = row(points_.places, axes_[1]);
        const float *slope0 = row(points_.normals, axes_[0]), *slope1 = row(points_.normals, axes_[1]);
        for (int64_t i = 0; i < points_.count; i += lanes) {
            const Vec16f offset0 = values_[0] - load(place0 + i), offset1 = values_[1] - load(place1 + i);
            const Vec16f s = load(slope + i), others = load(slope0 + i) * offset0 + load(slope1 + i) * offset1;
            const Vec16i steep = abs(s) >= least_slope;
            const Vec16f along = select(steep, -others / select(steep, s, Vec16f{} + 1.0f), Vec16f{});
            const Vec16f square = offset0 * offset0 + offset1 * offset1 + along * along, cell = load(place + i) + along;
            const Vec16i counts = steep & (cell >= 0) & (cell < float(bins_));
            float weight[lanes], cells[lanes];
            store(cells, select(counts, cell, Vec16f{}));
            store(weight, select(counts, exp_negative(root(square) * (-1 / plane_reach)), Vec16f{}));
            for (int64_t k = 0; k < lanes && i + k < points_.count; k++) out[int32_t(cells[k])] += weight[k];
        }
    }

  private:
    static Vec16f root(Vec16f x) {
        float each[lanes];
        store(each, x);
        for (float& value : each) value = std::sqrt(value);
        return load(each);
    }

    PointTable points_;
    const float* fading_ = nullptr;
    int64_t bins_ = 0;
    int fixed_ = 0, axes_[3] = {};
    float values_[3] = {};
    std::vector<float> weights_;
};

// What a step's priors are made from, beside its points.
struct PriorInputs {
    int64_t bins;
    const bool* used;       // (3, bins)
    const float* density;   // (3, bins)
    const int32_t* groups;  // (written, 4: kind, x, y, z)
    int64_t written;
    const float* fading;  // (bins)
};

// For each axis in turn call `add`, then `fix` with the coordinate that was chosen.
class CoordinatePriors {
  public:
    void begin(const PriorInputs& inputs, const PointTable& near, const PointTable& cloud) {
        inputs_ = inputs;
        near_.begin(near, inputs.fading, inputs.bins);
        unweighted_.begin(near, inputs.fading, inputs.bins);
        cloud_.begin(cloud, inputs.fading, inputs.bins);
        equal_.assign(inputs.written, 1);
    }

    // The priors of the k-th coordinate (num_priors[k], bins), valid until the next call.
    const float* features(int k, int axis) {
        const int64_t bins = inputs_.bins;
        thread_local std::vector<float> scratch;  // not a member, which copies would copy
        scratch.resize(num_priors[2] * bins);
        priors_ = scratch.data();
        for (int64_t i = 0; i < bins; i++) prior(0)[i] = inputs_.used[axis * bins + i];
        flip(0, 1);
        std::memcpy(prior(2), inputs_.density + axis * bins, bins * sizeof(float));
        unweighted_.count(axis, prior(3));
        for_each_vec(prior(3), bins, log1p);
        blur(3, 4);
        if (k) {
            near_.count(axis, prior(5));
            cloud_.count(axis, prior(6));
            blur(6, 7);
            count_again(axis, prior(8));
            for_each_vec(prior(5), 4 * bins, log1p);
            flip(8, 9);
        }
        if (k == 2) {
            near_.read_off(axis, prior(10));
            cloud_.read_off(axis, prior(12));
            blur(10, 11);
            blur(12, 13);
            for_each_vec(prior(10), 4 * bins, log1p);
        }
        return priors_;
    }

    // logits (bins) += the priors of the k-th coordinate, times their weights.
    void add(int k, int axis, const float* weights, float* logits) {
        const int64_t bins = inputs_.bins;
        features(k, axis);
        for (int m = 0; m < num_priors[k]; m++)
            for (int64_t i = 0; i < bins; i += lanes) store(logits + i, load(logits + i) + weights[m] * load(prior(m) + i));
    }

    void fix(int axis, int64_t value) {
        near_.fix(axis, value);
        cloud_.fix(axis, value);
        for (int64_t j = 0; j < inputs_.written; j++) equal_[j] &= inputs_.groups[4 * j + 1 + axis] == value;
    }

  private:
    float* prior(int m) { return priors_ + m * inputs_.bins; }

    void flip(int from, int to) {
        for (int64_t i = 0; i < inputs_.bins; i++) prior(to)[i] = prior(from)[inputs_.bins - 1 - i];
    }

    // The mean over blur_bins bins; beyond the ends are zeros.
    void blur(int from, int to) {
        const int64_t bins = inputs_.bins;
        thread_local std::vector<float> padded;
        padded.assign(bins + blur_bins - 1, 0);
        std::memcpy(padded.data() + blur_bins / 2, prior(from), bins * sizeof(float));
        for (int64_t i = 0; i < bins; i += lanes) {
            Vec16f sum = {};
            for (int j = 0; j < blur_bins; j++) sum += load(padded.data() + i + j);
            store(prior(to) + i, sum / float(blur_bins));
        }
    }

    // How many vertices with the fixed coordinates have each coordinate.
    void count_again(int axis, float* out) const {
        std::memset(out, 0, inputs_.bins * sizeof(float));
        for (int64_t j = 0; j < inputs_.written; j++)
            if (equal_[j]) out[inputs_.groups[4 * j + 1 + axis]] += 1;
    }

    PriorInputs inputs_{};
    TangentPlanes near_, unweighted_, cloud_;
    std::vector<char> equal_;
    float* priors_ = nullptr;  // while `add` runs
};

// The priors of all steps of whole meshes, whose coordinates are known: for training.
inline void known_priors(const KnownPriors& t) {
    constexpr int axes[3] = {1, 2, 0};
#pragma omp parallel num_threads(int(t.threads))
    {
        CoordinatePriors priors;
        NearPoints near;
#pragma omp for schedule(static)
        for (int64_t step = 0; step < t.steps; step++) {
            const int64_t row = t.rows[step], points = 3 * row * t.point_room;
            const PointTable cloud = {t.num_points[row], t.point_room, t.places + points, t.normals + points,
                                      t.cells + points};
            const PointTable nearest = near.gather(t.near_points + (2 * step + t.right[step]) * t.near, t.near, cloud);
            const int32_t* groups = t.groups + 4 * (step - t.numbers[step]);
            priors.begin(
                {t.bins, t.used + 3 * step * t.bins, t.density + 3 * row * t.bins, groups, t.numbers[step], t.fading},
                nearest, cloud);
            for (int k = 0; k < 3; k++) {
                const int64_t size = num_priors[k] * t.bins;
                std::memcpy(t.out[k] + step * size, priors.features(k, axes[k]), size * sizeof(float));
                if (k < 2) priors.fix(axes[k], t.groups[4 * step + 1 + axes[k]]);
            }
        }
    }
}

}  // namespace edgerunner
