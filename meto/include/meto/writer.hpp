// The tokens of a traversed mesh: for each face the op that leads to it and the coordinates of its new vertices.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "meto/backend.hpp"
#include "meto/buffer.hpp"
#include "meto/face.hpp"
#include "meto/quantise.hpp"
#include "meto/traversal.hpp"
#include "meto/triangle.hpp"

namespace meto {

// Written for a relative value that has no token, where the caller asks for that.
constexpr std::int32_t out_of_range_token = -1;

// Relative values are measured from where the decoder will predict a vertex: the writer plays its own tokens back.
template <Backend backend> class TokenWriter {
    using Op = Ops<backend>;
    static constexpr bool absolute = backend == Backend::lr_absco;
    static constexpr bool clers = backend == Backend::clers;

  public:
    TokenWriter(Language language, const Face *faces, const Packed *vertices, bool mark_out_of_range, std::int32_t *out)
        : zero_(language.zero()), limit_(language.num_base() / 2), mark_(mark_out_of_range), faces_(faces),
          vertices_(vertices), out_(out) {}

    static std::size_t count(std::size_t faces, std::size_t submeshes) {
        return 4 * faces + (clers ? 8 : 6) * submeshes;
    }

    // Writes all tokens of `size` faces; face_order, as the traversal left it, becomes the faces' indices.
    void run(std::size_t size, const TraversalOut &walk) {
        for (std::size_t k = 0; k < size; ++k) {
            const std::size_t soon = std::min(k + 24, size - 1);
            prefetch(vertices_ + walk.tips[soon]);
            if (walk.entered[soon] & starts_submesh) prefetch(faces_ + face_of(walk.entered[soon] & ~starts_submesh));
            const std::uint32_t entered = walk.entered[k];
            const HalfEdge h = entered & ~starts_submesh;
            walk.entered[k] = face_of(h);
            if (entered & starts_submesh) {
                if (clers && k > 0) end_submesh();
                begin_submesh(h);
            } else {
                put(walk.ops[k - 1]);
                put_vertex(walk.ops[k - 1], vertices_[walk.tips[k]], face_of(h));
            }
        }
        if (clers && size > 0) end_submesh();
    }

  private:
    Packed at(HalfEdge h) const { return vertices_[faces_[face_of(h)].vertex[corner_of(h)]]; }

    void put(std::int32_t token) { *out_++ = token; }

    void end_submesh() {
        put(Op::E);
        put(Op::EOM);
    }

    void begin_submesh(HalfEdge h) {
        const Packed tip = at(h), start = at(next_of(h)), end = at(prev_of(h));
        put(Op::BOM);
        put_point(tip);
        if (absolute) {
            put_point(start);
            put_point(end);
        } else {
            put_difference(start + packed_bias - tip, face_of(h));
            put_difference(end + packed_bias - start, face_of(h));
            triangle_ = {{0, tip}, {0, start}, {0, end}};
        }
    }

    void put_vertex(std::int32_t op, Packed at, std::uint32_t face) {
        if constexpr (absolute) {
            put_point(at);
        } else {
            const bool right = follow<backend>(op, triangle_, splits_);
            put_difference(at + 2 * packed_bias - triangle_.predict(right), face);
            triangle_.move(right, {0, at});
        }
    }

    void put_point(Packed p) {
        out_[0] = unpack_x(p) + zero_;
        out_[1] = unpack_y(p) + zero_;
        out_[2] = unpack_z(p) + zero_;
        out_ += 3;
    }

    void put_difference(Packed biased, std::uint32_t face) {
        put_relative(unpack_x(biased) - field_bias, 'x', face);
        put_relative(unpack_y(biased) - field_bias, 'y', face);
        put_relative(unpack_z(biased) - field_bias, 'z', face);
    }

    void put_relative(int value, char axis, std::uint32_t face) {
        if (value >= -limit_ && value < limit_)
            put(value + zero_);
        else if (mark_)
            put(out_of_range_token);
        else
            throw_out_of_range(value, axis, face);
    }

    [[noreturn]] void throw_out_of_range(int value, char axis, std::uint32_t face) const {
        throw std::invalid_argument("face " + std::to_string(face) + " has the relative " + axis + " value " +
                                    std::to_string(value) + "; " + name(backend) + " has tokens for [" +
                                    std::to_string(-limit_) + ", " + std::to_string(limit_) + ")");
    }

    int zero_, limit_;
    bool mark_;
    const Face *faces_;
    const Packed *vertices_;
    std::int32_t *out_;
    Triangle triangle_;             // of relative backends
    std::vector<Triangle> splits_;  // of CLERS
};

}  // namespace meto
