// How one id is chosen from logits, as `sample` in core/model/sampling.py does: greedy, or drawn by a number in [0, 1)
// from the likeliest. torch's own order of equal logits and its types of sums are kept.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>

#include "lanes.hpp"

struct Sampling {
    int64_t greedy, top_k;
    double temperature, top_p, min_p;
};

namespace {

// What may be chosen, and how likely each is: of one set of logits for as many draws as are wanted.
class Choice {
  public:
    // logits (count): minus infinity where an id may not come. False where no id can be chosen, for one of them is NaN or
    // infinite, or none may come: then 0 is drawn, which is an index all the same.
    bool prepare(const Sampling& how, const float* logits, int64_t count) {
        const bool valid = can_choose(logits, count);
        if (how.greedy || !valid) {
            entries_.assign(1, {1.0f, valid ? std::max_element(logits, logits + count) - logits : 0});
            cumulative_.assign(1, total_ = 1);
            return valid;
        }
        entries_.resize(count);
        for (int64_t i = 0; i < count; i++) entries_[i] = {logits[i], i};
        const int64_t k = std::min(how.top_k, count);
        const auto larger = [](const Entry& a, const Entry& b) { return a.first > b.first; };
        // torch's topk: which of equal logits comes first depends on the algorithm.
        if (k * 64 <= count) {
            std::partial_sort(entries_.begin(), entries_.begin() + k, entries_.end(), larger);
        } else {
            std::nth_element(entries_.begin(), entries_.begin() + k - 1, entries_.end(), larger);
            std::sort(entries_.begin(), entries_.begin() + k - 1, larger);
        }
        const float temperature = float(how.temperature), top = entries_[0].first / temperature;
        float sum = 0;
        for (int64_t i = 0; i < k; i++) {
            entries_[i].first = std::exp(entries_[i].first / temperature - top);
            sum += entries_[i].first;
        }
        double so_far = 0;
        cumulative_.resize(k);
        for (int64_t i = 0; i < k; i++) cumulative_[i] = float(so_far += entries_[i].first /= sum);
        total_ = cumulative_[k - 1];
        if (how.min_p > 0) {
            int64_t kept = 0;
            while (kept < k && entries_[kept].first >= float(how.min_p) * entries_[0].first) kept++;
            total_ = cumulative_[kept - 1];
        }
        if (how.top_p < 1) {
            int64_t kept = 0;
            while (kept < k && cumulative_[kept] < float(how.top_p) * cumulative_[k - 1]) kept++;
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

    // `can_choose` of core/model/sampling.py.
    static bool can_choose(const float* logits, int64_t count) {
        bool numbers = true, any = false;
        for (int64_t i = 0; i < count; i++) {
            numbers &= logits[i] <= std::numeric_limits<float>::max();
            any |= logits[i] >= std::numeric_limits<float>::lowest();
        }
        return numbers && any;
    }

  private:
    using Entry = std::pair<float, int64_t>;
    std::vector<Entry> entries_;     // the likeliest first
    std::vector<float> cumulative_;  // of as many as may be drawn
    float total_ = 0;
};

}  // namespace
