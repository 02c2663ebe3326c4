// multiprocessing/remote/pickle/limits.ipp
//
// How a pickle is measured, see limits.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/limits.hpp"

#include <algorithm>
#include <vector>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pickles {

inline void throw_too_deep() {
    throw ValueError("a pickle is nested more than " + std::to_string(most_levels) +
                     " levels deep; send flatter values");
}

inline void throw_too_large(std::size_t message_size) {
    throw ValueError("a pickle of " + std::to_string(message_size) +
                     " bytes stands for more than " + std::to_string(budget_of(message_size)) +
                     " values or bytes: it refers to the same values again and again");
}

/// Goes through the values depth first, with a stack of its own. Each is measured once, however
/// many others contain it.
class Measurement {
  public:
    explicit Measurement(const Tree& tree)
        : tree_(tree), budget_(budget_of(tree.message.size())), known_(tree.nodes.size()) {}

    void run() {
        enter(tree_.root);
        while (!path_.empty()) {
            const NodeNumber number = path_.back();
            Size& size = known_[number];
            const Node& node = tree_.at(number);
            const std::size_t count = has_children(node.kind) ? node.children.count : 0;
            if (size.next < count) {
                enter(tree_.children[node.children.begin + size.next++]);
            } else {
                leave(number, count);
            }
        }
    }

  private:
    enum class State : std::uint8_t { unknown, on_path, known };

    /// What a node unfolds to.
    struct Size {
        std::uint64_t values = 1;
        std::uint64_t bytes = 0;
        std::uint32_t next = 0;  // the child to look at next
        std::uint16_t height = 0;
        State state = State::unknown;
    };

    void enter(NodeNumber number) {
        Size& size = known_[number];
        if (size.state == State::known) return;
        if (size.state == State::on_path) {
            throw ValueError("a pickle has a value that contains itself, which no C++ value can");
        }
        if (path_.size() > most_levels) throw_too_deep();
        size.state = State::on_path;
        path_.push_back(number);
    }

    void leave(NodeNumber number, std::size_t count) {
        Size& size = known_[number];
        const Node& node = tree_.at(number);
        const bool has_bytes = node.kind == ValueKind::text || node.kind == ValueKind::bytes ||
                               node.kind == ValueKind::bytearray ||
                               node.kind == ValueKind::big_integer;
        // A block is not copied, however often it is referred to.
        if (has_bytes && !node.is_block) size.bytes = node.range.size;
        for (std::size_t i = 0; i < count; ++i) add(size, tree_.children[node.children.begin + i]);
        if (size.bytes > budget_) throw_too_large(tree_.message.size());
        size.state = State::known;
        path_.pop_back();
    }

    void add(Size& size, NodeNumber child) const {
        const Size& part = known_[child];
        size.values += part.values;
        size.bytes += part.bytes;  // both stay far below 2^64: each part is within the budget
        size.height = std::max(size.height, static_cast<std::uint16_t>(part.height + 1));
        if (size.height > most_levels) throw_too_deep();
        if (size.values > budget_ || size.bytes > budget_) throw_too_large(tree_.message.size());
    }

    const Tree& tree_;
    const std::uint64_t budget_;
    std::vector<Size> known_;
    std::vector<NodeNumber> path_;
};

inline void check_limits(const Tree& tree) { Measurement(tree).run(); }

}  // namespace multiprocessing::detail::pickles
