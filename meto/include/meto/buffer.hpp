// Scratch memory that is kept between calls: typical meshes are so small that allocating would dominate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>

namespace meto {

// An uninitialised array that only grows. Contents are not kept when it does, except through `grow`.
template <class T> class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    T *reserve(std::size_t count) {
        if (count > capacity_) allocate(std::max(count, capacity_ + capacity_ / 2));
        return data_.get();
    }

    // Makes room for `count` items and keeps the first `used`.
    T *grow(std::size_t count, std::size_t used) {
        if (count <= capacity_) return data_.get();
        std::unique_ptr<T[]> old = std::move(data_);
        allocate(std::max(count, capacity_ + capacity_ / 2));
        std::copy_n(old.get(), used, data_.get());
        return data_.get();
    }

    T *data() { return data_.get(); }
    const T *data() const { return data_.get(); }
    std::size_t bytes() const { return capacity_ * sizeof(T); }

    void release() {
        data_.reset();
        capacity_ = 0;
    }

  private:
    void allocate(std::size_t count) {
        data_.reset();  // first, so that the peak is never old plus new
        capacity_ = 0;
        data_.reset(new T[count]);
        capacity_ = count;
    }

    std::unique_ptr<T[]> data_;
    std::size_t capacity_ = 0;
};

}  // namespace meto
