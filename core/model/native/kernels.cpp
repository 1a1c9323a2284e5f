#include "attend.hpp"
#include "decoder.hpp"
#include "face_step.hpp"
#include "train_maps.hpp"

// Writes k and v (rows, heads, dim) behind each row's cache, and attends to all of it with q, likewise, -> out.
//   q, k, v: rows `stride` apart; out: (rows, heads * dim), contiguous.
//   keys, values: (slots, heads, capacity, dim); slots, lengths: (rows), lengths without the new position.
// Returns 1 for a head dimension that is not compiled.
#define ATTEND(NAME, X, T)                                                                                        \
    extern "C" int NAME(int64_t rows, int64_t heads, int64_t dim, int64_t capacity, int64_t stride, float scale,  \
                        int32_t threads, const X* q, const X* k, const X* v, T* keys, T* values,                  \
                        const int64_t* slots, const int64_t* lengths, X* out) {                                   \
        return attend({rows, heads, dim, capacity, stride, scale, threads}, q, k, v, keys, values, slots, lengths, \
                      out);                                                                                       \
    }
ATTEND(attend_float32_float32, float, float)
ATTEND(attend_float32_float16, float, Float16)
ATTEND(attend_float32_bfloat16, float, BFloat16)
ATTEND(attend_bfloat16_bfloat16, BFloat16, BFloat16)

// One position of each row through a float32 decoder whose caches hold T: embeds ids[slots[row]] at position
// lengths[row], writes its keys and values, -> logits (rows, vocabulary). Sizes are multiples of 16.
#define DECODER_STEP(NAME, T)                                                                                        \
    extern "C" int NAME(const Decoder* decoder, int64_t rows, int64_t capacity, int32_t threads,                     \
                        const int64_t* slots, const int64_t* lengths, const int64_t* ids, float* logits) {           \
        return decoder_step<T>(*decoder, rows, capacity, threads, slots, lengths, ids, logits);                               \
    }
DECODER_STEP(decoder_step_float32, float)
DECODER_STEP(decoder_step_float16, Float16)
DECODER_STEP(decoder_step_bfloat16, BFloat16)

// Steps of a float32 face decoder whose caches hold T, until a sequence ends or all are made. Widths are multiples of 16.
// Returns 1 for a head dimension that is not compiled, or for a group that meto refuses.
#define FACE_RUN(NAME, T)                                                                                            \
    extern "C" int NAME(const FaceDecoder* decoder, const FaceTables* tables, const FaceShown* shown,                \
                        const FaceRun* run, const FaceChoice* choice) {                                              \
        return run_steps<T>(*decoder, *tables, *shown, *run, *choice);                                               \
    }
FACE_RUN(face_run_float32, float)
FACE_RUN(face_run_float16, Float16)
FACE_RUN(face_run_bfloat16, BFloat16)

// The next rows of one slot through a face decoder's layers, from position `start` on: states (rows, width) in place;
// what the last layer makes of them is left out unless it is read. Returns 1 as above.
#define FACE_PREFILL(NAME, T)                                                                                        \
    extern "C" int NAME(const FaceDecoder* decoder, int64_t capacity, int64_t slot, int64_t start, int64_t rows,     \
                        int32_t read, float* states) {                                                               \
        return prefill<T>(*decoder, capacity, slot, start, rows, read, states);                                      \
    }
FACE_PREFILL(face_prefill_float32, float)
FACE_PREFILL(face_prefill_float16, Float16)
FACE_PREFILL(face_prefill_bfloat16, BFloat16)

extern "C" void face_maps(const TrainMaps* maps) { train_maps(*maps); }

// An id of each row of logits (rows, count), whose draws are uniform (rows); -1 where none can be chosen.
extern "C" void choose_ids(const Sampling* how, const float* logits, int64_t rows, int64_t count, const float* uniform,
                           int64_t* ids) {
    Choice choice;
    for (int64_t b = 0; b < rows; b++) {
        const bool valid = choice.prepare(*how, logits + b * count, count);
        ids[b] = valid ? choice.draw(uniform[b]) : -1;
    }
}
