// Steps of a small face decoder in one call: what each is shown, its layers, and the group that it writes. The formulas
// are those of core/model/face_input.py, face_decoder.py (FaceLayer) and face_head.py.
#pragma once

#include <map>
#include <memory>

#include "attend.hpp"
#include "choose.hpp"
#include "face_maps.hpp"

struct FaceLayer {
    Linear qkv, out, fc1, fc2;
    const float *norm1, *norm2, *q_norm, *k_norm;
    void *keys, *values;
};

struct PointSet {
    Linear fc1, fc2;
    const float* empty;
};

struct FaceDecoder {
    int64_t width, heads, bins, near, spread, counted, open, layers;  // counted: the faces left are shown
    int64_t per_axis;                // 1 + 2 * frequencies
    const float* places;             // `fourier` of each coordinate (bins, per_axis)
    // What the input's first matrix makes of each coordinate of a vertex seen (3 * kVertices, bins + 1, input1.out), and of
    // each difference from the tip, from 1 - bins on (3 * (kVertices - 1), 2 * bins, input1.out); last: of none.
    const float *place_table, *offset_table;
    const float *kinds, *phases;     // embeddings of the kind before and of the phase
    PointSet near_set, spread_set, open_set;  // of no points where none are shown
    Linear input1, input2;  // the first without those
    const FaceLayer* layer;
    const float *norm, *cosines, *sines;  // of each position (capacity, head dim / 2)
    Linear ops, key;
    const float* written_kinds;  // embeddings of the kind that is written
    Linear copy1, copy2, query;
    Linear open_query, open_key1, open_key2;  // the first: a query and a bias
    const float* values[2];               // embeddings of y and z
    Linear coordinate1[3], coordinate2[3];  // of y, z and x; the second: logits, then the weights of references and maps
    const float* fading;                  // see MapInputs
};

// What is kept of every slot, `room` vertices and `point_room` points (a multiple of sixteen) each.
struct FaceTables {
    int64_t room, point_room, given;  // given: whether there are points anywhere
    float* keys;                      // (slots, room, kPointer)
    int64_t* vertices;                // (slots, room, 3)
    int32_t* gates;                   // (slots, room, 9) the gate after each group
    bool* used;                       // (slots, 3, bins)
    const float* density;             // (slots, 3, bins)
    const float *positions, *places, *normals;  // (slots, 3, point_room) of the points: in [-1, 1], and in bins
    const int32_t* cells;                       // (slots, 3, point_room)
    const int64_t* counts;                      // (slots) points
};

// What is known before the step, by slot: meto's `Shown` (meto/include/meto/shown.hpp).
struct FaceShown {
    int32_t *phase, *open_edges, *waiting, *gate, *neighbours, *points;
    float* uncovered;
    int32_t* open_vertices;
};

// meto's unfinished surfaces and functions on some of them: see `SurfaceBatch.native` of meto/src/meto/surface.py.
struct Surfaces {
    void* batch;
    int32_t (*show)(void* batch, const int64_t* which, int64_t count, const FaceShown* out);
    int32_t (*choose)(void* batch, const int64_t* which, int64_t count, const int32_t* candidates, int64_t each,
                      const float* uniform, double end_cover, int32_t* groups);
    int32_t (*feed)(void* batch, const int64_t* which, int64_t count, const int32_t* groups);
};

// The rows that are computed, by row; and `before` and `written` by slot. Of each row `candidates` groups are drawn, which
// know nothing of each other.
struct FaceRows {
    int64_t rows, candidates, capacity, threads;
    const int64_t *slots, *lengths;  // the cache's, without the new position
    const int64_t *before, *written;
    const int64_t *wished, *faces;  // face counts: wished (none below 1), and written; by slot
    const bool* enough;    // the face budget is used up
    const float* uniform;  // (rows, candidates, 5)
    int32_t* groups;       // (rows, candidates, 4): what may be written
    float *hidden, *logits;  // (rows, width), and (rows, 4 + 3 * bins) kinds' and first candidates' coordinates' logits;
                             // or null
};

struct FaceChoice {
    Sampling sampling;
    double end_cover;
    int64_t refuse;
};

// Steps one after the other until a sequence ends; all arrays are by slot. Of several candidates the surfaces choose one.
struct FaceRun {
    int64_t steps, rows, candidates, capacity, threads, draw_room;
    const int64_t* slots;  // those that run, ascending
    Surfaces surfaces;
    // (slots, draw_room, kDraws * candidates, and one more where they are several): those of step n in row n % draw_room.
    const float* draws;
    const int64_t *wished, *max_faces, *max_ids;        // the wish and the budgets; no faces: none
    int64_t *lengths, *before, *written, *faces, *ids;  // what is counted on; lengths: the cache's
    int32_t* groups;                                    // (slots, room, 4): what is written
    int64_t* endings;                                   // kRuns, kEnded, kFull or kInvalid
    float *hidden, *logits;                             // of the last step, as in FaceRows; or null
};

