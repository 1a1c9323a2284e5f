// One step of a small token decoder in one call: where a matrix takes ten microseconds, so does every call from Python.
//
// A post-norm layer is x = LN(x + attn(x)), x = LN(x + mlp(x)) with a ReLU inside the MLP (core/model/decoder.py).
#pragma once

#include "attend.hpp"

struct Layer {
    const float *qkv, *qkv_bias, *out, *out_bias, *fc1, *fc1_bias, *fc2, *fc2_bias;
    const float *norm1, *norm1_shift, *norm2, *norm2_shift;
    void *keys, *values;
};

struct Decoder {
    int64_t width, hidden, heads, vocabulary, layers;
    const float *tokens, *positions, *head;
    const Layer* layer;
};

namespace {

constexpr float kEpsilon = 1e-5f;

// y (size) = norm(x + y) with gain and shift, over the whole vector.
inline void add_and_norm(const float* x, float* y, const float* gain, const float* shift, int64_t size) {
    Lanes sums = {};
    for (int64_t c = 0; c < size; c += kLanes) {
        const Lanes both = load(x + c) + load(y + c);
        std::memcpy(y + c, &both, sizeof both);
        sums += both;
    }
    float mean = 0, variance = 0;
    for (int i = 0; i < kLanes; i++) mean += sums[i];
    mean /= float(size);
    Lanes squares = {};
    for (int64_t c = 0; c < size; c += kLanes) squares += (load(y + c) - mean) * (load(y + c) - mean);
    for (int i = 0; i < kLanes; i++) variance += squares[i];
    const float scale = 1 / std::sqrt(variance / float(size) + kEpsilon);
    for (int64_t c = 0; c < size; c += kLanes) {
        const Lanes normed = (load(y + c) - mean) * scale * load(gain + c) + load(shift + c);
        std::memcpy(y + c, &normed, sizeof normed);
    }
}

constexpr int kTile = 4;  // rows and outputs that are computed side by side

// kTile x kTile of x weight^T: sums over c of x[i][c] * weight[j][c], lane i * kTile + j of what is returned.
inline Lanes tile(const float* const* x, const float* const* weight, int64_t in) {
    Lanes sums[kLanes] = {};
    for (int64_t c = 0; c < in; c += kLanes) {
        const Lanes w[kTile] = {load(weight[0] + c), load(weight[1] + c), load(weight[2] + c), load(weight[3] + c)};
        for (int i = 0; i < kTile; i++) {
            const Lanes part = load(x[i] + c);
            for (int j = 0; j < kTile; j++) sums[i * kTile + j] += part * w[j];
        }
    }
    return sums_of(sums);
}

// y (rows, out) = x (rows, in) weight^T + bias; y has room for a vector beyond its end. A row comes out the same, bit for
// bit, whatever rows are beside it.
inline void linear(const float* x, const float* weight, const float* bias, int64_t rows, int64_t in, int64_t out,
                   float* y) {
    if (rows < kTile) {
        for (int64_t b = 0; b < rows; b++) products(x + b * in, weight, out, in, y + b * out);
    } else {
        for (int64_t o = 0; o < out; o += kTile)
            for (int64_t b = 0; b < rows; b += kTile) {
                const float *some_x[kTile], *some_weight[kTile];
                for (int i = 0; i < kTile; i++) {
                    some_x[i] = x + (b + i < rows ? b + i : rows - 1) * in;
                    some_weight[i] = weight + (o + i < out ? o + i : out - 1) * in;
                }
                const Lanes found = tile(some_x, some_weight, in);
                for (int i = 0; i < kTile && b + i < rows; i++)
                    for (int j = 0; j < kTile && o + j < out; j++) y[(b + i) * out + o + j] = found[i * kTile + j];
            }
    }
    if (bias)
        for (int64_t b = 0; b < rows; b++)
            for (int64_t o = 0; o < out; o++) y[b * out + o] += bias[o];
}

template <typename T>
int decoder_step(const Decoder& d, int64_t rows, int64_t capacity, int32_t threads, const int64_t* slots, const int64_t* lengths,
                 const int64_t* ids, float* logits) {
    const int64_t width = d.width, dim = width / d.heads;
    // The products of a row are written in whole vectors, over the next row's place, or beyond the last one's.
    std::vector<float> states(rows * width), other(rows * width), attended(rows * width), qkv(rows * 3 * width);
    std::vector<float> hidden(rows * d.hidden), scores(rows * d.vocabulary + kLanes);
    for (int64_t b = 0; b < rows; b++)
        for (int64_t c = 0; c < width; c++)
            states[b * width + c] = d.tokens[ids[slots[b]] * width + c] + d.positions[lengths[b] * width + c];
    const Shape shape = {rows, d.heads, dim, capacity, 3 * width, 1 / std::sqrt(float(dim)), threads};
    for (const Layer* layer = d.layer; layer < d.layer + d.layers; layer++) {
        linear(states.data(), layer->qkv, layer->qkv_bias, rows, width, 3 * width, qkv.data());
        const float* from = qkv.data();
        if (attend(shape, from, from + width, from + 2 * width, (T*)layer->keys, (T*)layer->values, slots, lengths,
                   attended.data()))
            return 1;
        linear(attended.data(), layer->out, layer->out_bias, rows, width, width, other.data());
        for (int64_t b = 0; b < rows * width; b += width)
            add_and_norm(&states[b], &other[b], layer->norm1, layer->norm1_shift, width);
        linear(other.data(), layer->fc1, layer->fc1_bias, rows, width, d.hidden, hidden.data());
        for (float& h : hidden) h = h > 0 ? h : 0;
        linear(hidden.data(), layer->fc2, layer->fc2_bias, rows, d.hidden, width, states.data());
        for (int64_t b = 0; b < rows * width; b += width)
            add_and_norm(&other[b], &states[b], layer->norm2, layer->norm2_shift, width);
    }
    linear(states.data(), d.head, nullptr, rows, width, d.vocabulary, scores.data());
    std::memcpy(logits, scores.data(), rows * d.vocabulary * sizeof(float));
    return 0;
}

}  // namespace
