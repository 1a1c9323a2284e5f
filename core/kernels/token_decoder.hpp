// The layers of a small token decoder in one call: where a matrix takes ten microseconds, so does a call from Python.
//
// A post-norm layer is x = LN(x + attn(x)), x = LN(x + mlp(x)) with a ReLU inside the MLP (core/model/decoder.py).
#pragma once

#include "attention.hpp"
#include "blocked_linear.hpp"

namespace edgerunner {

constexpr float layer_norm_epsilon = 1e-5f;

// y (size) = norm(x + y) with gain and shift.
inline void add_and_norm(const float* x, float* y, const float* gain, const float* shift, int64_t size) {
    Vec16f sums = {};
    for (int64_t c = 0; c < size; c += lanes) {
        const Vec16f both = load(x + c) + load(y + c);
        store(y + c, both);
        sums += both;
    }
    float mean = 0, variance = 0;
    for (int i = 0; i < lanes; i++) mean += sums[i];
    mean /= float(size);
    Vec16f squares = {};
    for (int64_t c = 0; c < size; c += lanes) squares += (load(y + c) - mean) * (load(y + c) - mean);
    for (int i = 0; i < lanes; i++) variance += squares[i];
    const float scale = 1 / std::sqrt(variance / float(size) + layer_norm_epsilon);
    for (int64_t c = 0; c < size; c += lanes) store(y + c, (load(y + c) - mean) * scale * load(gain + c) + load(shift + c));
}

// One new position of each row: states (rows, width) -> the last layer's; unless `need_states`, that layer only writes its
// keys and values. Rows may be of one slot, one position after the other, if there is but one thread.
template <typename T>
int run_layers(const TokenDecoder& d, int32_t threads, int64_t rows, const int64_t* slots, const int64_t* lengths,
               bool need_states, Matrix& states) {
    const int64_t width = d.width, dim = width / d.heads;
    Matrix qkv(rows, 3 * width), attended(rows, width), other(rows, width), hidden(rows, d.layer->fc1.out);
    const AttentionShape shape = {rows, d.heads, dim, d.capacity, 3 * width, 1 / std::sqrt(float(dim)), threads};
    for (const TokenLayer* layer = d.layer; layer < d.layer + d.layers; layer++) {
        states.apply_to(layer->qkv, rows, qkv);
        const float *q = qkv.row(0), *k = q + width, *v = k + width;
        if (!need_states && layer + 1 == d.layer + d.layers) {
            write_rows(shape, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths);
            return 0;
        }
        if (attend(shape, q, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths, attended.row(0))) return 1;
        attended.apply_to(layer->out, rows, other);
        for (int64_t b = 0; b < rows; b++)
            add_and_norm(states.row(b), other.row(b), layer->norm1, layer->norm1_shift, width);
        other.apply_to(layer->fc1, rows, hidden);
        hidden.map([](Vec16f x) { return select(x > 0, x, Vec16f{}); });
        hidden.apply_to(layer->fc2, rows, states);
        for (int64_t b = 0; b < rows; b++)
            add_and_norm(other.row(b), states.row(b), layer->norm2, layer->norm2_shift, width);
    }
    return 0;
}

// Embeds ids[slots[row]] at position lengths[row] of each row -> logits (rows, vocabulary).
template <typename T>
int token_step(const TokenDecoder& d, int64_t rows, int32_t threads, const int64_t* slots, const int64_t* lengths,
               const int64_t* ids, float* logits) {
    Matrix states(rows, d.width), scores(rows, d.head.out);
    for (int64_t b = 0; b < rows; b++) {
        std::memcpy(states.row(b), d.tokens + ids[slots[b]] * d.width, d.width * sizeof(float));
        add(states.row(b), d.positions + lengths[b] * d.width, d.width);
    }
    if (run_layers<T>(d, threads, rows, slots, lengths, true, states)) return 1;
    states.apply_to(d.head, rows, scores);
    for (int64_t b = 0; b < rows; b++) std::memcpy(logits + b * d.head.out, scores.row(b), d.head.out * sizeof(float));
    return 0;
}

// The next rows of one slot, from position `start` on, through a decoder's layers: states (rows, width), in place.
template <typename T, typename Decoder>
int prefill(const Decoder& d, int64_t slot, int64_t start, int64_t rows, bool need_states, float* states) {
    std::vector<int64_t> slots(rows, slot), lengths(rows);
    for (int64_t b = 0; b < rows; b++) lengths[b] = start + b;
    Matrix matrix(rows, d.width);
    for (int64_t b = 0; b < rows; b++) std::memcpy(matrix.row(b), states + b * d.width, d.width * sizeof(float));
    const int status = run_layers<T>(d, 1, rows, slots.data(), lengths.data(), need_states, matrix);
    for (int64_t b = 0; b < rows; b++) std::memcpy(states + b * d.width, matrix.row(b), d.width * sizeof(float));
    return status;
}

}  // namespace edgerunner