namespace {

constexpr int kKinds = 6, kPhases = 4, kPointer = 64, kReferences = 6, kVertices = 7, kScalars = 6;
constexpr int kLeft = 0, kRight = 1, kBom = 2, kSecond = 3, kThird = 4, kEnd = 5;
constexpr int kTurnPhase = 1, kThirdPhase = 3;
constexpr int kForced[kPhases] = {kBom, -1, kSecond, kThird}, kChosen[] = {kLeft, kRight, kBom, kEnd};
constexpr int kChoices = 4, kEndChoice = 3, kCopies = 2, kDraws = 5;
constexpr int kAxes[3] = {1, 2, 0};
constexpr int kRuns = 0, kEnded = 1, kFull = 2, kInvalid = 3;
constexpr int kPointFrequencies = 5, kPointWidth = 96, kPointFeatures = 3 * (2 * kPointFrequencies + 1) + 7;
constexpr float kRmsEpsilon = 1e-6f;

struct Vertex {
    int32_t x, y, z;
    bool operator==(const Vertex& other) const { return x == other.x && y == other.y && z == other.z; }
    int32_t operator[](int axis) const { return axis == 0 ? x : axis == 1 ? y : z; }
    bool known() const { return x >= 0; }
};
inline Vertex vertex_at(const int32_t* from) { return {from[0], from[1], from[2]}; }
inline Vertex vertex_at(const int64_t* from) { return {int32_t(from[0]), int32_t(from[1]), int32_t(from[2])}; }

// Floats in rows of whole vectors.
struct Matrix {
    std::vector<float> data;
    int64_t stride;
    Matrix(int64_t rows, int64_t columns) : data(rows * rounded(columns)), stride(rounded(columns)) {}
    float* row(int64_t r) { return data.data() + r * stride; }
    void apply_to(const Linear& linear, int64_t rows, Matrix& out) {
        apply(linear, rows, data.data(), stride, out.data.data(), out.stride);
    }
    template <typename Function>
    void map(Function function) {
        for_lanes(data.data(), int64_t(data.size()), function);
    }
};

// y (size) = x / sqrt(mean(x^2)) times a gain.
inline void rms_norm(const float* x, const float* gain, int64_t size, float* y) {
    Lanes squares = {};
    for (int64_t c = 0; c < size; c += kLanes) squares += load(x + c) * load(x + c);
    float sum = 0;
    for (int i = 0; i < kLanes; i++) sum += squares[i];
    const float scale = 1 / std::sqrt(sum / float(size) + kRmsEpsilon);
    for (int64_t c = 0; c < size; c += kLanes) store(y + c, load(x + c) * scale * load(gain + c));
}

inline void add(float* to, const float* x, int64_t size) {
    for (int64_t c = 0; c < size; c += kLanes) store(to + c, load(to + c) + load(x + c));
}

// A head's query or key (dim), normalised and turned: the first half of its channels against the second.
inline void turn(const FaceDecoder& d, float* x, const float* gain, int64_t dim, int64_t position) {
    rms_norm(x, gain, dim, x);
    const int64_t half = dim / 2;
    const float *cosine = d.cosines + position * half, *sine = d.sines + position * half;
    for (int64_t i = 0; i < half; i++) {
        const float a = x[i], b = x[half + i];
        x[i] = a * cosine[i] - b * sine[i];
        x[half + i] = a * sine[i] + b * cosine[i];
    }
}

// All of FaceLayer, on a position of each row: states (rows, width) -> the last layer's, whose own are left out unless
// they are read: its keys and values are written all the same. Rows may be of one slot, a position each in their order,
// if there is but one thread.
template <typename T>
int run_layers(const FaceDecoder& d, int64_t capacity, int32_t threads, int64_t rows, const int64_t* slots,
               const int64_t* lengths, bool read, Matrix& states) {
    const int64_t width = d.width, dim = width / d.heads, inner = d.layer->fc2.in;
    Matrix normed(rows, width), qkv(rows, 3 * width), attended(rows, width), hidden(rows, 2 * inner);
    const Shape shape = {rows, d.heads, dim, capacity, 3 * width, 1 / std::sqrt(float(dim)), threads};
    for (const FaceLayer* layer = d.layer; layer < d.layer + d.layers; layer++) {
        for (int64_t b = 0; b < rows; b++) rms_norm(states.row(b), layer->norm1, width, normed.row(b));
        normed.apply_to(layer->qkv, rows, qkv);
        for (int64_t b = 0; b < rows; b++)
            for (int64_t head = 0; head < d.heads; head++) {
                turn(d, qkv.row(b) + head * dim, layer->q_norm, dim, lengths[b]);
                turn(d, qkv.row(b) + width + head * dim, layer->k_norm, dim, lengths[b]);
            }
        const float *q = qkv.row(0), *k = q + width, *v = k + width;
        if (!read && layer + 1 == d.layer + d.layers) {
            write_rows(shape, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths);
            return 0;
        }
        if (attend(shape, q, k, v, (T*)layer->keys, (T*)layer->values, slots, lengths, attended.row(0))) return 1;
        attended.apply_to(layer->out, rows, normed);
        for (int64_t b = 0; b < rows; b++) {
            add(states.row(b), normed.row(b), width);
            rms_norm(states.row(b), layer->norm2, width, normed.row(b));
        }
        normed.apply_to(layer->fc1, rows, hidden);
        for (int64_t b = 0; b < rows; b++)
            for (int64_t c = 0; c < inner; c += kLanes)
                store(hidden.row(b) + c, silu(load(hidden.row(b) + c)) * load(hidden.row(b) + inner + c));
        hidden.apply_to(layer->fc2, rows, normed);
        for (int64_t b = 0; b < rows; b++) add(states.row(b), normed.row(b), width);
    }
    return 0;
}

// The next rows of one slot, whose first position is `start`: states (rows, width), embedded, -> the last layer's.
template <typename T>
int prefill(const FaceDecoder& d, int64_t capacity, int64_t slot, int64_t start, int64_t rows, bool read, float* states) {
    std::vector<int64_t> slots(rows, slot), lengths(rows);
    for (int64_t b = 0; b < rows; b++) lengths[b] = start + b;
    Matrix mine(rows, d.width);
    std::memcpy(mine.row(0), states, rows * d.width * sizeof(float));
    const int status = run_layers<T>(d, capacity, 1, rows, slots.data(), lengths.data(), read, mine);
    std::memcpy(states, mine.row(0), rows * d.width * sizeof(float));
    return status;
}

template <typename T>
class FaceStep {
  public:
    FaceStep(const FaceDecoder& d, const FaceTables& tables, const FaceShown& shown, const FaceRows& rows,
             const FaceChoice& choice)
        : d_(d), tables_(tables), shown_(shown), rows_(rows), choice_(choice), states_(rows.rows, d.width), invalid_(rows.rows) {}

