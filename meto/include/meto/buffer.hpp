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

constexpr std::size_t cache_line = 64;
constexpr std::size_t large_page = std::size_t(1) << 21;

// Large meshes are walked in an order that has little to do with memory's: with small pages most of the time would go
// to address translation, and to the first touch of each page.
inline void advise_large_pages(void *p, std::size_t bytes) {
#if defined(__linux__)
    madvise(p, bytes, MADV_HUGEPAGE);  // a hint: where it fails all works the same
#else
    (void)p, (void)bytes;
#endif
}

// An uninitialised array that only grows, and loses its contents when it does.
template <class T> class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    T *reserve(std::size_t count) {
        if (count > capacity_) allocate(std::max(count, capacity_ + capacity_ / 2));
        return data_.get();
    }

    T *data() { return data_.get(); }
    const T *data() const { return data_.get(); }
    std::size_t bytes() const { return capacity_ * sizeof(T); }

  private:
    struct Free {
        std::size_t alignment = cache_line;
        void operator()(T *p) const { ::operator delete(p, std::align_val_t(alignment)); }
    };

    void allocate(std::size_t count) {
        data_.reset();  // first, so that the peak is never old plus new
        capacity_ = 0;
        const bool large = count * sizeof(T) >= large_page / 2;
        const std::size_t alignment = large ? large_page : cache_line;
        const std::size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
        void *p = ::operator new(bytes, std::align_val_t(alignment));
        if (large) advise_large_pages(p, bytes);
        data_ = std::unique_ptr<T[], Free>(static_cast<T *>(p), Free{alignment});
        capacity_ = bytes / sizeof(T);
    }

    std::unique_ptr<T[], Free> data_;
    std::size_t capacity_ = 0;
};

}  // namespace meto
