// The layers of the face decoder: `FaceLayer` of core/model/face_decoder.py.
#pragma once

#include "attention.hpp"
#include "blocked_linear.hpp"

namespace edgerunner {

constexpr float rms_epsilon = 1e-6f;

// y (size) = x / sqrt(mean(x^2)) * gain
inline void rms_norm(const float* x, const float* gain, int64_t size, float* y) {
    Vec16f squares = {};
    for (int64_t c = 0; c < size; c += lanes) squares += load(x + c) * load(x + c);
    float sum = 0;
    for (int i = 0; i < lanes; i++) sum += squares[i];
    const float scale = 1 / std::sqrt(sum / float(size) + rms_epsilon);
    for (int64_t c = 0; c < size; c += lanes) store(y + c, load(x + c) * scale * load(gain + c));
}

// Normalises and rotates a head's query or key (dim): the first half of its channels against the second.
inline void norm_and_rotate(const FaceDecoder& d, float* x, const float* gain, int64_t dim, int64_t position) {
    rms_norm(x, gain, dim, x);
    const int64_t half = dim / 2;
    const float *cosine = d.cosines + position * half, *sine = d.sines + position * half;
    for (int64_t i = 0; i < half; i++) {
        const float a = x[i], b = x[half + i];
        x[i] = a * cosine[i] - b * sine[i];
        x[half + i] = a * sine[i] + b * cosine[i];
    }
}

// As the token decoder's `run_layers`.
template <typename T>
int run_layers(const FaceDecoder& d, int32_t threads, int64_t rows, const int64_t* slots, const int64_t* lengths,
               bool need_states, Matrix& states) {
    const int64_t width = d.width, dim = width / d.heads, inner = d.layer->fc2.in;
    Matrix normed(rows, width), qkv(rows, 3 * width), attended(rows, width), hidden(rows, 2 * inner);
    const AttentionShape shape = {rows, d.heads, dim, d.capacity, 3 * width, 1 / std::sqrt(float(dim)), threads};
    for (const FaceLayer* layer = d.layer; layer < d.layer + d.layers; layer++) {
        // Attention.
        for (int64_t b = 0; b < rows; b++) rms_norm(states.row(b), layer->norm1, width, normed.row(b));
        normed.apply_to(layer->qkv, rows, qkv);
        for (int64_t b = 0; b < rows; b++)
            for (int64_t head = 0; head < d.heads; head++) {
                norm_and_rotate(d, qkv.row(b) + head * dim, layer->q_norm, dim, lengths[b]);
                norm_and_rotate(d, qkv.row(b) + width + head * dim, layer->k_norm, dim, lengths[b]);
            }
        const float *q = qkv.row(0), *k = q + width, *v = k + width;
        if (!need_states && layer + 1 == d.layer + d.layers) {
            write_rows(shape, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths);
            return 0;
        }
        if (attend(shape, q, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths, attended.row(0))) return 1;
        attended.apply_to(layer->out, rows, normed);
        // The gated MLP.
        for (int64_t b = 0; b < rows; b++) {
            add(states.row(b), normed.row(b), width);
            rms_norm(states.row(b), layer->norm2, width, normed.row(b));
        }
        normed.apply_to(layer->fc1, rows, hidden);
        for (int64_t b = 0; b < rows; b++)
            for (int64_t c = 0; c < inner; c += lanes)
                store(hidden.row(b) + c, silu(load(hidden.row(b) + c)) * load(hidden.row(b) + inner + c));
        hidden.apply_to(layer->fc2, rows, normed);
        for (int64_t b = 0; b < rows; b++) add(states.row(b), normed.row(b), width);
    }
    return 0;
}

}  // namespace edgerunner
