// Where a new vertex may well lie: the maps over the bins of an axis that the face decoder weighs into its logits. The
// formulas are those of core/model/face_maps.py (Maps, Planes), of one step at a time.
#pragma once

#include "panels.hpp"

namespace {

constexpr float kReach = 2, kPlaneReach = 8, kLeastSlope = 0.15f;  // as there
constexpr int kBlur = 5;
constexpr int kNumMaps[3] = {5, 10, 14};

// Points that have a say about a step's coordinates, each array `stride` apart for x, y and z.
struct PointTable {
    int64_t count = 0, stride = 0;
    const float *places = nullptr, *normals = nullptr;  // (3, stride) in bins, and unit normals
    const int32_t* cells = nullptr;                     // (3, stride) bins
};

// `Planes` there, of one step.
class Planes {
  public:
    // fading: exp(-d / kReach) by the distance d in bins.
    void begin(const PointTable& points, const float* fading, int64_t bins) {
        points_ = points, fading_ = fading, bins_ = bins, settled_ = 0;
        say_.assign(rounded(points.count), 1.0f);
    }

    void take(int axis, int64_t value) {
        const int32_t* cells = points_.cells + axis * points_.stride;
        for (int64_t i = 0; i < points_.count; i++) {
            const int64_t apart = cells[i] - value;
            say_[i] *= fading_[apart < 0 ? -apart : apart];
        }
        axes_[settled_] = axis, values_[settled_++] = float(value) + 0.5f;
    }

    void count(int axis, float* out) const {
        const int32_t* cells = points_.cells + axis * points_.stride;
        std::memset(out, 0, bins_ * sizeof(float));
        for (int64_t i = 0; i < points_.count; i++) out[cells[i]] += say_[i];
    }

    // The last coordinate where the points' planes have it, given the other two.
    void read_off(int axis, float* out) const {
        std::memset(out, 0, bins_ * sizeof(float));
        const auto row = [this](const float* table, int which) { return table + which * points_.stride; };
        const float *place = row(points_.places, axis), *slope = row(points_.normals, axis);
        const float *place0 = row(points_.places, axes_[0]), *place1 = row(points_.places, axes_[1]);
        const float *slope0 = row(points_.normals, axes_[0]), *slope1 = row(points_.normals, axes_[1]);
        for (int64_t i = 0; i < points_.count; i += kLanes) {
            const Lanes offset0 = values_[0] - load(place0 + i), offset1 = values_[1] - load(place1 + i);
            const Lanes s = load(slope + i), others = load(slope0 + i) * offset0 + load(slope1 + i) * offset1;
            const Index steep = absolute(s) >= kLeastSlope;
            const Lanes along = choose(steep, -others / choose(steep, s, Lanes{} + 1.0f), Lanes{});
            const Lanes square = offset0 * offset0 + offset1 * offset1 + along * along, cell = load(place + i) + along;
            const Index counts = steep & (cell >= 0) & (cell < float(bins_));
            float say[kLanes], cells[kLanes];
            store(cells, choose(counts, cell, Lanes{}));
            store(say, choose(counts, exp_negative(root(square) * (-1 / kPlaneReach)), Lanes{}));
            for (int64_t k = 0; k < kLanes && i + k < points_.count; k++) out[int32_t(cells[k])] += say[k];
        }
    }

  private:
    static Lanes root(Lanes x) {
        float each[kLanes];
        store(each, x);
        for (float& value : each) value = std::sqrt(value);
        return load(each);
    }

    PointTable points_;
    const float* fading_ = nullptr;
    int64_t bins_ = 0;
    int settled_ = 0, axes_[3] = {};
    float values_[3] = {};
    std::vector<float> say_;
};

// What a step's maps are made from, beside its points.
struct MapInputs {
    int64_t bins;
    const bool* used;         // (3, bins)
    const float* density;     // (3, bins)
    const int64_t* vertices;  // (earlier, 3)
    int64_t earlier;
    const float* fading;  // (bins)
};

// `Maps` there, of one step: for each axis in turn `add`, then `take` what that coordinate became.
class Maps {
  public:
    void begin(const MapInputs& inputs, const PointTable& near, const PointTable& cloud) {
        inputs_ = inputs;
        near_.begin(near, inputs.fading, inputs.bins);
        plain_.begin(near, inputs.fading, inputs.bins);
        cloud_.begin(cloud, inputs.fading, inputs.bins);
        equal_.assign(inputs.earlier, 1);
    }

    // The maps of the k-th coordinate (kNumMaps[k], bins), good until the next call.
    const float* fill(int k, int axis) {
        const int64_t bins = inputs_.bins;
        thread_local std::vector<float> scratch;  // no part of what a copy of this copies
        scratch.resize(kNumMaps[2] * bins);
        maps_ = scratch.data();
        for (int64_t i = 0; i < bins; i++) map(0)[i] = inputs_.used[axis * bins + i];
        flip(0, 1);
        std::memcpy(map(2), inputs_.density + axis * bins, bins * sizeof(float));
        plain_.count(axis, map(3));
        for_lanes(map(3), bins, log1p_of);
        blur(3, 4);
        if (k) {
            near_.count(axis, map(5));
            cloud_.count(axis, map(6));
            blur(6, 7);
            count_again(axis, map(8));
            for_lanes(map(5), 4 * bins, log1p_of);
            flip(8, 9);
        }
        if (k == 2) {
            near_.read_off(axis, map(10));
            cloud_.read_off(axis, map(12));
            blur(10, 11);
            blur(12, 13);
            for_lanes(map(10), 4 * bins, log1p_of);
        }
        return maps_;
    }

    // logits (bins) += the maps of the k-th coordinate, by their weights.
    void add(int k, int axis, const float* weights, float* logits) {
        const int64_t bins = inputs_.bins;
        fill(k, axis);
        for (int m = 0; m < kNumMaps[k]; m++)
            for (int64_t i = 0; i < bins; i += kLanes) store(logits + i, load(logits + i) + weights[m] * load(map(m) + i));
    }

    void take(int axis, int64_t value) {
        near_.take(axis, value);
        cloud_.take(axis, value);
        for (int64_t j = 0; j < inputs_.earlier; j++) equal_[j] &= inputs_.vertices[3 * j + axis] == value;
    }

  private:
    float* map(int m) { return maps_ + m * inputs_.bins; }

    void flip(int from, int to) {
        for (int64_t i = 0; i < inputs_.bins; i++) map(to)[i] = map(from)[inputs_.bins - 1 - i];
    }

    // The mean over kBlur bins, of zeros beyond the ends.
    void blur(int from, int to) {
        const int64_t bins = inputs_.bins;
        thread_local std::vector<float> padded;
        padded.assign(bins + kBlur - 1, 0);
        std::memcpy(padded.data() + kBlur / 2, map(from), bins * sizeof(float));
        for (int64_t i = 0; i < bins; i += kLanes) {
            Lanes sum = {};
            for (int j = 0; j < kBlur; j++) sum += load(padded.data() + i + j);
            store(map(to) + i, sum / float(kBlur));
        }
    }

    // How often each coordinate stands beside those settled already.
    void count_again(int axis, float* out) const {
        std::memset(out, 0, inputs_.bins * sizeof(float));
        for (int64_t j = 0; j < inputs_.earlier; j++)
            if (equal_[j]) out[inputs_.vertices[3 * j + axis]] += 1;
    }

    MapInputs inputs_{};
    Planes near_, plain_, cloud_;
    std::vector<char> equal_;
    float* maps_ = nullptr;  // while `add` runs
};

}  // namespace
