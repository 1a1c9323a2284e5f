// The native half of meto.Engine: one mesh a call, or a batch of them.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>

#include "meto/backend.hpp"

namespace meto::py {

namespace nb = nanobind;

struct Engine {
    Language language;
    bool verbose;

    Engine(std::int64_t discrete_bins, bool verbose, const std::string &backend)
        : language(meto::language(backend, discrete_bins)), verbose(verbose) {}

    nb::tuple encode(nb::object vertices, nb::object faces, bool mark_out_of_range) const;
    nb::tuple decode(nb::object tokens, bool strict) const;
    nb::tuple salvage(nb::object tokens) const;

    nb::tuple encode_flat(nb::object vertices, nb::object vertex_offsets, nb::object faces, nb::object face_offsets,
                          bool mark_out_of_range, std::size_t threads) const;
    nb::tuple decode_flat(nb::object tokens, nb::object token_offsets, bool strict, std::size_t threads) const;
};

void bind_engine(nb::module_ &m);
void bind_decoder(nb::module_ &m);
void bind_surface(nb::module_ &m);

}  // namespace meto::py
