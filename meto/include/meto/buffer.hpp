// Scratch memory that is kept between calls: typical meshes are so small that allocating would dominate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace meto {

inline void prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    (void)p;
#endif
}

// Large meshes are walked in an order that has little to do with memory's: without large pages most of the time goes to
// address translation.
inline void advise_huge_pages(void *p, std::size_t bytes) {
#if defined(__linux__)
    constexpr std::uintptr_t page = std::uintptr_t(1) << 21;
    const auto begin = (reinterpret_cast<std::uintptr_t>(p) + page - 1) & ~(page - 1);
    const auto end = (reinterpret_cast<std::uintptr_t>(p) + bytes) & ~(page - 1);
    if (begin < end) madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);  // a hint, may fail
#else
    (void)p, (void)bytes;
#endif
}

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
        std::unique_ptr<T[], Free> old = std::move(data_);
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
    struct Free {
        void operator()(T *p) const { ::operator delete(p, std::align_val_t(alignment)); }
    };
    static constexpr std::size_t alignment = 64;

    void allocate(std::size_t count) {
        data_.reset();  // first, so that the peak is never old plus new
        capacity_ = 0;
        void *p = ::operator new(count * sizeof(T), std::align_val_t(alignment));
        advise_huge_pages(p, count * sizeof(T));
        data_.reset(static_cast<T *>(p));
        capacity_ = count;
    }

    std::unique_ptr<T[], Free> data_;
    std::size_t capacity_ = 0;
};

}  // namespace meto
