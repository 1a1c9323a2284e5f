// Random meshes to every encoder, random and mutated token streams to every decoder: no crash, no hang, no leak, every
// failure a std::invalid_argument. To be built with sanitizers:
//
//     cmake -S meto -B build/fuzz -DMETO_FUZZ=ON && cmake --build build/fuzz && build/fuzz/meto_fuzz
//
// meto_fuzz [streams = 1000000] [meshes = 100000] [seed = 1]
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>

#include "checks.hpp"

namespace fuzz {

constexpr int all_bins[] = {2, 3, 16, 100, 512, 1024, 65536};
constexpr Backend all_backends[] = {Backend::lr_absco, Backend::lr, Backend::clers};

struct Counts {
    long tried = 0, refused = 0;
};

// The same mesh whether faces come as 32 or 64 bits, and however the lengths of boundary loops are found.
std::optional<Encoded> encode_checked(Language language, const Mesh &mesh, bool mark) {
    static Encoder usual, trees(0);
    try {
        const Encoded encoded = encode<std::int64_t>(usual, language, mesh, mark);
        require(!mesh.spoilt, "a spoilt mesh is refused");
        const Encoded other = encode<std::int32_t>(trees, language, mesh, mark);
        require(encoded.tokens == other.tokens && encoded.order == other.order && encoded.type == other.type,
                "walking along boundary loops and keeping them in trees give the same");
        return encoded;
    } catch (const std::invalid_argument &) {
        require(mesh.spoilt || (language.backend == Backend::lr && !mark), "a good mesh is taken");
        return std::nullopt;
    }
}

void fuzz_mesh(Random &random, Counts &counts, std::vector<std::vector<std::int32_t>> (&corpus)[3], int bins) {
    const Mesh mesh = any_mesh(random);
    for (Backend backend : all_backends) {
        const Language language{backend, bins};
        const bool mark = chance(random, 50);
        ++counts.tried;
        const std::optional<Encoded> encoded = encode_checked(language, mesh, mark);
        if (!encoded) {
            ++counts.refused;
            continue;
        }
        check_round_trip(language, mesh, *encoded);
        if (mark && backend == Backend::lr) continue;  // may hold tokens of -1
        if (encoded->tokens.size() < 200) check_prefixes(language, encoded->tokens);
        auto &kept = corpus[int(backend)];
        if (kept.size() < 200)
            kept.push_back(encoded->tokens);
        else
            kept[random() % kept.size()] = encoded->tokens;
    }
}

std::int32_t any_token(Random &random, Language language) {
    constexpr std::int32_t odd[] = {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max(),
                                    -1, -2};
    if (chance(random, 2)) return odd[below(random, 4)];
    return chance(random, 40) ? below(random, language.num_special()) : below(random, language.num_tokens() + 1);
}

void mutate(Random &random, Language language, std::vector<std::int32_t> &tokens, const std::vector<std::int32_t> &other) {
    for (int k = below(random, 4); k > 0 && !tokens.empty(); --k) {
        const auto at = tokens.begin() + long(random() % tokens.size());
        switch (below(random, 8)) {
        case 0: *at = any_token(random, language); break;
        case 5:
        case 6:  // one coordinate becomes another
            if (*at >= language.num_special()) *at = language.num_special() + below(random, language.num_base());
            break;
        case 1: tokens.insert(at, any_token(random, language)); break;
        case 2: tokens.erase(at); break;
        case 3: tokens.erase(at, tokens.end()); break;
        case 4: tokens.erase(at, at + std::min<long>(tokens.end() - at, 1 + below(random, 12))); break;
        default: tokens.insert(tokens.end(), other.begin(), other.begin() + long(random() % (other.size() + 1)));
        }
    }
}

void fuzz_stream(Random &random, Counts &counts, const std::vector<std::vector<std::int32_t>> (&corpus)[3], int bins) {
    for (Backend backend : all_backends) {
        const Language language{backend, bins};
        // One in eight from another backend.
        const auto &kept = corpus[chance(random, 12) ? below(random, 3) : int(backend)];
        std::vector<std::int32_t> tokens;
        if (chance(random, 20) || kept.empty()) {
            for (int n = below(random, 60); n > 0; --n) tokens.push_back(any_token(random, language));
        } else {
            tokens = kept[random() % kept.size()];
            mutate(random, language, tokens, kept[random() % kept.size()]);
        }
        ++counts.tried;
        counts.refused += bool(check_stream(language, tokens).violation);
    }
}

// Meshes and streams in turn, so that the streams that are mutated vary.
void run(long streams, long meshes, std::uint64_t seed) {
    Counts mesh_counts, stream_counts;
    std::vector<std::vector<std::int32_t>> corpus[std::size(all_bins)][3];
    const long rounds = std::max(streams, meshes);
    for (long round = 0; round < rounds; ++round) {
        current_seed = seed + std::uint64_t(round) * 1000003;
        Random random(current_seed);
        const int b = below(random, int(std::size(all_bins)));
        if (round * meshes / rounds != (round + 1) * meshes / rounds)
            fuzz_mesh(random, mesh_counts, corpus[b], all_bins[b]);
        if (round * streams / rounds != (round + 1) * streams / rounds)
            fuzz_stream(random, stream_counts, corpus[b], all_bins[b]);
    }
    std::printf("meshes: %ld encodings, %ld refused; streams: %ld decodings, %ld refused; no check failed\n",
                mesh_counts.tried, mesh_counts.refused, stream_counts.tried, stream_counts.refused);
}

}  // namespace fuzz

int main(int argc, char **argv) {
    const long streams = argc > 1 ? std::atol(argv[1]) : 1000000, meshes = argc > 2 ? std::atol(argv[2]) : 100000;
    fuzz::run(streams, meshes, argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1);
}
