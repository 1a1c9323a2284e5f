// A violation as Python sees it: a message, or meto.Violation.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "meto/grammar.hpp"

namespace meto::py {

inline std::string message(const Violation &v) {
    return "token " + std::to_string(v.position) + ": " + v.reason;
}

inline nanobind::object to_python(const Violation &v) {
    if (!v) return nanobind::none();
    return nanobind::module_::import_("meto.grammar").attr("Violation")(v.position, v.reason);
}

// The first rows of an array, as a view.
inline nanobind::object first_rows(nanobind::handle array, std::size_t rows) {
    return array[nanobind::slice(static_cast<Py_ssize_t>(rows))];
}

}  // namespace meto::py