    int run() {
        embed();
        if (int status = run_layers<T>(d_, rows_.capacity, int32_t(rows_.threads), rows_.rows, rows_.slots, rows_.lengths,
                                       true, states_))
            return status;
        for (int64_t b = 0; b < rows_.rows; b++) {
            rms_norm(states_.row(b), d_.norm, d_.width, states_.row(b));
            if (rows_.hidden) std::memcpy(rows_.hidden + b * d_.width, states_.row(b), d_.width * sizeof(float));
        }
        keep_latest();
        choose_kinds();
        choose_vertices();
        return 0;
    }

    // A row whose logits are no numbers: its groups mean nothing.
    bool is_invalid(int64_t row) const { return invalid_[row]; }

  private:
    // ---- what is shown: StepInput ----------------------------------------------------------------------------------

    // The gate's three vertices, then the neighbours.
    Vertex seen(int64_t slot, int which) const {
        return which < 3 ? vertex_at(shown_.gate + 9 * slot + 3 * which)
                         : vertex_at(shown_.neighbours + 12 * slot + 3 * (which - 3));
    }

    void embed() {
        Matrix features(rows_.rows, d_.input1.in), hidden(rows_.rows, d_.input1.out);
        for (int64_t b = 0; b < rows_.rows; b++) {
            const int64_t slot = rows_.slots[b];
            float* to = features.row(b);
            for (int v = 0; v < kVertices; v++) *to++ = seen(slot, v).known();
            to = write_scalars(slot, to);
            to = write_points(slot, to);
            if (d_.counted) to = write_counts(slot, to);
            if (d_.open) write_open(slot, to);
        }
        features.apply_to(d_.input1, rows_.rows, hidden);
        for (int64_t b = 0; b < rows_.rows; b++) add_vertices(rows_.slots[b], hidden.row(b));
        hidden.map(gelu);
        hidden.apply_to(d_.input2, rows_.rows, states_);
        for (int64_t b = 0; b < rows_.rows; b++) {
            const int64_t slot = rows_.slots[b];
            add(states_.row(b), d_.kinds + rows_.before[slot] * d_.width, d_.width);
            add(states_.row(b), d_.phases + shown_.phase[slot] * d_.width, d_.width);
        }
    }

    void add_vertices(int64_t slot, float* to) const {
        const int64_t size = d_.input1.out, places = d_.bins + 1, offsets = 2 * d_.bins;
        const float* rows[3 * (2 * kVertices - 1)];
        int count = 0;
        const Vertex tip = seen(slot, 0);
        for (int v = 0; v < kVertices; v++) {
            const Vertex vertex = seen(slot, v);
            const bool known = vertex.known(), both = known && tip.known();
            for (int axis = 0; axis < 3; axis++) {
                const int64_t place = known ? vertex[axis] : places - 1;
                rows[count++] = d_.place_table + ((3 * v + axis) * places + place) * size;
                if (v == 0) continue;
                const int64_t offset = both ? vertex[axis] - tip[axis] + d_.bins - 1 : offsets - 1;
                rows[count++] = d_.offset_table + ((3 * (v - 1) + axis) * offsets + offset) * size;
            }
        }
        for (int64_t c = 0; c < size; c += kLanes) {
            Lanes sum = load(to + c);
            for (int r = 0; r < count; r++) sum += load(rows[r] + c);
            store(to + c, sum);
        }
    }

    float* write_scalars(int64_t slot, float* to) const {
        const float share = shown_.uncovered[slot];
        *to++ = float(tables_.given);
        *to++ = share;
        *to++ = std::log(share + 1e-3f) / 7;
        *to++ = std::log1p(float(shown_.open_edges[slot])) / 4;
        for (int side = 0; side < 2; side++) *to++ = float(shown_.waiting[2 * slot + side]);
        return to;
    }

