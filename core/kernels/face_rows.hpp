// The rows of one step, and what a row reads of its observation and of its slot's tables.
#pragma once

#include "blocked_linear.hpp"
#include "surfaces.hpp"
#include "vec_math.hpp"

namespace edgerunner {

// As in meto.surface and core/model/face_head.py.
enum Kind : int32_t { left, right, bom, second, third, end };
enum Phase : int32_t { start_phase, turn_phase, second_phase, third_phase };
constexpr int num_kinds = 6, num_vertices = 7, num_references = 6, num_copies = 2, pointer_dim = 64;
constexpr int draws_per_candidate = 5;  // kind, which vertex, and three coordinates
constexpr int axes[3] = {1, 2, 0};
constexpr int point_frequencies = 5, point_width = 96, plane_features = 7;
constexpr int point_features = 3 * (2 * point_frequencies + 1) + plane_features;

struct Vertex {
    int32_t x, y, z;
    bool operator==(const Vertex& other) const { return x == other.x && y == other.y && z == other.z; }
    int32_t operator[](int axis) const { return axis == 0 ? x : axis == 1 ? y : z; }
    bool is_known() const { return x >= 0; }
};
constexpr Vertex nowhere = {-1, -1, -1};
inline Vertex vertex_at(const int32_t* from) { return {from[0], from[1], from[2]}; }

struct StepRows {
    const FaceDecoder& decoder;
    const FaceTables& tables;
    const Sampling& sampling;
    const Observed& observed;
    int64_t rows;
    const int64_t* slots;
    const float* uniforms;      // (rows, candidates, draws_per_candidate)
    Matrix states;              // (rows, width)
    std::vector<char> invalid;  // (rows) some logits are no numbers: the row's groups mean nothing
    float* trace_logits;        // or null

    // The gate's three vertices, then the neighbours.
    Vertex observed_vertex(int64_t row, int which) const {
        return which < 3 ? vertex_at(&observed.gate[gate_columns * row + 3 * which])
                         : vertex_at(&observed.neighbours[neighbour_columns * row + 3 * (which - 3)]);
    }
    int64_t written(int64_t row) const { return tables.written[slots[row]]; }
    const int32_t* groups(int64_t row) const { return tables.groups + slots[row] * tables.room * 4; }
    Vertex written_vertex(int64_t row, int64_t j) const { return vertex_at(groups(row) + 4 * j + 1); }
    int32_t kind_before(int64_t row) const {
        return written(row) ? groups(row)[4 * (written(row) - 1)] : int32_t(num_kinds);
    }
    bool at_face_limit(int64_t row) const {
        const int64_t slot = slots[row], limit = tables.max_faces[slot];
        return limit > 0 && limit <= tables.faces[slot];
    }
    // Where a coordinate lies in [-1, 1].
    float unit(int32_t coordinate) const { return decoder.coordinates[coordinate * decoder.per_axis]; }

    // `edge_anchors` of face_input.py: the left one (side 0) or the right one.
    void edge_anchor(int64_t row, int side, float* anchor) const {
        const int32_t phase = observed.phase[row];
        const auto place = [&](int which, int axis) {
            const Vertex vertex = observed_vertex(row, which);
            return vertex.is_known() ? unit(vertex[axis]) : 0.0f;
        };
        for (int axis = 0; axis < 3; axis++) {
            anchor[axis] = place(0, axis);
            if (phase == turn_phase) anchor[axis] = (anchor[axis] + place(side ? 1 : 2, axis)) / 2;
            if (phase == third_phase && side) anchor[axis] = place(1, axis);
        }
    }

    // The open boundary's vertices on a side, and their offsets (3, open) from its anchor; returns how many there are.
    int64_t open_offsets(int64_t row, int side, Matrix& offsets, Vertex* vertices) const {
        float anchor[3];
        edge_anchor(row, side, anchor);
        const int32_t* from = observed.open_vertices.data() + observed.open_columns * row + 3 * decoder.open * side;
        int64_t present = 0;  // absent ones come last
        for (; present < decoder.open && from[3 * present] >= 0; present++) {
            vertices[present] = vertex_at(from + 3 * present);
            for (int axis = 0; axis < 3; axis++) offsets.row(axis)[present] = unit(vertices[present][axis]) - anchor[axis];
        }
        return present;
    }
};

// features (count, ...) = `fourier` of face_input.py of offsets (3, count).
inline void write_fourier(int64_t count, Matrix& offsets, Matrix& features) {
    for (int axis = 0; axis < 3; axis++) {
        for (int64_t i = 0; i < count; i++) features.row(i)[axis] = offsets.row(axis)[i];
        for (int64_t i = 0; i < count; i += lanes)
            for (int j = 0; j < point_frequencies; j++) {
                Vec16f sine, cosine;
                sin_cos_pi(load(offsets.row(axis) + i) * float(1 << j), sine, cosine);
                const int column = 3 + axis * point_frequencies + j;
                for (int64_t k = 0; k < lanes && i + k < count; k++) {
                    features.row(i + k)[column] = sine[k];
                    features.row(i + k)[column + 3 * point_frequencies] = cosine[k];
                }
            }
    }
}

}  // namespace edgerunner
