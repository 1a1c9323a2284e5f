// The vectors of a step's rows from their observations: `StepInput` of core/model/face_input.py.
#pragma once

#include <algorithm>

#include "face_rows.hpp"

namespace edgerunner {

// `PointSet` of points at offsets (3, count), whose planes are in the features already -> out (point_width).
inline void embed_set(const PointSet& set, int64_t count, Matrix& offsets, Matrix& features, float* out) {
    if (!count) {
        std::memcpy(out, set.empty, point_width * sizeof(float));
        return;
    }
    write_fourier(count, offsets, features);
    Matrix hidden(count, set.fc1.out), embedded(count, point_width);
    features.apply_to(set.fc1, count, hidden);
    hidden.map(gelu);
    hidden.apply_to(set.fc2, count, embedded);
    for (int64_t c = 0; c < point_width; c += lanes) {
        Vec16f largest = load(embedded.row(0) + c);
        for (int64_t i = 1; i < count; i++) {
            const Vec16f other = load(embedded.row(i) + c);
            largest = select(other > largest, other, largest);
        }
        store(out + c, largest);
    }
}

// The set of those of `count` uncovered points that there are, about an anchor.
inline void embed_points(const StepRows& step, int64_t row, const PointSet& set, const int32_t* points, int64_t count,
                         const float* anchor, float* out) {
    const int64_t room = step.tables.point_room, first = step.slots[row] * 3 * room;
    const float *cloud = step.tables.cloud + first, *normals = step.tables.normals + first;
    Matrix offsets(3, count), features(count, point_features);
    int64_t present = 0;
    for (int64_t i = 0; i < count; i++) {
        if (points[i] < 0) continue;
        float n[3], distance = 0;
        for (int axis = 0; axis < 3; axis++) {
            const int64_t at = axis * room + points[i];
            const float offset = cloud[at] - anchor[axis];
            offsets.row(axis)[present] = offset;
            n[axis] = normals[at];
            distance += offset * n[axis];
        }
        const float plane[] = {n[0] * n[0], n[1] * n[1], n[2] * n[2],        n[0] * n[1],
                               n[0] * n[2], n[1] * n[2], std::fabs(distance)};
        std::memcpy(features.row(present++) + point_features - plane_features, plane, sizeof plane);
    }
    embed_set(set, step.tables.has_points ? present : 0, offsets, features, out);
}

// `count_features` of face_input.py.
inline void write_counts(int64_t wished, int64_t faces, int64_t open_edges, float* out) {
    if (wished <= 0) return;  // zeros
    const int64_t left_over = wished - faces;
    const float many = std::log1p(float(left_over < 0 ? -left_over : left_over)) / 6;
    const auto clamped = [](float x) { return std::min(std::max(x, -1.0f), 1.0f); };
    out[0] = 1;
    out[1] = left_over < 0 ? -many : many;
    out[2] = clamped(float(left_over) / float(wished));
    out[3] = clamped(float(left_over - open_edges) / 16);
}

// All features but those of the vertices' coordinates, in the order of `StepInput`.
inline void write_features(const StepRows& step, int64_t row, float* out) {
    const FaceDecoder& d = step.decoder;
    const Observed& seen = step.observed;
    // Known vertices and scalars.
    for (int v = 0; v < num_vertices; v++) *out++ = step.observed_vertex(row, v).is_known();
    const float share = seen.uncovered[row];
    *out++ = float(step.tables.has_points);
    *out++ = share;
    *out++ = std::log(share + 1e-3f) / 7;
    *out++ = std::log1p(float(seen.open_edges[row])) / 4;
    for (int side = 0; side < 2; side++) *out++ = float(seen.waiting[2 * row + side]);
    // Uncovered points: near each edge, and spread over all.
    float anchors[2][3];
    for (int side = 0; side < 2; side++) step.edge_anchor(row, side, anchors[side]);
    const int32_t* points = seen.points.data() + seen.point_columns * row;
    for (int side = 0; side < 2 && d.near; side++, out += point_width)
        embed_points(step, row, d.near_set, points + side * d.near, d.near, anchors[side], out);
    if (d.spread) {
        const Vertex tip_vertex = step.observed_vertex(row, 0);
        float tip[3] = {};
        for (int axis = 0; axis < 3 && tip_vertex.is_known(); axis++) tip[axis] = step.unit(tip_vertex[axis]);
        embed_points(step, row, d.spread_set, points + 2 * d.near, d.spread, tip, out);
        out += point_width;
    }
    // Faces left, and the open boundary.
    if (d.counted) {
        const int64_t slot = step.slots[row];
        write_counts(step.tables.wished[slot], step.tables.faces[slot], seen.open_edges[row], out);
        out += 4;
    }
    std::vector<Vertex> vertices(d.open);
    for (int side = 0; side < 2 && d.open; side++, out += point_width) {
        Matrix offsets(3, d.open), features(d.open, point_features);  // these points have no planes: zeros
        embed_set(d.open_set, step.open_offsets(row, side, offsets, vertices.data()), offsets, features, out);
    }
}

// out (input1.out) += the products of the first matrix with the features of the vertices' coordinates, from the tables.
inline void add_coordinates(const StepRows& step, int64_t row, float* out) {
    const FaceDecoder& d = step.decoder;
    const int64_t size = d.input1.out, places = d.bins + 1, offsets = 2 * d.bins;
    const float* parts[3 * (2 * num_vertices - 1)];
    int count = 0;
    const Vertex tip = step.observed_vertex(row, 0);
    for (int v = 0; v < num_vertices; v++) {
        const Vertex vertex = step.observed_vertex(row, v);
        const bool known = vertex.is_known(), both = known && tip.is_known();
        for (int axis = 0; axis < 3; axis++) {
            const int64_t place = known ? vertex[axis] : places - 1;
            parts[count++] = d.place_table + ((3 * v + axis) * places + place) * size;
            if (v == 0) continue;
            const int64_t offset = both ? vertex[axis] - tip[axis] + d.bins - 1 : offsets - 1;
            parts[count++] = d.offset_table + ((3 * (v - 1) + axis) * offsets + offset) * size;
        }
    }
    for (int64_t c = 0; c < size; c += lanes) {
        Vec16f sum = load(out + c);
        for (int r = 0; r < count; r++) sum += load(parts[r] + c);
        store(out + c, sum);
    }
}

// step.states (rows, width) = the input's vectors.
inline void embed(StepRows& step) {
    const FaceDecoder& d = step.decoder;
    Matrix features(step.rows, d.input1.in), hidden(step.rows, d.input1.out);
    for (int64_t b = 0; b < step.rows; b++) write_features(step, b, features.row(b));
    features.apply_to(d.input1, step.rows, hidden);
    for (int64_t b = 0; b < step.rows; b++) add_coordinates(step, b, hidden.row(b));
    hidden.map(gelu);
    hidden.apply_to(d.input2, step.rows, step.states);
    for (int64_t b = 0; b < step.rows; b++) {
        add(step.states.row(b), d.kinds + step.kind_before(b) * d.width, d.width);
        add(step.states.row(b), d.phases + step.observed.phase[b] * d.width, d.width);
    }
}

}  // namespace edgerunner