    // `count_features` of face_input.py.
    float* write_counts(int64_t slot, float* to) const {
        const int64_t wished = rows_.wished[slot], left = wished - rows_.faces[slot];
        if (wished <= 0) return to + 4;  // zeros
        const float many = std::log1p(float(left < 0 ? -left : left)) / 6;
        const auto clamped = [](float x) { return std::min(std::max(x, -1.0f), 1.0f); };
        *to++ = 1;
        *to++ = left < 0 ? -many : many;
        *to++ = clamped(float(left) / float(wished));
        *to++ = clamped(float(left - shown_.open_edges[slot]) / 16);
        return to;
    }

    // Of one of the gate's vertices, in [-1, 1]; 0 where there is none.
    float place(int64_t slot, int which, int axis) const {
        const Vertex vertex = seen(slot, which);
        return vertex.known() ? d_.places[vertex[axis] * d_.per_axis] : 0.0f;
    }

    // `edge_anchors` of face_input.py: the left one (side 0) or the right one.
    void edge_anchor(int64_t slot, int side, float* anchor) const {
        const int phase = shown_.phase[slot];
        for (int axis = 0; axis < 3; axis++) {
            anchor[axis] = place(slot, 0, axis);
            if (phase == kTurnPhase) anchor[axis] = (anchor[axis] + place(slot, side ? 1 : 2, axis)) / 2;
            if (phase == kThirdPhase && side) anchor[axis] = place(slot, 1, axis);
        }
    }

    // The open boundary's vertices on a side: their offsets from its anchor (3, open), and the vertices. Returns how many.
    int64_t open_offsets(int64_t slot, int side, Matrix& offsets, Vertex* vertices) const {
        float anchor[3];
        edge_anchor(slot, side, anchor);
        const int32_t* from = shown_.open_vertices + 3 * d_.open * (2 * slot + side);
        int64_t present = 0;  // those that there are come first
        for (; present < d_.open && from[3 * present] >= 0; present++) {
            vertices[present] = vertex_at(from + 3 * present);
            for (int axis = 0; axis < 3; axis++)
                offsets.row(axis)[present] = d_.places[vertices[present][axis] * d_.per_axis] - anchor[axis];
        }
        return present;
    }

    void write_open(int64_t slot, float* to) {
        std::vector<Vertex> vertices(d_.open);
        for (int side = 0; side < 2; side++, to += kPointWidth) {
            Matrix offsets(3, d_.open), features(d_.open, kPointFeatures);  // planes there are none: zeros
            const int64_t present = open_offsets(slot, side, offsets, vertices.data());
            if (present)
                embed_set(d_.open_set, present, offsets, features, to);
            else
                std::memcpy(to, d_.open_set.empty, kPointWidth * sizeof(float));
        }
    }

    float* write_points(int64_t slot, float* to) {
        const int32_t* points = shown_.points + slot * (2 * d_.near + d_.spread);
        for (int side = 0; side < 2 && d_.near; side++) {
            float anchor[3];
            edge_anchor(slot, side, anchor);
            write_set(slot, d_.near_set, points + side * d_.near, d_.near, anchor, to);
            to += kPointWidth;
        }
        const float tip[3] = {place(slot, 0, 0), place(slot, 0, 1), place(slot, 0, 2)};
        if (!d_.spread) return to;
        write_set(slot, d_.spread_set, points + 2 * d_.near, d_.spread, tip, to);
        return to + kPointWidth;
    }

    // `PointSet` -> (kPointWidth).
    void write_set(int64_t slot, const PointSet& set, const int32_t* points, int64_t count, const float* anchor, float* to) {
        const float *positions = tables_.positions + slot * 3 * tables_.point_room,
                    *normals = tables_.normals + slot * 3 * tables_.point_room;
        Matrix offsets(3, count), features(count, kPointFeatures);
        int64_t present = 0;
        for (int64_t i = 0; i < count; i++) {
            if (points[i] < 0) continue;
            float n[3], distance = 0;
            for (int axis = 0; axis < 3; axis++) {
                const int64_t at = axis * tables_.point_room + points[i];
                const float offset = positions[at] - anchor[axis];
                offsets.row(axis)[present] = offset;
                n[axis] = normals[at];
                distance += offset * n[axis];
            }
            const float plane[] = {n[0] * n[0], n[1] * n[1], n[2] * n[2], n[0] * n[1], n[0] * n[2], n[1] * n[2],
                                   std::fabs(distance)};
            std::memcpy(features.row(present++) + kPointFeatures - 7, plane, sizeof plane);
        }
        if (!present || !tables_.given) {
            std::memcpy(to, set.empty, kPointWidth * sizeof(float));
            return;
        }
        embed_set(set, present, offsets, features, to);
    }

    // features (present, ...): `fourier` of the offsets (3, present).
    static void write_fourier(int64_t present, Matrix& offsets, Matrix& features) {
        for (int axis = 0; axis < 3; axis++) {
            for (int64_t i = 0; i < present; i++) features.row(i)[axis] = offsets.row(axis)[i];
            for (int64_t i = 0; i < present; i += kLanes)
                for (int j = 0; j < kPointFrequencies; j++) {
                    Lanes sine, cosine;
                    sine_and_cosine(load(offsets.row(axis) + i) * float(1 << j), sine, cosine);
                    const int column = 3 + axis * kPointFrequencies + j;
                    for (int64_t k = 0; k < kLanes && i + k < present; k++) {
                        features.row(i + k)[column] = sine[k];
                        features.row(i + k)[column + 3 * kPointFrequencies] = cosine[k];
                    }
                }
        }
    }

