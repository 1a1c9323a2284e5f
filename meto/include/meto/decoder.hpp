// A whole token stream to a mesh: `scan` (grammar.hpp) measures it, `MeshDecoder` fills arrays of that size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/backend.hpp"
#include "meto/grammar.hpp"
#include "meto/triangle.hpp"

namespace meto {

// Where a decoded mesh goes: (V, 3), (F, 3), (F,).
struct MeshOut {
    float *vertices;
    std::int32_t *faces;
    std::int32_t *face_type;
};

template <Backend backend> class MeshDecoder {
    using Op = Ops<backend>;
    static constexpr bool absolute = backend == Backend::lr_absco;

  public:
    MeshDecoder(Language language, const std::int32_t *tokens, std::size_t count, MeshOut out)
        : bins_(language.bins), float_bins_(static_cast<float>(language.bins)), zero_(language.zero()), tokens_(tokens),
          count_(count), out_(out) {}

    // Decodes what `scan` found complete, up to the first relative value that leaves the grid. Never writes beyond
    // `limit`, nor reads beyond the stream, whatever the tokens are by now.
    Extent run(const Extent &limit) {
        std::size_t i = 0;
        while (done_.faces < limit.faces && i < count_) {
            const std::int32_t op = tokens_[i];
            const bool first = op == Op::BOM;
            if (backend == Backend::clers && (op == Op::EOM || (op == Op::E && splits_.empty()))) {
                ++i;
                continue;
            }
            const std::size_t next = i + (first ? 10 : 4);
            if (next > count_ || done_.vertices + (first ? 3 : 1) > limit.vertices) break;
            if (!(first ? begin(i + 1) : move(op, i + 1))) break;
            i = next;
            emit_face(i < count_ ? tokens_[i] : Op::end);
        }
        return done_;
    }

  private:
    bool begin(std::size_t i) {
        Corner corner[3];
        Packed from = packed_bias;
        const std::size_t vertices = done_.vertices;
        for (int k = 0; k < 3; ++k) {
            corner[k].id = static_cast<std::uint32_t>(done_.vertices);
            if (!place(from, i + 3 * k, corner[k].at)) {
                done_.vertices = vertices;  // a first face comes whole or not at all
                return false;
            }
            from = corner[k].at + packed_bias;
        }
        triangle_ = {corner[0], corner[1], corner[2]};
        return true;
    }

    bool move(std::int32_t op, std::size_t i) {
        const bool right = follow<backend>(op, triangle_, splits_);
        Corner to{static_cast<std::uint32_t>(done_.vertices), 0};
        if (!place(absolute ? 0 : triangle_.predict(right), i, to.at)) return false;
        triangle_.move(right, to);
        return true;
    }

    // Writes the vertex at token i, which is relative to `from` where the backend is.
    bool place(Packed from, std::size_t i, Packed &at) {
        float *v = out_.vertices + 3 * done_.vertices;
        if constexpr (absolute) {
            for (int a = 0; a < 3; ++a) v[a] = dequantise(tokens_[i + a] - zero_, float_bins_);
        } else {
            const int axis = add_values(from, tokens_ + i, zero_, bins_, at);
            if (axis < 3) {
                done_.violation = {i + static_cast<std::size_t>(axis), leaves_grid};
                return false;
            }
            dequantise(at, float_bins_, v);
        }
        ++done_.vertices;
        return true;
    }

    // The op that leaves the face is the token after it.
    void emit_face(std::int32_t leaving) {
        std::int32_t *f = out_.faces + 3 * done_.faces;
        f[0] = static_cast<std::int32_t>(triangle_.tip.id);
        f[1] = static_cast<std::int32_t>(triangle_.start.id);
        f[2] = static_cast<std::int32_t>(triangle_.end.id);
        out_.face_type[done_.faces++] = leaving;
    }

    int bins_;
    float float_bins_;
    int zero_;
    const std::int32_t *tokens_;
    std::size_t count_;
    MeshOut out_;
    Extent done_;
    Triangle triangle_;
    std::vector<Triangle> splits_;
};

// Decodes a stream up to its first error. `measured` is what `scan` said; the result has the final sizes.
inline Extent decode(Language language, const std::int32_t *tokens, std::size_t count, const Extent &measured,
                     MeshOut out) {
    if (measured.violation) count = measured.violation.position;
    Extent done = dispatch(language.backend, [&](auto backend) {
        return MeshDecoder<backend.value>(language, tokens, count, out).run(measured);
    });
    if (!done.violation) done.violation = measured.violation;
    return done;
}

}  // namespace meto
