// How one id is chosen from logits, as `sample` in core/model/sampling.py does: greedy, or drawn by a number in [0, 1)
// from the likeliest. torch's own order of equal logits and its types of sums are kept.
#pragma once

#include <algorithm>
#include <utility>

#include "lanes.hpp"

struct Sampling {
    int64_t greedy, top_k;
    double temperature, top_p, min_p;
};

namespace {

// logits (count): minus infinity where an id may not come.
inline int64_t choose_id(const Sampling& how, const float* logits, int64_t count, float uniform) {
    if (how.greedy) return std::max_element(logits, logits + count) - logits;
    using Entry = std::pair<float, int64_t>;
    thread_local std::vector<Entry> entries;
    thread_local std::vector<float> cumulative;
    entries.resize(count);
    for (int64_t i = 0; i < count; i++) entries[i] = {logits[i], i};
    const int64_t k = std::min(how.top_k, count);
    const auto larger = [](const Entry& a, const Entry& b) { return a.first > b.first; };
    // torch's topk: which of equal logits comes first depends on the algorithm.
    if (k * 64 <= count) {
        std::partial_sort(entries.begin(), entries.begin() + k, entries.end(), larger);
    } else {
        std::nth_element(entries.begin(), entries.begin() + k - 1, entries.end(), larger);
        std::sort(entries.begin(), entries.begin() + k - 1, larger);
    }
    const float temperature = float(how.temperature), top = entries[0].first / temperature;
    float sum = 0;
    for (int64_t i = 0; i < k; i++) {
        entries[i].first = std::exp(entries[i].first / temperature - top);
        sum += entries[i].first;
    }
    double so_far = 0;
    cumulative.resize(k);
    for (int64_t i = 0; i < k; i++) cumulative[i] = float(so_far += entries[i].first /= sum);
    float total = cumulative[k - 1];
    if (how.min_p > 0) {
        int64_t kept = 0;
        while (kept < k && entries[kept].first >= float(how.min_p) * entries[0].first) kept++;
        total = cumulative[kept - 1];
    }
    if (how.top_p < 1) {
        int64_t kept = 0;
        while (kept < k && cumulative[kept] < float(how.top_p) * cumulative[k - 1]) kept++;
        total = std::min(total, cumulative[std::min(kept, k - 1)]);
    }
    int64_t passed = 0;
    while (passed < k && cumulative[passed] <= uniform * total && cumulative[passed] < total) passed++;
    return entries[std::min(passed, k - 1)].second;
}

}  // namespace