    // Of points at offsets (3, present), whose planes are in the features already -> (kPointWidth).
    static void embed_set(const PointSet& set, int64_t present, Matrix& offsets, Matrix& features, float* to) {
        write_fourier(present, offsets, features);
        Matrix hidden(present, set.fc1.out), made(present, kPointWidth);
        features.apply_to(set.fc1, present, hidden);
        hidden.map(gelu);
        hidden.apply_to(set.fc2, present, made);
        for (int64_t c = 0; c < kPointWidth; c += kLanes) {
            Lanes largest = load(made.row(0) + c);
            for (int64_t i = 1; i < present; i++) {
                const Lanes other = load(made.row(i) + c);
                largest = choose(other > largest, other, largest);
            }
            store(to + c, largest);
        }
    }

    // ---- what is written: StepHead and VertexDistribution ------------------------------------------------------------

    const int64_t* vertices_of(int64_t slot) const { return tables_.vertices + slot * tables_.room * 3; }

    // The vertex written before gets its key, and the gate is remembered.
    void keep_latest() {
        Matrix inputs(rows_.rows, d_.key.in), keys(rows_.rows, kPointer);
        const int64_t frequencies = (d_.per_axis - 1) / 2;
        for (int64_t b = 0; b < rows_.rows; b++) {
            const int64_t slot = rows_.slots[b], latest = rows_.written[slot] - 1;
            if (latest < 0) continue;
            const Vertex vertex = vertex_at(vertices_of(slot) + 3 * latest);
            std::memcpy(inputs.row(b), states_.row(b), d_.width * sizeof(float));
            float* to = inputs.row(b) + d_.width;
            for (int axis = 0; axis < 3; axis++) {
                const float* from = d_.places + vertex[axis] * d_.per_axis;
                to[axis] = from[0];
                std::memcpy(to + 3 + axis * frequencies, from + 1, frequencies * sizeof(float));
                std::memcpy(to + 3 + (3 + axis) * frequencies, from + 1 + frequencies, frequencies * sizeof(float));
            }
        }
        inputs.apply_to(d_.key, rows_.rows, keys);
        for (int64_t b = 0; b < rows_.rows; b++) {
            const int64_t slot = rows_.slots[b], latest = rows_.written[slot] - 1;
            if (latest < 0) continue;
            std::memcpy(tables_.keys + (slot * tables_.room + latest) * kPointer, keys.row(b), kPointer * sizeof(float));
            std::memcpy(tables_.gates + (slot * tables_.room + latest) * 9, shown_.gate + 9 * slot, 9 * sizeof(int32_t));
        }
    }

    // Only END at the face budget, and no END while too much is uncovered.
    void choose_kinds() {
        Matrix logits(rows_.rows, kChoices);
        states_.apply_to(d_.ops, rows_.rows, logits);
        for (int64_t b = 0; b < rows_.rows; b++) {
            const int64_t slot = rows_.slots[b];
            float* mine = logits.row(b);
            if (rows_.logits) std::memcpy(logits_of(b), mine, kChoices * sizeof(float));
            const int32_t forced = kForced[shown_.phase[slot]];
            if (forced >= 0) {
                // nothing to choose
            } else if (rows_.enough[b]) {
                for (int c = 0; c < kEndChoice; c++) mine[c] = -INFINITY;
            } else {
                if (shown_.uncovered[slot] > 1 - choice_.end_cover) mine[kEndChoice] = -INFINITY;
                for (int side = 0; side < 2 && choice_.refuse; side++)
                    if (!shown_.waiting[2 * slot + side]) mine[side] = -INFINITY;
            }
            if (forced < 0) prepare(b, mine, kChoices);
            for (int64_t n = b * rows_.candidates; n < (b + 1) * rows_.candidates; n++)
                rows_.groups[4 * n] = forced >= 0 ? forced : kChosen[drawn_.draw(rows_.uniform[kDraws * n])];
        }
    }

    void prepare(int64_t row, const float* logits, int64_t count) {
        if (!drawn_.prepare(choice_.sampling, logits, count)) invalid_[row] = true;
    }

    float* logits_of(int64_t b) const { return rows_.logits + b * (kChoices + 3 * d_.bins); }

    // A vertex in the making, for all candidates of a row that have come to the same so far: what follows is computed once.
    struct Writing {
        std::vector<int64_t> numbers;  // of the candidates, ascending
        int64_t row, slot, kind;
        std::vector<Vertex> copies;  // kCopies beside the edge, then those of the open boundary
        Vertex references[kReferences];
        std::vector<Vertex> refused;
        Maps maps;
        int32_t vertex[3];
        bool refuses(const Vertex& v) const { return std::find(refused.begin(), refused.end(), v) != refused.end(); }
    };

    // The points about the edge that a Writing's maps look at.
    struct Near {
        std::vector<float> places;  // and normals
        std::vector<int32_t> cells;
    };

