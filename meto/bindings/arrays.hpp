// numpy arrays in and out with as little between as the buffer protocol allows: most meshes have a few hundred faces,
// so microseconds a call would show.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace meto::py {

namespace nb = nanobind;

// A C-contiguous buffer of a Python object, held while it is read.
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

    // Is this an array of `kind` ('f' float, 'i' signed) with `itemsize` and shape (n,) or, with columns, (n, columns)?
    bool is(char kind, Py_ssize_t itemsize, Py_ssize_t columns = 0) const {
        if (!held_ || view_.itemsize != itemsize || view_.ndim != (columns ? 2 : 1)) return false;
        if (columns && view_.shape[1] != columns) return false;
        const char *format = view_.format;
        if (!format || std::strlen(format) != 1) return false;
        return std::strchr(kind == 'f' ? "fd" : "bhilq", *format) != nullptr;
    }
    std::size_t rows() const { return static_cast<std::size_t>(view_.shape[0]); }
    template <class T> const T *data() const { return static_cast<const T *>(view_.buf); }
    template <class T> T *mutable_data() const { return static_cast<T *>(view_.buf); }

  private:
    Py_buffer view_{};
    bool held_ = false;
};

// numpy's own names, looked up once. Never freed: the interpreter may be gone by then.
struct Numpy {
    PyObject *empty, *float32, *int32;

    static const Numpy &get() {
        static const Numpy *numpy = [] {
            nb::module_ np = nb::module_::import_("numpy");
            return new Numpy{np.attr("empty").inc_ref().ptr(),
                             np.attr("dtype")(np.attr("float32")).inc_ref().ptr(),
                             np.attr("dtype")(np.attr("int32")).inc_ref().ptr()};
        }();
        return *numpy;
    }
};

// A new array (rows,) or (rows, columns), and its memory.
template <class T> struct Array {
    nb::object object;
    T *data;

    explicit Array(std::size_t rows, std::size_t columns = 0) {
        const Numpy &np = Numpy::get();
        PyObject *dtype = std::is_same_v<T, float> ? np.float32 : np.int32;
        nb::object shape = columns ? nb::steal(Py_BuildValue("(nn)", Py_ssize_t(rows), Py_ssize_t(columns)))
                                   : nb::steal(PyLong_FromSize_t(rows));
        PyObject *args[] = {shape.ptr(), dtype};
        object = nb::steal(PyObject_Vectorcall(np.empty, args, 2, nullptr));
        if (!object.is_valid()) nb::raise_python_error();
        data = Buffer(object, PyBUF_WRITABLE).template mutable_data<T>();
    }
};

}  // namespace meto::py
