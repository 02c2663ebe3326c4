// multiprocessing/remote/pickle/value_stack.hpp
//
// The stack and the memo of the machine that a pickle is a program for: values are pushed, and put
// together to containers. Floor 9. Start at ValueStack. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "multiprocessing/remote/pickle/source.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// Makes a Tree, value by value. All functions throw the ValueError of the source when what they
/// take from the stack is not there, or not of the right type.
class ValueStack {
  public:
    explicit ValueStack(Source& source, Attached attached = {});

    // --- the stack ---
    NodeNumber pop();
    [[nodiscard]] NodeNumber top() const;
    void mark() { marks_.push_back(stack_.size()); }
    /// Returns the values from the mark on.
    [[nodiscard]] std::span<const NodeNumber> since_mark() const;
    /// Forgets these, and the mark.
    void drop_to_mark();
    /// Forgets the uppermost value, or a mark that is above it.
    void pop_any();

    // --- single values ---
    NodeNumber add(const Node& node);
    void push(const Node& node) { stack_.push_back(add(node)); }
    void push_integer(std::int64_t value);
    /// Takes an int, and a text or bytes, of so many bytes from the source.
    void push_long(std::uint64_t size);
    void push_range(ValueKind kind, std::uint64_t size);
    /// Pushes the bytes that a text stands for in protocol 2.
    void push_own(ValueKind kind, std::string_view text);
    /// Pushes the next block that is attached.
    void push_block();
    /// Turns the uppermost value, a bytearray, into bytes.
    void make_readonly();

    // --- containers ---
    void push_container(ValueKind kind, std::span<const NodeNumber> items);
    /// Pushes a container of the children that another has now.
    void push_copy(ValueKind kind, const Node& source);
    /// Makes a tuple of the uppermost values, or what the kind says of those from the mark on.
    void push_tuple(std::size_t count);
    void collect(ValueKind kind);
    /// Moves the uppermost values, or those from the mark on, into the container below them.
    void add_one(std::size_t count, ValueKind kind);
    void add_many(ValueKind kind);

    // --- other objects ---
    void push_reduced(NodeNumber callee, NodeNumber arguments, bool is_new);
    /// Makes the uppermost value the state of the reduced object below it.
    void set_state();

    // --- the memo ---
    void remember(std::uint64_t index);
    void remember_next() { remember(memo_.size()); }
    void recall(std::uint64_t index);

    [[nodiscard]] const Tree& tree() const noexcept { return tree_; }

    /// Returns all values, of which the only one on the stack is the root.
    /// @throws ValueError when they are beyond a limit
    Tree finish();

  private:
    void append(NodeNumber container, std::span<const NodeNumber> items);
    void make_room(NodeNumber container, std::size_t count);
    void note_height(Node& node, std::span<const NodeNumber> items) const;

    Source& source_;
    const std::uint64_t budget_;
    Tree tree_;
    std::vector<NodeNumber> stack_;
    std::vector<std::size_t> marks_;
    std::vector<NodeNumber> memo_;
    std::size_t next_block_ = 0;
    bool has_references_ = false;  // something has been taken from the memo
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/value_stack.ipp"