    void choose_vertices() {
        std::vector<Writing> writing = by_kind();
        Matrix states(int64_t(writing.size()), d_.width);
        for (size_t w = 0; w < writing.size(); w++) {
            std::memcpy(states.row(w), states_.row(writing[w].row), d_.width * sizeof(float));
            add(states.row(w), d_.written_kinds + writing[w].kind * d_.width, d_.width);
        }
        choose_which(writing, states);
        size_t kept = 0;
        for (size_t w = 0; w < writing.size(); w++) {
            if (writing[w].numbers.empty()) continue;
            if (kept != w) {
                writing[kept] = std::move(writing[w]);
                std::memcpy(states.row(kept), states.row(w), d_.width * sizeof(float));
            }
            kept++;
        }
        writing.resize(kept);
        if (kept) choose_coordinates(std::move(writing), std::move(states));
    }

    std::vector<Writing> by_kind() {
        std::vector<Writing> writing;
        for (int64_t b = 0; b < rows_.rows; b++) {
            int64_t of_kind[kKinds];
            std::fill(of_kind, of_kind + kKinds, -1);
            for (int64_t n = b * rows_.candidates; n < (b + 1) * rows_.candidates; n++) {
                const int64_t kind = rows_.groups[4 * n];
                for (int c = 1; c < 4; c++) rows_.groups[4 * n + c] = 0;
                if (kind == kEnd) continue;
                if (of_kind[kind] < 0) {
                    of_kind[kind] = int64_t(writing.size());
                    writing.emplace_back();
                    Writing& one = writing.back();
                    one.row = b, one.slot = rows_.slots[b], one.kind = kind;
                    refer(one);
                    if (choice_.refuse) refuse(one);
                }
                writing[of_kind[kind]].numbers.push_back(n);
            }
        }
        return writing;
    }

    // `_copies` and `_references` there.
    void refer(Writing& one) const {
        const Vertex nowhere = {-1, -1, -1}, tip = seen(one.slot, 0), start = seen(one.slot, 1), end = seen(one.slot, 2);
        const bool first_vertex = one.kind == kBom, right = one.kind == kRight;
        one.copies.assign(kCopies + d_.open, nowhere);
        for (int c = 0; c < kCopies && !first_vertex; c++) one.copies[c] = seen(one.slot, 3 + (right ? kCopies : 0) + c);
        const Vertex from = right ? end : start, to = right ? start : end;
        const Vertex corner = {tip.x + to.x - from.x, tip.y + to.y - from.y, tip.z + to.z - from.z};
        const bool turned = one.kind == kLeft || right;
        const Vertex all[] = {first_vertex ? nowhere : tip, first_vertex ? nowhere : start, first_vertex ? nowhere : end,
                              turned ? corner : nowhere,    one.copies[0],                  one.copies[1]};
        std::copy(all, all + kReferences, one.references);
    }

    // Third corners that would repeat a face, or make two corners coincide: `GroupGuard.refused` of engine/faces.py.
    void refuse(Writing& one) const {
        if (one.kind == kBom) return;
        const Vertex tip = seen(one.slot, 0), start = seen(one.slot, 1), end = seen(one.slot, 2);
        one.refused = {tip};
        if (one.kind == kSecond) return;
        const Vertex a = one.kind == kRight ? start : tip, b = one.kind == kLeft ? end : one.kind == kRight ? tip : start;
        one.refused = {a, b};
        const int32_t* gates = tables_.gates + one.slot * tables_.room * 9;
        for (int64_t j = 0; j < rows_.written[one.slot]; j++) {
            const Vertex face[] = {vertex_at(gates + 9 * j), vertex_at(gates + 9 * j + 3), vertex_at(gates + 9 * j + 6)};
            if (!face[2].known()) continue;
            for (int k = 0; k < 3; k++) {
                const Vertex &p = face[k], &q = face[(k + 1) % 3];
                if ((p == a && q == b) || (p == b && q == a)) one.refused.push_back(face[(k + 2) % 3]);
            }
        }
    }

    // `StepHead.open_scores`, and which vertices they are of.
    void score_open(Writing& one, const float* query, float* scores) const {
        Matrix offsets(3, d_.open), features(d_.open, d_.open_key1.in), hidden(d_.open, d_.open_key1.out), keys(d_.open, kPointer);
        if (one.kind == kBom) return;
        const int64_t present = open_offsets(one.slot, one.kind == kRight, offsets, one.copies.data() + kCopies);
        if (!present) return;
        write_fourier(present, offsets, features);
        features.apply_to(d_.open_key1, present, hidden);
        hidden.map(gelu);
        hidden.apply_to(d_.open_key2, present, keys);
        for (int64_t i = 0; i < present; i++) {
            float sum = 0;
            for (int c = 0; c < kPointer; c++) sum += query[c] * keys.row(i)[c];
            scores[i] = sum * 0.125f + query[kPointer];
        }
    }

