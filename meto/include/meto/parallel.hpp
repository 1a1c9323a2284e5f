// Work on many meshes by several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace meto {

// Threads to use for `count` items: `wanted`, or as many as the machine has where that is 0.
inline std::size_t thread_count(std::size_t wanted, std::size_t count) {
    if (wanted == 0) wanted = std::max(1u, std::thread::hardware_concurrency());
    return std::max<std::size_t>(1, std::min(wanted, count));
}

// Calls work(item, thread) for every item in [0, count), each once. Of several exceptions the one of the lowest item
// is thrown, so that the outcome does not depend on timing.
template <class Work> void parallel_for(std::size_t count, std::size_t threads, Work work) {
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> failed{count};
    std::exception_ptr error;
    std::mutex mutex;
    const auto run = [&](std::size_t thread) {
        for (std::size_t i; (i = next.fetch_add(1)) < count && i < failed;) {
            try {
                work(i, thread);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(mutex);
                if (i < failed) failed = i, error = std::current_exception();
            }
        }
    };
    std::vector<std::thread> helpers;
    try {
        for (std::size_t t = 1; t < threads; ++t) helpers.emplace_back(run, t);
    } catch (const std::system_error &) {
        // The system has no more threads to give: those that run do the work.
    }
    run(0);
    for (std::thread &helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace meto
