// What the three token languages have in common and where they differ: op codes, offsets, vocabulary.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace meto {

enum class Backend : std::uint8_t { lr_absco, lr, clers };

// Ops of one backend; an op that a backend lacks is -1, which no token equals.
template <Backend> struct Ops;

template <> struct Ops<Backend::lr_absco> {
    static constexpr int L = 0, R = 1, BOM = 2, C = -1, E = -1, S = -1, EOM = -1;
    static constexpr int end = BOM;  // face type of a sub-mesh's last face
    static constexpr int num_special = 3;
    static constexpr int bins_factor = 1;  // coordinates take this many times `bins` tokens
};

template <> struct Ops<Backend::lr> {
    static constexpr int L = 0, R = 1, BOM = 2, C = -1, E = -1, S = -1, EOM = -1;
    static constexpr int end = BOM;
    static constexpr int num_special = 3;
    static constexpr int bins_factor = 2;
};

template <> struct Ops<Backend::clers> {
    static constexpr int C = 0, L = 1, E = 2, R = 3, S = 4, BOM = 5, EOM = 6;
    static constexpr int end = E;
    static constexpr int num_special = 7;
    static constexpr int bins_factor = 4;
};

constexpr int min_bins = 2;
constexpr int max_bins = 65536;

// A backend with its number of bins: everything needed to turn a coordinate into a token.
struct Language {
    Backend backend;
    int bins;

    int bins_factor() const { return backend == Backend::lr_absco ? 1 : backend == Backend::lr ? 2 : 4; }
    int num_special() const { return backend == Backend::clers ? 7 : 3; }
    int num_base() const { return bins_factor() * bins; }
    int num_tokens() const { return num_base() + num_special(); }
    // Face type of a sub-mesh's last face.
    int end() const { return 2; }
    // Token of coordinate value 0: relative backends shift their values so that the lowest becomes 0.
    int zero() const { return num_special() + (backend == Backend::lr_absco ? 0 : num_base() / 2); }
};

inline const char *name(Backend backend) {
    return backend == Backend::lr_absco ? "LR_ABSCO" : backend == Backend::lr ? "LR" : "CLERS";
}

inline Language language(const std::string &backend, std::int64_t bins) {
    if (bins < min_bins || bins > max_bins)
        throw std::invalid_argument("discrete_bins is " + std::to_string(bins) + "; it must be between " +
                                    std::to_string(min_bins) + " and " + std::to_string(max_bins));
    for (Backend b : {Backend::lr_absco, Backend::lr, Backend::clers})
        if (backend == name(b)) return {b, static_cast<int>(bins)};
    throw std::invalid_argument("backend is \"" + backend + "\"; it must be \"LR_ABSCO\", \"LR\" or \"CLERS\"");
}

// Calls f with the backend as a compile-time constant.
template <class F> decltype(auto) dispatch(Backend backend, F &&f) {
    switch (backend) {
    case Backend::lr_absco: return f(std::integral_constant<Backend, Backend::lr_absco>{});
    case Backend::lr: return f(std::integral_constant<Backend, Backend::lr>{});
    default: return f(std::integral_constant<Backend, Backend::clers>{});
    }
}

}  // namespace meto
