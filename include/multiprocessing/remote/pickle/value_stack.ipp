// multiprocessing/remote/pickle/value_stack.ipp
//
// How values are made and put together, see value_stack.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/value_stack.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "multiprocessing/remote/pickle/limits.hpp"
#include "multiprocessing/remote/pickle/utf8.hpp"

namespace multiprocessing::detail::pickles {

inline ValueStack::ValueStack(Source& source, Attached attached)
    : source_(source), budget_(budget_of(source.message().size())) {
    tree_.message = source.message();
    tree_.attached = std::move(attached);
    // One block of each kind is enough for small messages, and for a long list of floats. What is
    // reserved and not touched costs nothing.
    const std::size_t size =
        std::min<std::size_t>(source.message().size(), 16) + source.message().size() / 9;
    tree_.nodes.reserve(size);
    tree_.children.reserve(size);
    stack_.reserve(size);
    marks_.reserve(4);
}

inline NodeNumber ValueStack::top() const {
    if (stack_.empty() || (!marks_.empty() && marks_.back() == stack_.size())) {
        source_.fail("it takes a value that is not there");
    }
    return stack_.back();
}

inline NodeNumber ValueStack::pop() {
    const NodeNumber number = top();
    stack_.pop_back();
    return number;
}

inline std::span<const NodeNumber> ValueStack::since_mark() const {
    if (marks_.empty()) source_.fail("it ends items that it has not begun");
    return std::span(stack_).subspan(marks_.back());
}

inline void ValueStack::drop_to_mark() {
    stack_.resize(marks_.back());
    marks_.pop_back();
}

inline void ValueStack::pop_any() {
    if (!marks_.empty() && marks_.back() == stack_.size()) {
        marks_.pop_back();
    } else {
        pop();
    }
}

// --- values ---

inline NodeNumber ValueStack::add(const Node& node) {
    if (tree_.nodes.size() >= std::numeric_limits<NodeNumber>::max()) {
        throw_too_large(tree_.message.size());
    }
    tree_.nodes.push_back(node);
    return static_cast<NodeNumber>(tree_.nodes.size() - 1);
}

inline void ValueStack::push_integer(std::int64_t value) {
    Node node = node_of(ValueKind::integer);
    node.integer = value;
    push(node);
}

inline void ValueStack::push_long(std::uint64_t size) {
    std::string_view bytes = source_.take(size);
    const auto is_negative = [&](std::size_t index) { return (bytes[index] & 0x80) != 0; };
    // What only repeats the sign is left out, so that equal integers have equal bytes.
    while (bytes.size() > 1 && bytes.back() == (is_negative(bytes.size() - 2) ? '\xff' : '\0')) {
        bytes.remove_suffix(1);
    }
    if (bytes.size() > sizeof(std::int64_t)) {
        Node node = node_of(ValueKind::big_integer);
        node.range = {static_cast<std::uint64_t>(bytes.data() - tree_.message.data()),
                      bytes.size()};
        return push(node);
    }
    std::uint64_t value = !bytes.empty() && is_negative(bytes.size() - 1) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = bytes.size(); i-- > 0;) {
        value = (value << 8) | static_cast<unsigned char>(bytes[i]);
    }
    push_integer(static_cast<std::int64_t>(value));
}

inline void ValueStack::push_range(ValueKind kind, std::uint64_t size) {
    const std::string_view bytes = source_.take(size);
    if (kind == ValueKind::text && !is_utf8(bytes)) source_.fail("it has a text that is not UTF-8");
    Node node = node_of(kind);
    node.range = {source_.position() - bytes.size(), bytes.size()};
    push(node);
}

inline void ValueStack::push_own(ValueKind kind, std::string_view text) {
    Node node = node_of(kind);
    node.is_own = true;
    const std::size_t begin = tree_.own.size();
    if (!append_latin1(tree_.own, text)) source_.fail("it has bytes beyond 255");
    if (tree_.own.size() > budget_) throw_too_large(tree_.message.size());
    node.range = {begin, tree_.own.size() - begin};
    push(node);
}

inline void ValueStack::push_block() {
    if (next_block_ == tree_.attached.blocks.size()) {
        source_.fail("it refers to a block of memory that did not come with it");
    }
    Node node = node_of(ValueKind::bytearray);
    node.is_block = true;
    node.range = {next_block_, tree_.attached.blocks[next_block_].bytes.size()};
    ++next_block_;
    push(node);
}

inline void ValueStack::make_readonly() {
    Node node = tree_.at(top());
    if (node.kind != ValueKind::bytearray) {
        if (node.kind == ValueKind::bytes) return;
        source_.fail("it makes a value read-only that is no bytearray");
    }
    node.kind = ValueKind::bytes;
    pop();
    push(node);
}

/// Raises what is known of a container's height to hold the items.
inline void ValueStack::note_height(Node& node, std::span<const NodeNumber> items) const {
    for (const NodeNumber item : items) {
        node.height = std::max(node.height, tree_.at(item).height + 1);
    }
    // Behind the first reference heights are wrong: check_limits finds the right ones.
    if (node.height > most_levels && !has_references_) throw_too_deep();
}

