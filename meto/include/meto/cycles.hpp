// Cyclic sequences that are cut and joined in logarithmic time: splay trees (Sleator and Tarjan 1985).
#pragma once

#include <cstddef>
#include <cstdint>

#include "meto/buffer.hpp"

namespace meto {

// Items are numbers below `size`. Each is in no cycle or in one; a tree's in-order is its cycle, cut open anywhere.
class Cycles {
  public:
    void clear(std::size_t size) {
        nodes_ = store_.reserve(size + 1);
        for (std::size_t i = 0; i <= size; ++i) nodes_[i] = Node{};
    }

    bool contains(std::uint32_t item) const { return nodes_[item + 1].count > 0; }

    // Adds a new item as a cycle of its own.
    void insert(std::uint32_t item) { nodes_[item + 1].count = 1; }

    // Takes items away; they must make up whole cycles.
    void erase(std::uint32_t item) { nodes_[item + 1] = Node{}; }

    // The number of items in the item's cycle.
    std::uint32_t size(std::uint32_t item) {
        splay(item + 1);
        return nodes_[item + 1].count;
    }

    bool same(std::uint32_t a, std::uint32_t b) { return a == b || same_tree(a + 1, b + 1); }

    // The item that comes before.
    std::uint32_t before(std::uint32_t item) {
        const Index x = item + 1;
        splay(x);
        return last(nodes_[x].child[0] ? nodes_[x].child[0] : x) - 1;
    }

    // Exchanges what comes after a and after b: parts their cycle in two, or makes one of two.
    void splice(std::uint32_t item_a, std::uint32_t item_b) {
        const Index a = item_a + 1, b = item_b + 1;
        if (a == b) return;
        if (same_tree(a, b)) {
            make_last(a);
            splay(b);
            detach(b, 1);
        } else {
            make_last(a);
            make_last(b);
            attach(a, b);
        }
    }

  private:
    using Index = std::uint32_t;  // item + 1; 0 is none

    struct Node {
        Index parent = 0, child[2] = {0, 0};
        std::uint32_t count = 0;  // items in the subtree
    };

    int side(Index x) const { return nodes_[nodes_[x].parent].child[1] == x; }

    void update(Index x) {
        Node &n = nodes_[x];
        n.count = 1 + nodes_[n.child[0]].count + nodes_[n.child[1]].count;
    }

    void rotate(Index x) {
        const Index p = nodes_[x].parent, g = nodes_[p].parent;
        const int s = side(x);
        if (g) nodes_[g].child[side(p)] = x;
        nodes_[x].parent = g;
        const Index inner = nodes_[x].child[1 - s];
        nodes_[p].child[s] = inner;
        if (inner) nodes_[inner].parent = p;
        nodes_[x].child[1 - s] = p;
        nodes_[p].parent = x;
        update(p);
        update(x);
    }

    // Makes x the root of its tree.
    void splay(Index x) {
        while (const Index p = nodes_[x].parent) {
            if (nodes_[p].parent) rotate(side(x) == side(p) ? p : x);
            rotate(x);
        }
    }

    bool same_tree(Index a, Index b) {
        splay(a);
        splay(b);
        return nodes_[a].parent != 0;
    }

    // The last of the subtree at x, made the root of the whole tree.
    Index last(Index x) {
        while (nodes_[x].child[1]) x = nodes_[x].child[1];
        splay(x);
        return x;
    }

    // Parts the root x from its child on one side, which becomes a root.
    Index detach(Index x, int at) {
        const Index c = nodes_[x].child[at];
        if (c) nodes_[c].parent = 0;
        nodes_[x].child[at] = 0;
        update(x);
        return c;
    }

    // Appends the tree of root b to that of root a, which has nothing after a.
    void attach(Index a, Index b) {
        splay(a);
        splay(b);
        nodes_[a].child[1] = b;
        nodes_[b].parent = a;
        update(a);
    }

    // Turns the cycle so that it is cut open after x.
    void make_last(Index x) {
        splay(x);
        if (const Index rest = detach(x, 1)) attach(last(rest), x);
    }

    Buffer<Node> store_;
    Node *nodes_ = nullptr;
};

}  // namespace meto
