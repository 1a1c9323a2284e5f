// The Python module meto._core.
#include "arrays.hpp"
#include "engine.hpp"

NB_MODULE(_core, m) {
    m.doc() = "Native part of meto.";
    meto::py::Numpy::load();
    meto::py::bind_engine(m);
    meto::py::bind_decoder(m);
    meto::py::bind_surface(m);
}
