// What may follow what: the state machine over token classes that every decoder runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "meto/backend.hpp"

namespace meto {

// What the next token must be.
enum class Expect : std::uint8_t { bom, value, op, eom };

// Where a stream went wrong; `reason` is null while it has not.
struct Violation {
    std::size_t position = 0;
    const char *reason = nullptr;
    explicit operator bool() const { return reason != nullptr; }
};

struct GrammarState {
    Expect expect = Expect::bom;
    std::uint8_t values_left = 0;
    std::uint32_t open_splits = 0;  // CLERS: splits whose second branch is still to come
};

template <Backend backend> struct Grammar {
    using Op = Ops<backend>;

    static bool is_value(std::int32_t token, int num_tokens) { return token >= Op::num_special && token < num_tokens; }

    // An op that is followed by the three values of the next face.
    static bool is_move(std::int32_t token) {
        return token == Op::L || token == Op::R || (backend == Backend::clers && (token == Op::C || token == Op::S));
    }

    // Advances over one token; returns why it is not allowed, or null. A refused token leaves the state as it was.
    static const char *accept(GrammarState &state, std::int32_t token, int num_tokens) {
        if (token < 0 || token >= num_tokens) return "the token is outside the vocabulary";
        switch (state.expect) {
        case Expect::value:
            if (token < Op::num_special) return "a coordinate is expected";
            if (--state.values_left == 0) state.expect = Expect::op;
            return nullptr;
        case Expect::bom:
            if (token != Op::BOM) return "BOM is expected";
            return expect_values(state, 9);
        case Expect::eom:
            if (token != Op::EOM) return "no split is open, so EOM is expected";
            state.expect = Expect::bom;
            return nullptr;
        default: return accept_op(state, token);
        }
    }

    // Why the stream may not end here, or null.
    static const char *may_end(const GrammarState &state) {
        if (state.expect == Expect::bom) return nullptr;  // no tokens at all are no faces
        if (backend == Backend::clers) return "the stream ends before EOM";
        return state.expect == Expect::op ? nullptr : "the stream ends inside a vertex group";
    }

  private:
    static const char *expect_values(GrammarState &state, int count) {
        state.expect = Expect::value;
        state.values_left = static_cast<std::uint8_t>(count);
        return nullptr;
    }

    static const char *accept_op(GrammarState &state, std::int32_t token) {
        if (is_move(token)) {
            if (backend == Backend::clers && token == Op::S) ++state.open_splits;
            return expect_values(state, 3);
        }
        if constexpr (backend == Backend::clers) {
            if (token != Op::E) return "one of C, L, E, R, S is expected";
            if (state.open_splits == 0) {
                state.expect = Expect::eom;
                return nullptr;
            }
            --state.open_splits;
            return expect_values(state, 3);
        } else {
            return token == Op::BOM ? expect_values(state, 9) : "one of L, R, BOM is expected";
        }
    }
};

// How far a stream is well formed, and the faces and vertices complete by then.
struct Extent {
    std::size_t faces = 0, vertices = 0;
    Violation violation;
};

// Reads a whole stream. Runs of plain faces are checked four tokens at a time, everything else token by token.
template <Backend backend> Extent scan(const std::int32_t *tokens, std::size_t count, int num_tokens) {
    using Op = Ops<backend>;
    using G = Grammar<backend>;
    const auto num_values = static_cast<std::uint32_t>(num_tokens - Op::num_special);
    const auto is_value = [=](std::int32_t t) { return static_cast<std::uint32_t>(t) - Op::num_special < num_values; };
    Extent extent;
    GrammarState state;
    bool first = true;  // of its sub-mesh
    for (std::size_t i = 0; i < count;) {
        if (state.expect == Expect::op && i + 4 <= count && G::is_move(tokens[i]) &&
            (is_value(tokens[i + 1]) & is_value(tokens[i + 2]) & is_value(tokens[i + 3]))) {
            if (backend == Backend::clers && tokens[i] == Op::S) ++state.open_splits;
            ++extent.faces, ++extent.vertices;
            i += 4;
            continue;
        }
        first |= tokens[i] == Op::BOM;
        if (const char *reason = G::accept(state, tokens[i], num_tokens)) {
            extent.violation = {i, reason};
            return extent;
        }
        if (state.expect == Expect::op) {
            extent.faces += 1, extent.vertices += first ? 3 : 1;
            first = false;
        }
        ++i;
    }
    if (const char *reason = G::may_end(state)) extent.violation = {count, reason};
    return extent;
}

}  // namespace meto
