// The functions that Python calls (core/kernels/__init__.py). Those of two types exist for each type of cache.
#include <cstring>

#include "face_step.hpp"
#include "token_decoder.hpp"

using namespace edgerunner;

#define STRUCTS(X)                                                                                               \
    X(Linear, 32)                                                                                                \
    X(Sampling, 56) X(TokenLayer, 176) X(TokenDecoder, 88) X(FaceLayer, 176) X(PointSet, 72) X(FaceDecoder, 912) \
        X(FaceTables, 176) X(FaceRun, 80) X(KnownPriors, 160)
#define ASSERT_SIZE(NAME, SIZE) static_assert(sizeof(NAME) == SIZE, #NAME);
STRUCTS(ASSERT_SIZE)

extern "C" {

// The size of a structure by its name; -1 for another name.
int64_t struct_size(const char* name) {
#define SIZE_OF(NAME, SIZE) \
    if (!std::strcmp(name, #NAME)) return SIZE;
    STRUCTS(SIZE_OF)
    return -1;
}

// Writes k and v (rows, heads, dim) behind each row's cache, and attends to all of it with q, likewise, -> out.
//   q, k, v: rows `stride` apart; out: (rows, heads * dim), contiguous.
//   keys, values: (slots, heads, capacity, dim); slots, lengths: (rows), lengths without the new position.
// Returns 1 for a head dimension that is not compiled.
#define ATTEND(NAME, X, T)                                                                                               \
    int NAME(int64_t rows, int64_t heads, int64_t dim, int64_t capacity, int64_t stride, float scale, int32_t threads,   \
             const X* q, const X* k, const X* v, T* keys, T* values, const int64_t* slots, const int64_t* lengths,       \
             X* out) {                                                                                                   \
        return attend({rows, heads, dim, capacity, stride, scale, threads}, q, k, v, keys, values, slots, lengths, out); \
    }
ATTEND(attend_float32_float32, float, float)
ATTEND(attend_float32_float16, float, Float16)
ATTEND(attend_float32_bfloat16, float, BFloat16)
ATTEND(attend_bfloat16_bfloat16, BFloat16, BFloat16)

// token_step: the next position of some slots (rows) -> logits (rows, vocabulary); ids: (slots), the last of each.
// face_steps: see run_steps.
// *_prefill: the next rows of one slot, from position `start` on; states (rows, width) in place. They are what the last
// layer makes only if they are needed. All return 1 or -1 for a head dimension that is not compiled.
#define DECODERS(SUFFIX, T)                                                                                    \
    int token_step_##SUFFIX(const TokenDecoder* d, int64_t rows, int32_t threads, const int64_t* slots,        \
                            const int64_t* lengths, const int64_t* ids, float* logits) {                       \
        return token_step<T>(*d, rows, threads, slots, lengths, ids, logits);                                  \
    }                                                                                                          \
    int token_prefill_##SUFFIX(const TokenDecoder* d, int64_t slot, int64_t start, int64_t rows, int32_t need, \
                               float* states) {                                                                \
        return prefill<T>(*d, slot, start, rows, need != 0, states);                                           \
    }                                                                                                          \
    int face_steps_##SUFFIX(const FaceDecoder* d, const FaceTables* tables, const FaceRun* run,                \
                            const Sampling* sampling) {                                                        \
        return run_steps<T>(*d, *tables, *run, *sampling);                                                     \
    }                                                                                                          \
    int face_prefill_##SUFFIX(const FaceDecoder* d, int64_t slot, int64_t start, int64_t rows, int32_t need,   \
                              float* states) {                                                                 \
        return prefill<T>(*d, slot, start, rows, need != 0, states);                                           \
    }
DECODERS(float32, float)
DECODERS(float16, Float16)
DECODERS(bfloat16, BFloat16)

void known_priors_of_steps(const KnownPriors* priors) { known_priors(*priors); }

// An id of each row of logits (rows, count), by uniforms (rows); -1 where none can be chosen.
void choose_ids(const Sampling* sampling, float temperature, const float* logits, int64_t rows, int64_t count,
                const float* uniforms, int64_t* ids) {
    Sampler sampler;
    for (int64_t b = 0; b < rows; b++) {
        const bool valid = sampler.prepare(*sampling, temperature, logits + b * count, count);
        ids[b] = valid ? sampler.draw(uniforms[b]) : -1;
    }
}
}
