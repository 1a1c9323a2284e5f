// The structures that cross the border to Python, where structs.py declares the same fields: `struct_size` lets it compare.
// All arrays are contiguous; weights are float32.
#pragma once

#include <cstdint>

namespace edgerunner {

enum class Status : int32_t { running, stop, length, invalid };  // `Status` of face_state.py

// x -> x weight^T + bias. panels: (out / 16 rounded up, in, 16), zeros beyond the last output; bias likewise, or null.
struct Linear {
    const float *panels, *bias;
    int64_t in, out;
};

struct Sampling {
    int64_t greedy, top_k;
    double top_p, min_p, end_cover;
    int64_t candidates, refuse_faces;
};

// A post-norm layer of the token decoder; keys and values: (slots, heads, capacity, head dim).
struct TokenLayer {
    Linear qkv, out, fc1, fc2;
    const float *norm1, *norm1_shift, *norm2, *norm2_shift;
    void *keys, *values;
};

struct TokenDecoder {
    int64_t width, heads, layers, capacity;
    const float *tokens, *positions;  // embeddings
    const TokenLayer* layer;
    Linear head;
};

// A pre-norm layer of the face decoder; keys and values as above.
struct FaceLayer {
    Linear qkv, out, fc1, fc2;
    const float *norm1, *norm2, *q_norm, *k_norm;
    void *keys, *values;
};

struct PointSet {
    Linear fc1, fc2;
    const float* empty;  // the vector of no points
};

struct FaceDecoder {
    int64_t width, heads, layers, capacity, bins;
    int64_t near, spread, counted, open;  // `counted`: the faces left are an input
    int64_t per_axis;                     // features of a coordinate: 1 + 2 * frequencies
    const float* coordinates;             // `fourier` of each coordinate (bins, per_axis)
    // The products of the input's first matrix with each coordinate of an observed vertex (21, bins + 1, input1.out), and
    // with each difference from the tip, from 1 - bins on (18, 2 * bins, input1.out); the last of each is for an absent
    // vertex.
    const float *place_table, *offset_table;
    const float *kinds, *phases;  // embeddings of the kind before and of the phase
    PointSet near_set, spread_set, open_set;
    Linear input1, input2;  // `input1`: the remaining features
    const FaceLayer* layer;
    const float *norm, *cosines, *sines;  // rotary angles of each position (capacity, head dim / 2)
    Linear ops, key;
    const float* written_kinds;                                    // embeddings of the kind that is written
    Linear copy1, copy2, query, open_query, open_key1, open_key2;  // `open_query`: a query and a bias
    const float* values[2];                                        // embeddings of y and z
    Linear coordinate1[3], coordinate2[3];  // of y, z and x; the second: logits, then weights of references and priors
    const float* fading;                    // (bins) exp(-d / REACH) by the distance d in bins
};

// The tables of all slots: FaceState of face_state.py. `room` groups and `point_room` points (a multiple of sixteen) each.
struct FaceTables {
    int64_t slots, room, point_room, has_points;  // has_points: of any slot
    float* keys;                                  // (slots, room, 64) of the vertices written
    bool* used;                                   // (slots, 3, bins) coordinates written
    const float* density;                         // (slots, 3, bins)
    const float *cloud, *places, *normals;        // (slots, 3, point_room) points in [-1, 1] and in bins
    const int32_t* cells;                         // (slots, 3, point_room) bins
    const int64_t* num_points;                    // (slots)
    int32_t* groups;                              // (slots, room, 4)
    int64_t *written, *faces, *ids, *lengths;     // (slots) groups, faces, ids; positions in the cache
    const int64_t *wished, *max_faces, *max_ids;  // (slots) the wish and the budgets; 0 faces: none
    const float* temperatures;                    // (slots, 2) of structure and of coordinates
    int32_t* status;                              // (slots)
};

// Steps of some slots, until one of them ends.
struct FaceRun {
    void* surfaces;  // a SurfaceSet
    int64_t rows, steps, threads;
    const int64_t* slots;  // (rows) ascending
    // (slots, uniform_room, uniform_width): a step's numbers are those of row `written` % uniform_room.
    const float* uniforms;
    int64_t uniform_room, uniform_width;
    float *trace_states, *trace_logits;  // (rows, width) and (rows, 4 + 3 * bins) of the latest step, or null
};

// The priors of `steps` steps of several meshes: PriorInputs and VertexHistory of core/model/coordinate_priors.py.
struct KnownPriors {
    int64_t steps, bins, near, point_room, threads;
    const int64_t *rows, *numbers;  // (steps) the mesh of each, and the vertices before it
    const bool* right;              // (steps) the step attaches to the right edge
    const bool* used;               // (steps, 3, bins)
    const int32_t* near_points;     // (steps, 2, near)
    const int32_t* groups;          // (steps, 4) true ones, mesh after mesh
    const float* density;           // (meshes, 3, bins)
    const int64_t* num_points;      // (meshes)
    const float *places, *normals;  // (meshes, 3, point_room)
    const int32_t* cells;           // (meshes, 3, point_room)
    const float* fading;            // (bins)
    float* out[3];                  // (steps, num_priors[k], bins)
};

}  // namespace edgerunner
