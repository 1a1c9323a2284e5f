// Products with weights in blocks of sixteen outputs: they are read front to back whatever the number of rows, and nothing
// is summed across lanes. A row comes out the same, bit for bit, whatever rows are beside it.
#pragma once

#include <cassert>

#include "structs.hpp"
#include "vec.hpp"

namespace edgerunner {

// Rows and panels that are computed side by side: as many sums as there are registers for.
#ifdef __AVX512F__
constexpr int block_rows = 8, block_panels = 3;
#else
constexpr int block_rows = 4, block_panels = 1;
#endif
constexpr int row_panels = 8;  // of a single row, so that no sum waits for the one before

template <int R, int P>
void block(const Linear& linear, int64_t panel, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    const float* weights = linear.panels + panel * linear.in * lanes;
    Vec16f sums[R][P];
    for (int p = 0; p < P; p++) {
        const Vec16f bias = linear.bias ? load(linear.bias + (panel + p) * lanes) : Vec16f{};
        for (int r = 0; r < R; r++) sums[r][p] = bias;
    }
    for (int64_t c = 0; c < linear.in; c++) {
        Vec16f w[P];
        for (int p = 0; p < P; p++) {
            w[p] = load(weights + (p * linear.in + c) * lanes);
            if (R > 1) __builtin_prefetch(weights + ((P + p) * linear.in + c) * lanes, 0, 2);
        }
        for (int r = 0; r < R; r++)
            for (int p = 0; p < P; p++) sums[r][p] += x[r * x_stride + c] * w[p];
    }
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) store(y + r * y_stride + (panel + p) * lanes, sums[r][p]);
}

template <int P>
void panels_of_rows(const Linear& linear, int64_t panel, int64_t rows, const float* x, int64_t x_stride, float* y,
                    int64_t y_stride) {
    int64_t b = 0;
    for (; b + block_rows <= rows; b += block_rows)
        block<block_rows, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    for (; b + 2 <= rows; b += 2) block<2, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
    if (b < rows) block<1, P>(linear, panel, x + b * x_stride, x_stride, y + b * y_stride, y_stride);
}

// y (rows, out rounded up to sixteen) of x (rows, in), their rows `stride`s apart.
inline void apply(const Linear& linear, int64_t rows, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    const int64_t panels = rounded(linear.out) / lanes;
    int64_t panel = 0;
    if (rows == 1)
        for (; panel + row_panels <= panels; panel += row_panels)
            block<1, row_panels>(linear, panel, x, x_stride, y, y_stride);
    for (; panel + block_panels <= panels; panel += block_panels)
        panels_of_rows<block_panels>(linear, panel, rows, x, x_stride, y, y_stride);
    for (; panel < panels; panel++) panels_of_rows<1>(linear, panel, rows, x, x_stride, y, y_stride);
}

// Floats in rows of whole vectors.
struct Matrix {
    std::vector<float> data;
    int64_t stride;

    Matrix(int64_t rows, int64_t columns) : data(size_t(rows * rounded(columns))), stride(rounded(columns)) {}
    float* row(int64_t r) { return data.data() + r * stride; }
    // out = linear(this), of the first rows.
    void apply_to(const Linear& linear, int64_t rows, Matrix& out) {
        assert(rounded(linear.in) <= stride && rounded(linear.out) <= out.stride);
        apply(linear, rows, data.data(), stride, out.data.data(), out.stride);
    }
    template <typename Function> void map(Function function) { for_each_vec(data.data(), int64_t(data.size()), function); }
};

inline void add(float* to, const float* x, int64_t size) {
    for (int64_t c = 0; c < size; c += lanes) store(to + c, load(to + c) + load(x + c));
}

}  // namespace edgerunner