    // The vertices that are copied; the numbers that write a new one stay.
    void choose_which(std::vector<Writing>& writing, Matrix& states) {
        const int64_t count = int64_t(writing.size()), copies = kCopies + d_.open;
        Matrix hidden(count, d_.copy1.out), near(count, 1 + kCopies), queries(count, kPointer);
        Matrix open_queries(count, kPointer + 1);
        if (d_.open) states.apply_to(d_.open_query, count, open_queries);
        states.apply_to(d_.copy1, count, hidden);
        hidden.map(gelu);
        hidden.apply_to(d_.copy2, count, near);
        states.apply_to(d_.query, count, queries);
        std::vector<float> logits;
        for (int64_t w = 0; w < count; w++) {
            Writing& one = writing[w];
            const int64_t earlier = rows_.written[one.slot], *vertices = vertices_of(one.slot);
            logits.resize(1 + copies + earlier + kLanes);
            std::memcpy(logits.data(), near.row(w), (1 + kCopies) * sizeof(float));
            if (d_.open) score_open(one, open_queries.row(w), logits.data() + 1 + kCopies);
            float* scores = logits.data() + 1 + copies;
            products(queries.row(w), tables_.keys + one.slot * tables_.room * kPointer, earlier, kPointer, scores);
            for (int c = 0; c < copies; c++)
                if (!one.copies[c].known() || one.refuses(one.copies[c])) logits[1 + c] = -INFINITY;
            const bool first_vertex = one.kind == kBom;
            for (int64_t j = 0; j < earlier; j++) {
                const Vertex vertex = vertex_at(vertices + 3 * j);
                bool of_gate = false;
                for (int v = 0; v < 3; v++) of_gate |= !first_vertex && vertex == seen(one.slot, v);
                scores[j] = of_gate || one.refuses(vertex) ? -INFINITY : scores[j] * 0.125f;  // kPointer^-0.5
            }
            prepare(one.row, logits.data(), 1 + copies + earlier);
            std::vector<int64_t> anew;
            for (int64_t number : one.numbers) {
                const int64_t choice = drawn_.draw(rows_.uniform[kDraws * number + 1]);
                if (choice == 0) {
                    anew.push_back(number);
                    continue;
                }
                const Vertex copied = choice <= copies ? one.copies[choice - 1]
                                                       : vertex_at(vertices + 3 * (choice - 1 - copies));
                for (int axis = 0; axis < 3; axis++) rows_.groups[4 * number + 1 + axis] = copied[axis];
            }
            one.numbers = std::move(anew);
        }
    }

    void choose_coordinates(std::vector<Writing> writing, Matrix states) {
        std::vector<Near> near(writing.size());
        for (size_t w = 0; w < writing.size(); w++) begin_maps(writing[w], near[w]);
        for (int k = 0; k < 3; k++) {
            const int axis = kAxes[k];
            const int64_t count = int64_t(writing.size());
            Matrix hidden(count, d_.coordinate1[k].out), logits(count, d_.coordinate2[k].out);
            states.apply_to(d_.coordinate1[k], count, hidden);
            hidden.map(gelu);
            hidden.apply_to(d_.coordinate2[k], count, logits);
            std::vector<Writing> next;
            std::vector<int64_t> before;  // which of `writing` each of the next comes from
            for (int64_t w = 0; w < count; w++) {
                Writing& one = writing[w];
                float* mine = logits.row(w);
                weigh_in(one, k, mine);
                prepare(one.row, mine, d_.bins);
                std::map<int64_t, std::vector<int64_t>> numbers;  // by value
                for (int64_t number : one.numbers) {
                    const int64_t value = drawn_.draw(rows_.uniform[kDraws * number + 2 + k]);
                    rows_.groups[4 * number + 1 + axis] = int32_t(value);
                    if (k < 2) numbers[value].push_back(number);
                }
                for (auto each = numbers.begin(); each != numbers.end(); ++each) {
                    next.push_back(std::next(each) == numbers.end() ? std::move(one) : one);
                    next.back().numbers = std::move(each->second);
                    next.back().vertex[axis] = int32_t(each->first);
                    next.back().maps.take(axis, each->first);
                    before.push_back(w);
                }
            }
            if (k == 2) return;
            Matrix continued(int64_t(next.size()), d_.width);
            for (size_t w = 0; w < next.size(); w++) {
                std::memcpy(continued.row(w), states.row(before[w]), d_.width * sizeof(float));
                add(continued.row(w), d_.values[k] + next[w].vertex[axis] * d_.width, d_.width);
            }
            writing = std::move(next), states = std::move(continued);
        }
    }

    // The head's row for the k-th coordinate -> its logits: references and maps added, and what is refused left out.
    void weigh_in(Writing& one, int k, float* logits) const {
        const int axis = kAxes[k];
        const float* weights = logits + d_.bins;
        one.maps.add(k, axis, weights + kReferences, logits);
        for (int r = 0; r < kReferences; r++) {
            const int32_t at = one.references[r][axis];
            if (at >= 0 && at < d_.bins) logits[at] += weights[r];
        }
        if (rows_.logits && one.numbers.front() == one.row * rows_.candidates)
            std::memcpy(logits_of(one.row) + kChoices + k * d_.bins, logits, d_.bins * sizeof(float));
        for (const Vertex& v : one.refused)
            if (k == 2 && v[kAxes[0]] == one.vertex[kAxes[0]] && v[kAxes[1]] == one.vertex[kAxes[1]])
                logits[v[axis]] = -INFINITY;
    }