inline void ValueStack::push_container(ValueKind kind, std::span<const NodeNumber> items) {
    Node node = node_of(kind);
    node.children = {static_cast<std::uint32_t>(tree_.children.size()),
                     static_cast<std::uint32_t>(items.size()),
                     static_cast<std::uint32_t>(items.size())};
    note_height(node, items);
    if (items.size() > std::numeric_limits<NodeNumber>::max() - tree_.children.size()) {
        throw_too_large(tree_.message.size());
    }
    tree_.children.insert(tree_.children.end(), items.begin(), items.end());
    push(node);
}

/// The children are not copied: a message could ask for that again and again.
inline void ValueStack::push_copy(ValueKind kind, const Node& source) {
    Node node = source;
    node.kind = kind;
    node.children.capacity = node.children.count;  // what the source gets later is its own
    push(node);
}

/// Sees to it that `count` children more have a place behind those of a container.
inline void ValueStack::make_room(NodeNumber container, std::size_t count) {
    Node::Children& range = tree_.nodes[container].children;
    const std::uint64_t needed = std::uint64_t{range.count} + count;
    if (needed <= range.capacity) return;
    const bool is_last = range.begin + std::uint64_t{range.capacity} == tree_.children.size();
    const std::uint64_t capacity =
        is_last ? needed : std::max<std::uint64_t>(needed, 2 * range.count);
    const std::uint64_t begin = is_last ? range.begin : tree_.children.size();
    // A message can let containers move again and again. No message of Python's does.
    if (begin + capacity >
        std::min<std::uint64_t>(budget_, std::numeric_limits<NodeNumber>::max())) {
        throw_too_large(tree_.message.size());
    }
    tree_.children.resize(static_cast<std::size_t>(begin + capacity));
    if (!is_last) {
        std::copy_n(tree_.children.begin() + range.begin, range.count,
                    tree_.children.begin() + static_cast<std::ptrdiff_t>(begin));
    }
    range.begin = static_cast<std::uint32_t>(begin);
    range.capacity = static_cast<std::uint32_t>(capacity);
}

inline void ValueStack::append(NodeNumber container, std::span<const NodeNumber> items) {
    make_room(container, items.size());
    Node& node = tree_.nodes[container];
    note_height(node, items);
    std::copy(items.begin(), items.end(),
              tree_.children.begin() + node.children.begin + node.children.count);
    node.children.count += static_cast<std::uint32_t>(items.size());
}

inline void ValueStack::push_tuple(std::size_t count) {
    std::array<NodeNumber, 3> items{};
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    push_container(ValueKind::tuple, std::span(items).first(count));
}

inline void ValueStack::collect(ValueKind kind) {
    const auto items = since_mark();
    const std::size_t begin = marks_.back();
    push_container(kind, items);
    const NodeNumber made = stack_.back();
    stack_.resize(begin);
    marks_.pop_back();
    stack_.push_back(made);
}

inline void ValueStack::add_one(std::size_t count, ValueKind kind) {
    std::array<NodeNumber, 2> items{};
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    if (tree_.at(top()).kind != kind) source_.fail("it adds items to what is not a list or dict");
    append(top(), std::span(items).first(count));
}

inline void ValueStack::add_many(ValueKind kind) {
    const auto items = since_mark();
    if (kind == ValueKind::dict && items.size() % 2 != 0)
        source_.fail("it has a key without a value");
    const std::size_t begin = marks_.back();
    if (begin == 0 || (marks_.size() > 1 && marks_[marks_.size() - 2] == begin)) {
        source_.fail("it adds items to nothing");
    }
    const NodeNumber container = stack_[begin - 1];
    if (tree_.at(container).kind != kind) source_.fail("it adds items to a value of another type");
    append(container, items);
    drop_to_mark();
}

inline void ValueStack::push_reduced(NodeNumber callee, NodeNumber arguments, bool is_new) {
    const NodeNumber state = add(Node{});
    const std::array parts{callee, arguments, state};
    push_container(ValueKind::reduced, parts);
    tree_.nodes[stack_.back()].is_new = is_new;
}

inline void ValueStack::set_state() {
    const NodeNumber state = pop();
    const Node object = tree_.at(top());
    if (object.kind != ValueKind::reduced) source_.fail("it gives a state to what has none");
    tree_.children[object.children.begin + 2] = state;
    note_height(tree_.nodes[top()], std::span(&state, 1));
}

// --- the memo ---

inline void ValueStack::remember(std::uint64_t index) {
    const NodeNumber value = top();
    // Python counts from 0 up. Else a few bytes could ask for gigabytes of memo.
    if (index > tree_.message.size()) source_.fail("it remembers a value under too large a number");
    if (index >= memo_.size()) memo_.resize(index + 1, std::numeric_limits<NodeNumber>::max());
    memo_[index] = value;
}

inline void ValueStack::recall(std::uint64_t index) {
    if (index >= memo_.size() || memo_[index] == std::numeric_limits<NodeNumber>::max()) {
        source_.fail("it refers to a value that it has not remembered");
    }
    has_references_ = true;
    stack_.push_back(memo_[index]);
}

inline Tree ValueStack::finish() {
    if (!marks_.empty()) source_.fail("it ends within items");
    tree_.root = pop();
    if (!stack_.empty()) source_.fail("it ends with more than one value");
    if (has_references_) check_limits(tree_);
    return std::move(tree_);
}

}  // namespace multiprocessing::detail::pickles
