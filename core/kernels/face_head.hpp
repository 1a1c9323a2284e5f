// The candidate groups of a step's rows: `StepHead` and `VertexDistribution` of core/model/face_head.py, and the draws.
#pragma once

#include <map>

#include "coordinate_priors.hpp"
#include "face_rows.hpp"
#include "sampler.hpp"

namespace edgerunner {

// The vertex of all candidates of a row that have drawn the same so far: what follows is computed once.
struct VertexBranch {
    int64_t row;
    int32_t kind;
    std::vector<int64_t> candidates;  // their numbers, ascending
    std::vector<Vertex> copies;       // num_copies beside the edge, then those of the open boundary
    Vertex references[num_references];
    std::vector<int32_t> refused;  // (x, y, z each)
    CoordinatePriors priors;
    int32_t vertex[3];

    bool refuses(const Vertex& v) const {
        for (size_t i = 0; i < refused.size(); i += 3)
            if (vertex_at(&refused[i]) == v) return true;
        return false;
    }
};

class FaceHead {
  public:
    // candidates (rows, sampling.candidates, 4) are written.
    FaceHead(StepRows& step, const SurfaceSet& surfaces, int32_t* candidates)
        : step_(step), d_(step.decoder), surfaces_(surfaces), candidates_(candidates) {}

    void draw() {
        draw_kinds();
        std::vector<VertexBranch> branches = branch_by_kind();
        Matrix states(int64_t(branches.size()), d_.width);
        for (size_t w = 0; w < branches.size(); w++) {
            std::memcpy(states.row(w), step_.states.row(branches[w].row), d_.width * sizeof(float));
            add(states.row(w), d_.written_kinds + branches[w].kind * d_.width, d_.width);
        }
        draw_which(branches, states);
        // Branches all of whose candidates are copies are done.
        size_t kept = 0;
        for (size_t w = 0; w < branches.size(); w++) {
            if (branches[w].candidates.empty()) continue;
            if (kept != w) {
                branches[kept] = std::move(branches[w]);
                std::memcpy(states.row(kept), states.row(w), d_.width * sizeof(float));
            }
            kept++;
        }
        branches.resize(kept);
        if (kept) draw_coordinates(std::move(branches), std::move(states));
    }

  private:
    int64_t num_candidates() const { return step_.sampling.candidates; }
    float uniform(int64_t candidate, int number) const { return step_.uniforms[draws_per_candidate * candidate + number]; }
    float temperature(int64_t row, bool of_coordinates) const {
        return step_.tables.temperatures[2 * step_.slots[row] + of_coordinates];
    }
    void prepare(int64_t row, bool of_coordinates, const float* logits, int64_t count) {
        if (!sampler_.prepare(step_.sampling, temperature(row, of_coordinates), logits, count)) step_.invalid[row] = true;
    }
    float* trace(int64_t row) const { return step_.trace_logits + row * (num_choices + 3 * d_.bins); }

    // ---- kinds ----------------------------------------------------------------------------------------------------

    static constexpr int num_choices = 4, end_choice = 3;
    static constexpr int32_t choices[num_choices] = {left, right, bom, end};

    // `allowed_kinds` of face_state.py: only END at the face limit; no END while too much is uncovered; no closed edges.
    void allow_kinds(int64_t row, float* logits) const {
        if (step_.at_face_limit(row)) {
            for (int c = 0; c < end_choice; c++) logits[c] = -INFINITY;
            return;
        }
        if (step_.observed.uncovered[row] > 1 - step_.sampling.end_cover) logits[end_choice] = -INFINITY;
        for (int side = 0; side < 2 && step_.sampling.refuse_faces; side++)
            if (!step_.observed.waiting[2 * row + side]) logits[side] = -INFINITY;
    }

    void draw_kinds() {
        constexpr int32_t forced[] = {bom, -1, second, third};  // by phase
        Matrix logits(step_.rows, num_choices);
        step_.states.apply_to(d_.ops, step_.rows, logits);
        for (int64_t b = 0; b < step_.rows; b++) {
            if (step_.trace_logits) std::memcpy(trace(b), logits.row(b), num_choices * sizeof(float));
            const int32_t kind = forced[step_.observed.phase[b]];
            if (kind < 0) {
                allow_kinds(b, logits.row(b));
                prepare(b, false, logits.row(b), num_choices);
            }
            for (int64_t n = b * num_candidates(); n < (b + 1) * num_candidates(); n++)
                candidates_[4 * n] = kind >= 0 ? kind : choices[sampler_.draw(uniform(n, 0))];
        }
    }

