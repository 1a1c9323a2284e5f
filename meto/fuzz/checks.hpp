// What must hold for every mesh and every token stream. A failed check aborts with the place and the seed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "meshes.hpp"
#include "meto/decoder.hpp"
#include "meto/encoder.hpp"
#include "meto/live_decoder.hpp"

namespace fuzz {

using namespace meto;

inline std::uint64_t current_seed = 0;

inline void require(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s (item seed %llu)\n", what, static_cast<unsigned long long>(current_seed));
    std::abort();
}

struct Encoded {
    std::vector<std::int32_t> tokens, order, type;
};

// Throws what the encoder throws.
template <class Index> Encoded encode(Encoder &encoder, Language language, const Mesh &mesh, bool mark) {
    const std::vector<Index> faces(mesh.faces.begin(), mesh.faces.end());
    Encoded out;
    out.order.resize(mesh.num_faces());
    out.type.resize(mesh.num_faces());
    out.tokens.resize(encoder.traverse(language, mesh.vertices.data(), mesh.num_vertices(), faces.data(),
                                       mesh.num_faces(), out.order.data(), out.type.data()));
    encoder.write(language, mark, out.tokens.data());
    return out;
}

struct Decoded {
    std::vector<float> vertices;
    std::vector<std::int32_t> faces, type;
    Violation violation;
};

inline Decoded decode_all(Language language, const std::vector<std::int32_t> &tokens) {
    const Extent measured = dispatch(language.backend, [&](auto backend) {
        return scan<backend.value>(tokens.data(), tokens.size(), language.num_tokens());
    });
    Decoded out;
    out.vertices.resize(3 * measured.vertices);
    out.faces.resize(3 * measured.faces);
    out.type.resize(measured.faces);
    const Extent done = decode(language, tokens.data(), tokens.size(), measured,
                               {out.vertices.data(), out.faces.data(), out.type.data()});
    out.vertices.resize(3 * done.vertices);
    out.faces.resize(3 * done.faces);
    out.type.resize(done.faces);
    out.violation = done.violation;
    return out;
}

// The incremental decoder says the same as the other one, token by token.
inline void check_live(Language language, const std::vector<std::int32_t> &tokens, const Decoded &whole) {
    LiveDecoder live(language);
    Violation violation;
    for (std::int32_t token : tokens) {
        const TokenRange range = live.value_range();
        const char *reason = live.feed(token);
        if (range.first < range.last)
            require((reason == nullptr) == (token >= range.first && token < range.last), "value_range is what is taken");
        if (reason) {
            violation = {live.position(), reason};
            break;
        }
    }
    if (!violation && live.may_end()) violation = {live.position(), live.may_end()};
    require(bool(violation) == bool(whole.violation), "both decoders refuse, or neither");
    if (violation && live.position() < tokens.size() && whole.violation.reason != leaves_grid)
        require(violation.position <= whole.violation.position, "the incremental decoder refuses no later");
    if (whole.violation) return;
    require(live.face_type() == whole.type, "both decoders give the same face types");
    for (std::size_t f = 0; f < live.faces().size(); ++f)
        for (std::size_t k = 0; k < 3; ++k)
            require(std::int32_t(live.faces()[f][k]) == whole.faces[3 * f + k], "both decoders give the same faces");
    for (std::size_t v = 0; v < live.vertices().size(); ++v) {
        float at[3];
        dequantise(live.vertices()[v], float(language.bins), at);
        require(std::equal(at, at + 3, whole.vertices.data() + 3 * v), "both decoders give the same vertices");
    }
}

// Any tokens at all: no crash, indices in range, coordinates in (-1, 1).
inline Decoded check_stream(Language language, const std::vector<std::int32_t> &tokens) {
    Decoded out = decode_all(language, tokens);
    for (std::int32_t v : out.faces) require(v >= 0 && 3 * std::size_t(v) < out.vertices.size(), "indices in range");
    for (float x : out.vertices) require(x > -1 && x < 1, "coordinates in range");
    require(!out.violation || out.violation.position <= tokens.size(), "the violation lies in the stream");
    check_live(language, tokens, out);
    return out;
}

using Points = std::array<std::array<float, 3>, 3>;

// The k-th decoded face has the quantised corners of the k-th face visited.
inline void check_round_trip(Language language, const Mesh &mesh, const Encoded &encoded) {
    std::vector<std::int32_t> sorted = encoded.order;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t k = 0; k < sorted.size(); ++k) require(sorted[k] == std::int32_t(k), "every face once");
    if (std::count(encoded.tokens.begin(), encoded.tokens.end(), out_of_range_token) > 0) return;
    const Decoded decoded = check_stream(language, encoded.tokens);
    require(!decoded.violation, "what was encoded decodes");
    require(decoded.type == encoded.type, "face types come back");
    const float half = 0.5f * float(language.bins);
    for (std::size_t k = 0; k < sorted.size(); ++k) {
        Points found, expected;
        for (std::size_t c = 0; c < 3; ++c)
            for (std::size_t a = 0; a < 3; ++a) {
                const auto from = 3 * std::size_t(mesh.faces[3 * std::size_t(encoded.order[k]) + c]) + a;
                const auto q = quantise(mesh.vertices[from], half, language.bins);
                expected[c][a] = dequantise(int(q), float(language.bins));
                found[c][a] = decoded.vertices[3 * std::size_t(decoded.faces[3 * k + c]) + a];
            }
        std::sort(found.begin(), found.end());
        std::sort(expected.begin(), expected.end());
        require(found == expected, "faces come back");
    }
}

// A prefix of a valid stream decodes to the first faces of the whole.
inline void check_prefixes(Language language, const std::vector<std::int32_t> &tokens) {
    const Decoded whole = decode_all(language, tokens);
    for (std::size_t n = 0; n < tokens.size(); ++n) {
        const Decoded part = decode_all(language, std::vector<std::int32_t>(tokens.begin(), tokens.begin() + long(n)));
        require(!part.violation || part.violation.position == n, "a prefix is wrong only at its end");
        require(part.faces.size() <= whole.faces.size() &&
                    std::equal(part.faces.begin(), part.faces.end(), whole.faces.begin()) &&
                    std::equal(part.vertices.begin(), part.vertices.end(), whole.vertices.begin()),
                "a prefix gives the first faces");
    }
}

}  // namespace fuzz
