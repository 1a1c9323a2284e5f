// numpy arrays in and out with as little between as the buffer protocol allows: most meshes have a few hundred faces,
// so microseconds a call would show.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace meto::py {

namespace nb = nanobind;

// A C-contiguous buffer of a Python object, held while it is in use.
class Buffer {
  public:
    explicit Buffer(nb::handle object, int extra_flags = 0) {
        held_ = PyObject_GetBuffer(object.ptr(), &view_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | extra_flags) == 0;
        if (!held_) PyErr_Clear();
    }
    ~Buffer() {
        if (held_) PyBuffer_Release(&view_);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    // Is this an array of T (float, or a signed integer of that size) with shape (n,) or, with columns, (n, columns)?
    template <class T> bool is(Py_ssize_t columns = 0) const {
        if (!held_ || view_.itemsize != sizeof(T) || view_.ndim != (columns ? 2 : 1)) return false;
        if (columns && view_.shape[1] != columns) return false;
        if (!view_.format || std::strlen(view_.format) != 1) return false;
        return std::strchr(std::is_floating_point_v<T> ? "fd" : "bhilq", *view_.format) != nullptr;
    }
    std::size_t rows() const { return static_cast<std::size_t>(view_.shape[0]); }
    template <class T> const T *data() const { return static_cast<const T *>(view_.buf); }
    template <class T> T *mutable_data() const { return static_cast<T *>(view_.buf); }

  private:
    Py_buffer view_{};
    bool held_ = false;
};

// numpy's own names, looked up once when the module is imported and kept for the life of the process.
struct Numpy {
    PyObject *empty, *float32, *int32, *int64;

    static Numpy &get() {
        static Numpy numpy{};
        return numpy;
    }
    static void load() {
        nb::module_ np = nb::module_::import_("numpy");
        const auto dtype = [&](const char *name) { return np.attr("dtype")(np.attr(name)).release().ptr(); };
        get() = {nb::object(np.attr("empty")).release().ptr(), dtype("float32"), dtype("int32"), dtype("int64")};
    }
};

// A new numpy array (rows,) or (rows, columns), and its memory.
template <class T> struct Array {
    nb::object object;
    T *data;
    std::size_t rows;

    explicit Array(std::size_t rows, std::size_t columns = 0) : rows(rows) {
        const Numpy &np = Numpy::get();
        PyObject *dtype = std::is_same_v<T, float> ? np.float32 : std::is_same_v<T, std::int32_t> ? np.int32 : np.int64;
        nb::object shape = nb::steal(columns ? Py_BuildValue("(nn)", Py_ssize_t(rows), Py_ssize_t(columns))
                                             : PyLong_FromSize_t(rows));
        PyObject *args[] = {shape.ptr(), dtype};
        object = nb::steal(PyObject_Vectorcall(np.empty, args, 2, nullptr));
        if (!object.is_valid()) nb::raise_python_error();
        data = Buffer(object, PyBUF_WRITABLE).mutable_data<T>();  // numpy keeps it where it is
    }
};

// The slow path for what is not yet an array of the right type: meto._arrays.NAME(object).
inline nb::object convert(const char *name, nb::handle object) {
    return nb::module_::import_("meto._arrays").attr(name)(object);
}

// `object` as it is if it is an array of T already, else converted.
template <class T> nb::object ensure(nb::object object, Py_ssize_t columns, const char *converter) {
    return Buffer(object).is<T>(columns) ? object : convert(converter, object);
}

}  // namespace meto::py