    std::vector<VertexBranch> branch_by_kind() {
        std::vector<VertexBranch> branches;
        for (int64_t b = 0; b < step_.rows; b++) {
            int64_t branch_of[num_kinds];
            std::fill(branch_of, branch_of + num_kinds, -1);
            for (int64_t n = b * num_candidates(); n < (b + 1) * num_candidates(); n++) {
                const int32_t kind = candidates_[4 * n];
                std::fill_n(candidates_ + 4 * n + 1, 3, 0);
                if (kind == end) continue;
                if (branch_of[kind] < 0) {
                    branch_of[kind] = int64_t(branches.size());
                    branches.emplace_back();
                    branches.back().row = b, branches.back().kind = kind;
                    set_references(branches.back());
                    if (step_.sampling.refuse_faces)
                        refused_corners(surfaces_, step_.slots[b], kind, branches.back().refused);
                }
                branches[branch_of[kind]].candidates.push_back(n);
            }
        }
        return branches;
    }

    // `_copies` and `_references` of face_head.py.
    void set_references(VertexBranch& branch) const {
        const bool is_first = branch.kind == bom, is_right = branch.kind == right,
                   is_turn = branch.kind == left || is_right;
        const auto vertex = [&](int which) { return is_first ? nowhere : step_.observed_vertex(branch.row, which); };
        const Vertex tip = vertex(0), start = vertex(1), end_vertex = vertex(2);
        const Vertex from = is_right ? end_vertex : start, to = is_right ? start : end_vertex;
        const Vertex corner = {tip.x + to.x - from.x, tip.y + to.y - from.y, tip.z + to.z - from.z};
        branch.copies.assign(num_copies + d_.open, nowhere);
        for (int c = 0; c < num_copies; c++) branch.copies[c] = vertex(3 + (is_right ? num_copies : 0) + c);
        const Vertex all[] = {tip, start, end_vertex, is_turn ? corner : nowhere, branch.copies[0], branch.copies[1]};
        std::copy(all, all + num_references, branch.references);
    }

    // ---- which vertex: a new one, or a copy -------------------------------------------------------------------------

    // `StepHead.open_scores`, and the vertices that they are of.
    void score_open(VertexBranch& branch, const float* query, float* scores) const {
        if (branch.kind == bom) return;
        Matrix offsets(3, d_.open), features(d_.open, d_.open_key1.in), hidden(d_.open, d_.open_key1.out),
            keys(d_.open, pointer_dim);
        const int64_t count =
            step_.open_offsets(branch.row, branch.kind == right, offsets, branch.copies.data() + num_copies);
        if (!count) return;
        write_fourier(count, offsets, features);
        features.apply_to(d_.open_key1, count, hidden);
        hidden.map(gelu);
        hidden.apply_to(d_.open_key2, count, keys);
        for (int64_t i = 0; i < count; i++) {
            float sum = 0;
            for (int c = 0; c < pointer_dim; c++) sum += query[c] * keys.row(i)[c];
            scores[i] = sum * pointer_scale + query[pointer_dim];
        }
    }

    // scores (written) of copying each earlier vertex; those of the gate would make a face without area.
    void score_earlier(const VertexBranch& branch, const float* query, float* scores) const {
        const int64_t written = step_.written(branch.row);
        const float* keys = step_.tables.keys + step_.slots[branch.row] * step_.tables.room * pointer_dim;
        products(query, keys, written, pointer_dim, scores);
        for (int64_t j = 0; j < written; j++) {
            const Vertex vertex = step_.written_vertex(branch.row, j);
            bool of_gate = false;
            for (int v = 0; v < 3; v++) of_gate |= branch.kind != bom && vertex == step_.observed_vertex(branch.row, v);
            scores[j] = of_gate || branch.refuses(vertex) ? -INFINITY : scores[j] * pointer_scale;
        }
    }

    // Candidates that copy a vertex get it; those that write a new one stay in their branch.
    void draw_which(std::vector<VertexBranch>& branches, Matrix& states) {
        const int64_t count = int64_t(branches.size()), copies = num_copies + d_.open;
        Matrix hidden(count, d_.copy1.out), near(count, 1 + num_copies), queries(count, pointer_dim);
        Matrix open_queries(count, pointer_dim + 1);
        if (d_.open) states.apply_to(d_.open_query, count, open_queries);
        states.apply_to(d_.copy1, count, hidden);
        hidden.map(gelu);
        hidden.apply_to(d_.copy2, count, near);
        states.apply_to(d_.query, count, queries);
        std::vector<float> logits;
        for (int64_t w = 0; w < count; w++) {
            VertexBranch& branch = branches[w];
            const int64_t written = step_.written(branch.row);
            logits.resize(1 + copies + written + lanes);
            std::memcpy(logits.data(), near.row(w), (1 + num_copies) * sizeof(float));
            if (d_.open) score_open(branch, open_queries.row(w), logits.data() + 1 + num_copies);
            score_earlier(branch, queries.row(w), logits.data() + 1 + copies);
            for (int c = 0; c < copies; c++)
                if (!branch.copies[c].is_known() || branch.refuses(branch.copies[c])) logits[1 + c] = -INFINITY;
            prepare(branch.row, false, logits.data(), 1 + copies + written);
            std::vector<int64_t> new_ones;
            for (int64_t n : branch.candidates) {
                const int64_t choice = sampler_.draw(uniform(n, 1));
                if (choice == 0) {
                    new_ones.push_back(n);
                    continue;
                }
                const Vertex copied =
                    choice <= copies ? branch.copies[choice - 1] : step_.written_vertex(branch.row, choice - 1 - copies);
                for (int axis = 0; axis < 3; axis++) candidates_[4 * n + 1 + axis] = copied[axis];
            }
            branch.candidates = std::move(new_ones);
        }
    }

