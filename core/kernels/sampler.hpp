// How one id is chosen from logits: `sample` of sampling.py. The order of equal logits and the types of sums are torch's.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "structs.hpp"

namespace edgerunner {

// `can_choose` of sampling.py: no logit is NaN or infinite, and some id may come.
inline bool can_choose(const float* logits, int64_t count) {
    bool numbers = true, any = false;
    for (int64_t i = 0; i < count; i++) {
        numbers &= logits[i] <= std::numeric_limits<float>::max();
        any |= logits[i] >= std::numeric_limits<float>::lowest();
    }
    return numbers && any;
}

// The distribution of one set of logits, for any number of draws.
class Sampler {
  public:
    // logits (count): minus infinity where an id may not come. Returns false where `can_choose` does; 0 is drawn then.
    bool prepare(const Sampling& sampling, float temperature, const float* logits, int64_t count) {
        const bool valid = can_choose(logits, count);
        if (sampling.greedy || !valid) {
            entries_.assign(1, {1.0f, valid ? std::max_element(logits, logits + count) - logits : 0});
            cumulative_.assign(1, total_ = 1);
            return valid;
        }
        const int64_t k = select_largest(sampling.top_k, logits, count);
        const float top = entries_[0].first / temperature;
        float sum = 0;
        for (int64_t i = 0; i < k; i++) {
            entries_[i].first = std::exp(entries_[i].first / temperature - top);
            sum += entries_[i].first;
        }
        double so_far = 0;
        cumulative_.resize(k);
        for (int64_t i = 0; i < k; i++) cumulative_[i] = float(so_far += entries_[i].first /= sum);
        total_ = cumulative_[k - 1];
        if (sampling.min_p > 0) {
            int64_t kept = 0;
            while (kept < k && entries_[kept].first >= float(sampling.min_p) * entries_[0].first) kept++;
            total_ = cumulative_[kept - 1];
        }
        if (sampling.top_p < 1) {
            int64_t kept = 0;
            while (kept < k && cumulative_[kept] < float(sampling.top_p) * cumulative_[k - 1]) kept++;
            total_ = std::min(total_, cumulative_[std::min(kept, k - 1)]);
        }
        return true;
    }

    int64_t draw(float uniform) const {
        const int64_t k = int64_t(cumulative_.size());
        int64_t passed = 0;
        while (passed < k && cumulative_[passed] <= uniform * total_ && cumulative_[passed] < total_) passed++;
        return entries_[std::min(passed, k - 1)].second;
    }

  private:
    // The first k entries become the largest logits, in descending order, by the algorithm of torch's topk.
    int64_t select_largest(int64_t top_k, const float* logits, int64_t count) {
        entries_.resize(count);
        for (int64_t i = 0; i < count; i++) entries_[i] = {logits[i], i};
        const int64_t k = std::min(top_k, count);
        const auto larger = [](const Entry& a, const Entry& b) { return a.first > b.first; };
        if (k * 64 <= count) {
            std::partial_sort(entries_.begin(), entries_.begin() + k, entries_.end(), larger);
        } else {
            std::nth_element(entries_.begin(), entries_.begin() + k - 1, entries_.end(), larger);
            std::sort(entries_.begin(), entries_.begin() + k - 1, larger);
        }
        return k;
    }

    using Entry = std::pair<float, int64_t>;
    std::vector<Entry> entries_;     // the likeliest first
    std::vector<float> cumulative_;  // of those that may be drawn
    float total_ = 0;
};

}  // namespace edgerunner
