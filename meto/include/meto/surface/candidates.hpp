// One of several candidate groups, drawn by their placement costs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "meto/surface/surface.hpp"

namespace meto {

// costs (count + 1): of `count` candidates (count, 4: kind, x, y, z), a kind of -1 being none, and of an END that is not
// among them: infinite before the share `end_cover` of the points is covered. Equal candidates are computed once.
inline void placement_costs(const Surface &surface, const std::int32_t *candidates, std::size_t count, float end_cover,
                            float *costs) {
    bool has_end = surface.uncovered() > 1 - end_cover;
    for (std::size_t k = 0; k < count; ++k) {
        const std::int32_t *group = candidates + 4 * k;
        has_end |= group[0] == std::int32_t(Group::end);
        std::size_t first = 0;
        while (first < k && !std::equal(group, group + 4, candidates + 4 * first)) ++first;
        const bool some = group[0] >= 0 && group[0] <= std::int32_t(Group::end);
        costs[k] = first < k ? costs[first]
                   : some    ? float(surface.placement_cost(Group(group[0]), group[1], group[2], group[3]))
                             : INFINITY;
    }
    costs[count] = has_end ? INFINITY : float(surface.unsampled_end_cost());
}

// Draws one of the candidates, or END, with weights exp(-cost) by a number in [0, 1). A cost that is no number, for points
// that are none, weighs nothing; if nothing weighs anything, the first candidate is chosen.
inline void choose_candidate(const Surface &surface, const std::int32_t *candidates, std::size_t count, float uniform,
                             double end_cover, std::int32_t *group) {
    std::vector<float> costs(count + 1);
    std::vector<double> cumulative(count + 1);
    placement_costs(surface, candidates, count, float(end_cover), costs.data());
    for (float &cost : costs) cost = cost < INFINITY ? std::max(cost, -1e30f) : INFINITY;
    if (*std::min_element(costs.begin(), costs.end()) == INFINITY) costs[0] = 0;
    const double least = *std::min_element(costs.begin(), costs.end());
    double sum = 0;
    for (std::size_t i = 0; i <= count; ++i) cumulative[i] = sum += std::exp(least - double(costs[i]));
    const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), double(uniform) * sum);
    const std::size_t chosen = std::size_t(at - cumulative.begin());
    const std::int32_t end[4] = {std::int32_t(Group::end), 0, 0, 0};
    std::copy_n(chosen < count ? candidates + 4 * chosen : end, 4, group);
}

}  // namespace meto
