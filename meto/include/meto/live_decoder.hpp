// Decoding token by token, for streams that are still being written: one stream's state and how a token changes it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/backend.hpp"
#include "meto/grammar.hpp"
#include "meto/triangle.hpp"

namespace meto {

// The tokens that the next one may be, as [first, last): for a coordinate those that stay on the grid.
struct TokenRange {
    std::int32_t first = 0, last = 0;
};

// One stream. A refused token leaves everything as it was, so another one can be tried.
class LiveDecoder {
  public:
    explicit LiveDecoder(Language language) : language_(language) {}

    // Why the token is refused, or null.
    const char *feed(std::int32_t token) {
        return dispatch(language_.backend, [&](auto backend) { return feed_as<backend.value>(token); });
    }

    // Why the stream may not end here, or null.
    const char *may_end() const {
        return dispatch(language_.backend, [&](auto b) { return Grammar<b.value>::may_end(grammar_); });
    }

    std::size_t position() const { return position_; }
    Expect expect() const { return grammar_.expect; }
    std::uint32_t open_splits() const { return grammar_.open_splits; }

    // Decoded so far: vertices on the grid; faces as vertex ids; the op that leaves each face.
    const std::vector<Packed> &vertices() const { return vertices_; }
    const std::vector<std::array<std::uint32_t, 3>> &faces() const { return faces_; }
    const std::vector<std::int32_t> &face_type() const { return face_type_; }

    // The face that the next op moves on from (after CLERS' E, the one it returned to).
    const Triangle &gate() const { return triangle_; }

    // The coordinate tokens that stay on the grid; empty where no coordinate is expected.
    TokenRange value_range() const {
        if (grammar_.expect != Expect::value) return {};
        const std::int32_t first = language_.zero() - base();
        return {std::max(first, language_.num_special()), std::min(first + language_.bins, language_.num_tokens())};
    }

  private:
    template <Backend backend> const char *feed_as(std::int32_t token) {
        const GrammarState before = grammar_;
        if (const char *reason = Grammar<backend>::accept(grammar_, token, language_.num_tokens())) return reason;
        if (before.expect != Expect::value) {
            take_op<backend>(token);
        } else if (const char *reason = take_value(token)) {
            grammar_ = before;
            return reason;
        }
        ++position_;
        return nullptr;
    }

    template <Backend backend> void take_op(std::int32_t op) {
        axis_ = corner_ = 0;
        first_ = op == Ops<backend>::BOM;
        if (first_) from_ = packed_bias;
        if (grammar_.expect != Expect::value || first_) return;
        face_type_.back() = op;
        right_ = follow<backend>(op, triangle_, splits_);
        from_ = triangle_.predict(right_);
    }

    // What a relative value of the next axis is added to.
    int base() const {
        if (language_.backend == Backend::lr_absco) return 0;
        return (axis_ == 0 ? unpack_x(from_) : axis_ == 1 ? unpack_y(from_) : unpack_z(from_)) - field_bias;
    }

    const char *take_value(std::int32_t token) {
        const int q = base() + (token - language_.zero());
        if (q < 0 || q >= language_.bins) return leaves_grid;
        value_[axis_++] = static_cast<std::uint32_t>(q);
        if (axis_ == 3) take_vertex(pack(value_[0], value_[1], value_[2]));
        return nullptr;
    }

    void take_vertex(Packed at) {
        axis_ = 0;
        if (!first_) {
            triangle_.move(right_, add_vertex(at));
            add_face();
            return;
        }
        pending_[corner_++] = at;
        from_ = at + packed_bias;
        if (corner_ < 3) return;
        triangle_.tip = add_vertex(pending_[0]);
        triangle_.start = add_vertex(pending_[1]);
        triangle_.end = add_vertex(pending_[2]);
        add_face();
    }

    Corner add_vertex(Packed at) {
        vertices_.push_back(at);
        return {static_cast<std::uint32_t>(vertices_.size() - 1), at};
    }

    void add_face() {
        faces_.push_back({triangle_.tip.id, triangle_.start.id, triangle_.end.id});
        face_type_.push_back(language_.end());
    }

    Language language_;
    GrammarState grammar_;
    std::size_t position_ = 0;
    Triangle triangle_;
    std::vector<Triangle> splits_;
    // The vertex group under way.
    Packed from_ = 0;
    bool right_ = false, first_ = false;
    int axis_ = 0, corner_ = 0;
    std::uint32_t value_[3] = {};
    Packed pending_[3] = {};

    std::vector<Packed> vertices_;
    std::vector<std::array<std::uint32_t, 3>> faces_;
    std::vector<std::int32_t> face_type_;
};

}  // namespace meto
