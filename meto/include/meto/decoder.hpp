// Tokens to a mesh: the triangle that the ops move about, and the decoder of a whole stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/backend.hpp"
#include "meto/grammar.hpp"
#include "meto/quantise.hpp"

namespace meto {

struct Corner {
    std::uint32_t id;  // index of the decoded vertex
    Packed at;         // where it is; relative backends only
};

// The face decoded last, as (tip, start, end) of the half edge it was entered by.
struct Triangle {
    Corner tip{}, start{}, end{};

    // Moves across the edge that R (or else L) names, to a new vertex.
    void move(bool right, Corner to) {
        (right ? end : start) = tip;
        tip = to;
    }
    // Fourth corner of the parallelogram over that edge, biased so that no field borrows.
    Packed predict(bool right) const {
        return right ? tip.at + start.at + packed_bias - end.at : tip.at + end.at + packed_bias - start.at;
    }
};

// Adds three relative values to a biased point. False if the result leaves the grid; `bad` is then the axis.
inline bool add_values(Packed biased, const std::int32_t *tokens, int zero, int bins, Packed &out, int &bad) {
    const int at[3] = {unpack_x(biased) - field_bias + tokens[0] - zero, unpack_y(biased) - field_bias + tokens[1] - zero,
                       unpack_z(biased) - field_bias + tokens[2] - zero};
    for (bad = 0; bad < 3; ++bad)
        if (at[bad] < 0 || at[bad] >= bins) return false;
    out = pack(static_cast<std::uint32_t>(at[0]), static_cast<std::uint32_t>(at[1]), static_cast<std::uint32_t>(at[2]));
    return true;
}

constexpr const char *leaves_grid = "the relative value leaves the grid";

// Where a decoded mesh goes: (V, 3), (F, 3), (F,), of the sizes that `scan` found.
struct MeshOut {
    float *vertices;
    std::int32_t *faces;
    std::int32_t *face_type;
};

// Decodes a stream that `scan` measured, up to the first relative value that leaves the grid.
template <Backend backend> class StreamDecoder {
    using Op = Ops<backend>;
    static constexpr bool absolute = backend == Backend::lr_absco;

  public:
    StreamDecoder(Language language, const std::int32_t *tokens, std::size_t count, MeshOut out)
        : bins_(static_cast<float>(language.bins)), language_(language), zero_(language.zero()), tokens_(tokens),
          count_(count), out_(out) {}

    // Stops after `limit` or earlier; the sizes it reached and a violation of the grid, if any.
    Extent run(const Extent &limit) {
        Extent done;
        std::size_t i = 0;
        while (done.faces < limit.faces && i < count_) {
            const std::int32_t op = tokens_[i];
            if (backend == Backend::clers && op == Op::EOM) {
                ++i;
                continue;
            }
            const bool first = op == Op::BOM;
            if (i + (first ? 10 : 4) > count_ || done.vertices + (first ? 3 : 1) > limit.vertices) break;
            if (first) {
                if (!begin(i + 1, done)) return done;
            } else if (backend == Backend::clers && op == Op::E) {
                // E and then no EOM: back to the latest split.
                if (i + 1 < count_ && tokens_[i + 1] == Op::EOM) {
                    i += 2;
                    continue;
                }
                if (splits_.empty()) break;
                triangle_ = splits_.back();
                splits_.pop_back();
                if (!step(true, i + 1, done)) return done;
            } else {
                if (backend == Backend::clers && op == Op::S) splits_.push_back(triangle_);
                if (!step(op == Op::R, i + 1, done)) return done;
            }
            i += first ? 10 : 4;
            emit_face(i, done);
        }
        return done;
    }

  private:
    bool begin(std::size_t i, Extent &done) {
        Corner corner[3];
        Packed from = packed_bias;
        const std::size_t vertices = done.vertices;
        for (int k = 0; k < 3; ++k, i += 3) {
            corner[k].id = static_cast<std::uint32_t>(done.vertices);
            if (!place(from, i, corner[k].at, done)) {
                done.vertices = vertices;  // of a first face that fails, none
                return false;
            }
            from = corner[k].at + packed_bias;
        }
        triangle_ = {corner[0], corner[1], corner[2]};
        return true;
    }

    bool step(bool right, std::size_t i, Extent &done) {
        Corner to{static_cast<std::uint32_t>(done.vertices), 0};
        if (!place(absolute ? 0 : triangle_.predict(right), i, to.at, done)) return false;
        triangle_.move(right, to);
        return true;
    }

    // Reads the vertex at token i, relative to `from` where the backend is.
    bool place(Packed from, std::size_t i, Packed &at, Extent &done) {
        float *v = out_.vertices + 3 * done.vertices;
        const std::int32_t *t = tokens_ + i;
        if constexpr (absolute) {
            at = 0;
            for (int a = 0; a < 3; ++a) v[a] = dequantise(t[a] - zero_, bins_);
        } else {
            int bad;
            if (!add_values(from, t, zero_, language_.bins, at, bad)) {
                done.violation = {i + static_cast<std::size_t>(bad), leaves_grid};
                return false;
            }
            v[0] = dequantise(unpack_x(at), bins_);
            v[1] = dequantise(unpack_y(at), bins_);
            v[2] = dequantise(unpack_z(at), bins_);
        }
        ++done.vertices;
        return true;
    }

    // The op that leaves the face is the token after it.
    void emit_face(std::size_t after, Extent &done) {
        std::int32_t *f = out_.faces + 3 * done.faces;
        f[0] = static_cast<std::int32_t>(triangle_.tip.id);
        f[1] = static_cast<std::int32_t>(triangle_.start.id);
        f[2] = static_cast<std::int32_t>(triangle_.end.id);
        out_.face_type[done.faces++] = after < count_ ? tokens_[after] : Op::end;
    }

    float bins_;
    Language language_;
    int zero_;
    const std::int32_t *tokens_;
    std::size_t count_;
    MeshOut out_;
    Triangle triangle_;
    std::vector<Triangle> splits_;
};

}  // namespace meto
