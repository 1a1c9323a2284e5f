// The half edges of an unfinished mesh that have no twin yet: its open boundary.
#pragma once

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "meto/quantise.hpp"

namespace meto {

constexpr Packed no_vertex = ~Packed(0);

// Half edges without a twin, by vertex: the vertices that they lead to, and those that lead here.
class OpenEdges {
  public:
    void clear() {
        index_.clear();
        nodes_.clear();
        count_ = 0;
    }
    std::size_t size() const { return count_; }

    void add_face(Packed a, Packed b, Packed c) {
        add_edge(a, b);
        add_edge(b, c);
        add_edge(c, a);
    }

    // Whether the half edge a -> b is open.
    bool is_open(Packed a, Packed b) const {
        const auto found = index_.find(a);
        if (found == index_.end()) return false;
        const auto &list = nodes_[found->second].to;
        return std::find(list.begin(), list.end(), b) != list.end();
    }

    // The change of the number of open half edges by a new face.
    int delta(Packed a, Packed b, Packed c) const {
        const auto change = [this](Packed from, Packed to) { return is_open(to, from) ? -1 : 1; };
        return change(a, b) + change(b, c) + change(c, a);
    }

    // The vertex w of the newest open half edge v -> w (ahead) or w -> v (behind), other than `except`.
    Packed neighbour(Packed v, bool ahead, Packed except) const {
        const auto found = index_.find(v);
        if (found == index_.end()) return no_vertex;
        const auto &list = ahead ? nodes_[found->second].to : nodes_[found->second].from;
        for (auto w = list.rbegin(); w != list.rend(); ++w)
            if (*w != except) return *w;
        return no_vertex;
    }

    // Calls function(v) for every vertex on the open boundary.
    template <typename Function> void for_each_vertex(Function function) const {
        for (const Node &node : nodes_)
            if (!node.to.empty() || !node.from.empty()) function(node.vertex);
    }

  private:
    struct Node {
        Packed vertex;
        std::vector<Packed> to, from;
    };

    void add_edge(Packed a, Packed b) {
        Node &tail = node(a);
        if (remove(tail.from, b)) {  // b -> a was open: the two are twins
            remove(node(b).to, a);
            --count_;
            return;
        }
        tail.to.push_back(b);
        node(b).from.push_back(a);
        ++count_;
    }
    Node &node(Packed v) {
        const auto [at, is_new] = index_.try_emplace(v, nodes_.size());
        if (is_new) nodes_.push_back({v, {}, {}});
        return nodes_[at->second];
    }
    static bool remove(std::vector<Packed> &list, Packed v) {
        for (std::size_t i = list.size(); i-- > 0;)
            if (list[i] == v) {
                list.erase(list.begin() + std::ptrdiff_t(i));
                return true;
            }
        return false;
    }

    std::unordered_map<Packed, std::size_t> index_;
    std::vector<Node> nodes_;
    std::size_t count_ = 0;
};

}  // namespace meto