    // ---- the coordinates of a new vertex ----------------------------------------------------------------------------

    void draw_coordinates(std::vector<VertexBranch> branches, Matrix states) {
        std::vector<NearPoints> near(branches.size());
        for (size_t w = 0; w < branches.size(); w++) begin_priors(branches[w], near[w]);
        for (int k = 0; k < 3; k++) {
            const int axis = axes[k];
            const int64_t count = int64_t(branches.size());
            Matrix hidden(count, d_.coordinate1[k].out), logits(count, d_.coordinate2[k].out);
            states.apply_to(d_.coordinate1[k], count, hidden);
            hidden.map(gelu);
            hidden.apply_to(d_.coordinate2[k], count, logits);
            std::vector<VertexBranch> next;
            std::vector<int64_t> parents;  // of each of the next
            for (int64_t w = 0; w < count; w++) {
                VertexBranch& branch = branches[w];
                add_prior_logits(branch, k, logits.row(w));
                prepare(branch.row, true, logits.row(w), d_.bins);
                std::map<int64_t, std::vector<int64_t>> by_value;
                for (int64_t n : branch.candidates) {
                    const int64_t value = sampler_.draw(uniform(n, 2 + k));
                    candidates_[4 * n + 1 + axis] = int32_t(value);
                    if (k < 2) by_value[value].push_back(n);
                }
                for (auto at = by_value.begin(); at != by_value.end(); ++at) {
                    next.push_back(std::next(at) == by_value.end() ? std::move(branch) : branch);
                    next.back().candidates = std::move(at->second);
                    next.back().vertex[axis] = int32_t(at->first);
                    next.back().priors.fix(axis, at->first);
                    parents.push_back(w);
                }
            }
            if (k == 2) return;
            Matrix continued(int64_t(next.size()), d_.width);
            for (size_t w = 0; w < next.size(); w++) {
                std::memcpy(continued.row(w), states.row(parents[w]), d_.width * sizeof(float));
                add(continued.row(w), d_.values[k] + next[w].vertex[axis] * d_.width, d_.width);
            }
            branches = std::move(next), states = std::move(continued);
        }
    }

    // The head's outputs for the k-th coordinate -> its logits: references and priors added, refused ones left out.
    void add_prior_logits(VertexBranch& branch, int k, float* logits) const {
        const int axis = axes[k];
        const float* weights = logits + d_.bins;
        branch.priors.add(k, axis, weights + num_references, logits);
        for (int r = 0; r < num_references; r++) {
            const int32_t at = branch.references[r][axis];
            if (at >= 0 && at < d_.bins) logits[at] += weights[r];
        }
        if (step_.trace_logits && branch.candidates.front() == branch.row * num_candidates())
            std::memcpy(trace(branch.row) + num_choices + k * d_.bins, logits, d_.bins * sizeof(float));
        for (size_t i = 0; i < branch.refused.size() && k == 2; i += 3) {
            const Vertex v = vertex_at(&branch.refused[i]);
            if (v[axes[0]] == branch.vertex[axes[0]] && v[axes[1]] == branch.vertex[axes[1]]) logits[v[axis]] = -INFINITY;
        }
    }

    void begin_priors(VertexBranch& branch, NearPoints& near) const {
        const FaceTables& tables = step_.tables;
        const int64_t slot = step_.slots[branch.row], room = tables.point_room, first = slot * 3 * room, bins = 3 * d_.bins;
        const PointTable cloud = {tables.num_points[slot], room, tables.places + first, tables.normals + first,
                                  tables.cells + first};
        const int32_t* points = step_.observed.points.data() + step_.observed.point_columns * branch.row;
        const PointTable nearest = near.gather(points + (branch.kind == right ? d_.near : 0), d_.near, cloud);
        branch.priors.begin({d_.bins, tables.used + slot * bins, tables.density + slot * bins, step_.groups(branch.row),
                             step_.written(branch.row), d_.fading},
                            nearest, cloud);
    }

    static constexpr float pointer_scale = 0.125f;  // pointer_dim^-0.5

    StepRows& step_;
    const FaceDecoder& d_;
    const SurfaceSet& surfaces_;
    int32_t* candidates_;
    Sampler sampler_;
};

}  // namespace edgerunner
