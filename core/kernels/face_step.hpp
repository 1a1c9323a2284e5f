// Steps of the face decoder, from the surfaces' observations to the groups that are committed: NativeBackend's `step` of
// native_face.py.
#pragma once

#include "face_head.hpp"
#include "face_input.hpp"
#include "face_layers.hpp"

namespace edgerunner {

// The key of the vertex that each row wrote before: it is made from the state after that vertex.
inline void keep_keys(StepRows& step) {
    const FaceDecoder& d = step.decoder;
    Matrix inputs(step.rows, d.key.in), keys(step.rows, pointer_dim);
    const int64_t frequencies = (d.per_axis - 1) / 2;
    for (int64_t b = 0; b < step.rows; b++) {
        if (!step.written(b)) continue;
        const Vertex vertex = step.written_vertex(b, step.written(b) - 1);
        std::memcpy(inputs.row(b), step.states.row(b), d.width * sizeof(float));
        float* out = inputs.row(b) + d.width;
        for (int axis = 0; axis < 3; axis++) {  // the order of `fourier`: values, sines, cosines
            const float* from = d.coordinates + vertex[axis] * d.per_axis;
            out[axis] = from[0];
            std::memcpy(out + 3 + axis * frequencies, from + 1, frequencies * sizeof(float));
            std::memcpy(out + 3 + (3 + axis) * frequencies, from + 1 + frequencies, frequencies * sizeof(float));
        }
    }
    inputs.apply_to(d.key, step.rows, keys);
    for (int64_t b = 0; b < step.rows; b++) {
        if (!step.written(b)) continue;
        const int64_t at = step.slots[b] * step.tables.room + step.written(b) - 1;
        std::memcpy(step.tables.keys + at * pointer_dim, keys.row(b), pointer_dim * sizeof(float));
    }
}

// `FaceState.commit` of face_state.py: a slot's next group is settled.
inline void commit(const FaceTables& tables, SurfaceSet& surfaces, int64_t bins, int64_t slot, const int32_t* group) {
    if (group[0] == end) {
        tables.status[slot] = int32_t(Status::stop);
        return;
    }
    assert(tables.written[slot] < tables.room);
    std::copy(group, group + 4, tables.groups + 4 * (slot * tables.room + tables.written[slot]));
    for (int axis = 0; axis < 3; axis++) tables.used[(3 * slot + axis) * bins + group[1 + axis]] = true;
    tables.written[slot]++;
    tables.faces[slot] += group[0] != bom && group[0] != second;
    tables.ids[slot] += group[0] <= bom ? 4 : 3;
    if (tables.ids[slot] >= tables.max_ids[slot]) tables.status[slot] = int32_t(Status::length);
    commit(surfaces, slot, group);
}

// One step of each row. Returns whether some row has ended, or -1 for a head dimension that is not compiled.
template <typename T>
int run_step(const FaceDecoder& d, const FaceTables& tables, const FaceRun& run, const Sampling& sampling,
             Observed& observed) {
    SurfaceSet& surfaces = *static_cast<SurfaceSet*>(run.surfaces);
    const int64_t rows = run.rows, each = sampling.candidates, drawn = draws_per_candidate * each;
    std::vector<float> uniforms(rows * drawn), last_uniform(rows);
    std::vector<int64_t> lengths(rows);
    std::vector<int32_t> candidates(rows * each * 4);
    for (int64_t b = 0; b < rows; b++) {
        const int64_t slot = run.slots[b];
        const float* from =
            run.uniforms + (slot * run.uniform_room + tables.written[slot] % run.uniform_room) * run.uniform_width;
        std::copy(from, from + drawn, uniforms.begin() + b * drawn);
        last_uniform[b] = from[run.uniform_width - 1];
        lengths[b] = tables.lengths[slot]++;
    }
    // Observe, and compute the states.
    observe(surfaces, rows, run.slots, observed);
    StepRows step{d,
                  tables,
                  sampling,
                  observed,
                  rows,
                  run.slots,
                  uniforms.data(),
                  Matrix(rows, d.width),
                  std::vector<char>(rows),
                  run.trace_logits};
    embed(step);
    if (run_layers<T>(d, int32_t(run.threads), rows, run.slots, lengths.data(), true, step.states)) return -1;
    for (int64_t b = 0; b < rows; b++) {
        rms_norm(step.states.row(b), d.norm, d.width, step.states.row(b));
        if (run.trace_states) std::memcpy(run.trace_states + b * d.width, step.states.row(b), d.width * sizeof(float));
    }
    keep_keys(step);
    // Draw the candidates, choose among them and commit.
    FaceHead(step, surfaces, candidates.data()).draw();
    int has_ended = 0;
    for (int64_t b = 0; b < rows; b++) {
        const int64_t slot = run.slots[b];
        int32_t* group = candidates.data() + 4 * b * each;
        for (int64_t n = 0; n < each; n++) step.invalid[b] |= !may_come(surfaces, slot, group + 4 * n);
        if (step.invalid[b]) {
            tables.status[slot] = int32_t(Status::invalid);
        } else {
            int32_t chosen[4];
            if (each > 1) choose(surfaces, slot, group, each, last_uniform[b], sampling.end_cover, chosen);
            commit(tables, surfaces, d.bins, slot, each > 1 ? chosen : group);
        }
        has_ended |= tables.status[slot] != int32_t(Status::running);
    }
    return has_ended;
}

template <typename T>
int run_steps(const FaceDecoder& d, const FaceTables& tables, const FaceRun& run, const Sampling& sampling) {
    Observed observed;
    int status = 0;
    for (int64_t step = 0; step < run.steps && !status; step++) status = run_step<T>(d, tables, run, sampling, observed);
    return status;
}

}  // namespace edgerunner