    void begin_maps(Writing& one, Near& near) const {
        const int64_t room = tables_.point_room, first = one.slot * 3 * room, stride = rounded(d_.near);
        const PointTable cloud = {tables_.counts[one.slot], room, tables_.places + first, tables_.normals + first,
                                  tables_.cells + first};
        near.places.assign(6 * stride, 0);
        near.cells.assign(3 * stride, 0);
        const int32_t* points = shown_.points + one.slot * (2 * d_.near + d_.spread) + (one.kind == kRight ? d_.near : 0);
        int64_t present = 0;
        for (int64_t i = 0; i < d_.near; i++) {
            if (points[i] < 0) continue;
            for (int axis = 0; axis < 3; axis++) {
                const int64_t from = axis * room + points[i], to = axis * stride + present;
                near.places[to] = cloud.places[from];
                near.places[3 * stride + to] = cloud.normals[from];
                near.cells[to] = cloud.cells[from];
            }
            present++;
        }
        const PointTable nearest = {present, stride, near.places.data(), near.places.data() + 3 * stride, near.cells.data()};
        const int64_t bins = 3 * d_.bins;
        one.maps.begin({d_.bins, tables_.used + one.slot * bins, tables_.density + one.slot * bins, vertices_of(one.slot),
                        rows_.written[one.slot], d_.fading},
                       nearest, cloud);
    }

    const FaceDecoder& d_;
    const FaceTables& tables_;
    const FaceShown& shown_;
    const FaceRows& rows_;
    const FaceChoice& choice_;
    Matrix states_;
    Choice drawn_;
    std::vector<char> invalid_;  // rows
};

// Whether a group's numbers are indices into the tables.
inline bool fits(const int32_t* group, int64_t bins) {
    bool inside = group[0] >= 0 && group[0] < kKinds;
    for (int axis = 0; axis < 3; axis++) inside &= group[1 + axis] >= 0 && group[1 + axis] < bins;
    return inside;
}

// A slot's next group, which fits, is settled: what follows from it, the surface aside.
inline void take(const FaceRun& run, const FaceTables& tables, int64_t bins, int64_t slot, const int32_t* group) {
    const int64_t kind = group[0], at = slot * tables.room + run.written[slot];
    run.lengths[slot]++;
    if (kind == kEnd) {
        run.endings[slot] = kEnded;
        return;
    }
    std::copy(group, group + 4, run.groups + 4 * at);
    for (int axis = 0; axis < 3; axis++) {
        tables.vertices[3 * at + axis] = group[1 + axis];
        tables.used[(3 * slot + axis) * bins + group[1 + axis]] = true;
    }
    run.before[slot] = kind;
    run.written[slot]++;
    run.faces[slot] += kind != kBom && kind != kSecond;
    run.ids[slot] += kind <= kBom ? 4 : 3;
    if (run.ids[slot] >= run.max_ids[slot]) run.endings[slot] = kFull;
}

template <typename T>
int run_steps(const FaceDecoder& d, const FaceTables& tables, const FaceShown& shown, const FaceRun& run,
              const FaceChoice& choice) {
    const int64_t rows = run.rows, each = run.candidates, drawn = kDraws * each, width = drawn + (each > 1);
    std::vector<int64_t> lengths(rows), slots(rows);
    std::vector<float> uniform(rows * drawn), choosing(rows);
    std::vector<int32_t> candidates(rows * each * 4), chosen(rows * 4);
    std::unique_ptr<bool[]> enough(new bool[rows]);
    bool ended = false;
    for (int64_t step = 0; step < run.steps && !ended; step++) {
        for (int64_t b = 0; b < rows; b++) {
            const int64_t slot = run.slots[b];
            const float* from = run.draws + (slot * run.draw_room + run.written[slot] % run.draw_room) * width;
            std::copy(from, from + drawn, uniform.begin() + b * drawn);
            choosing[b] = from[width - 1];
            lengths[b] = run.lengths[slot];
            enough[b] = run.max_faces[slot] > 0 && run.max_faces[slot] <= run.faces[slot];
        }
        if (run.surfaces.show(run.surfaces.batch, run.slots, rows, &shown)) return 1;
        const FaceRows now = {rows,         each,           run.capacity,      run.threads, run.slots,
                              lengths.data(), run.before,   run.written,       run.wished, run.faces, enough.get(),
                              uniform.data(),
                              candidates.data(), run.hidden, run.logits};
        FaceStep<T> made(d, tables, shown, now, choice);
        if (made.run()) return 1;
        // Rows without numbers end here, and leave the others as they are.
        int64_t valid = 0;
        for (int64_t b = 0; b < rows; b++) {
            bool fit = !made.is_invalid(b);
            for (int64_t n = b * each; n < (b + 1) * each; n++) fit &= fits(candidates.data() + 4 * n, d.bins);
            if (!fit) {
                run.endings[run.slots[b]] = kInvalid;
                ended = true;
                continue;
            }
            slots[valid] = run.slots[b], choosing[valid] = choosing[b];
            std::copy_n(candidates.begin() + 4 * b * each, 4 * each, candidates.begin() + 4 * valid * each);
            valid++;
        }
        if (!valid) return 0;
        const int32_t* groups = candidates.data();
        if (each > 1) {
            groups = chosen.data();
            if (run.surfaces.choose(run.surfaces.batch, slots.data(), valid, candidates.data(), each, choosing.data(),
                                    choice.end_cover, chosen.data()))
                return 1;
        }
        for (int64_t b = 0; b < valid; b++) {
            take(run, tables, d.bins, slots[b], groups + 4 * b);
            ended |= run.endings[slots[b]] != kRuns;
        }
        if (run.surfaces.feed(run.surfaces.batch, slots.data(), valid, groups)) return 1;
    }
    return 0;
}

}  // namespace
