// multiprocessing/remote/pickle/reader.hpp
//
// Reads C++ values from a Tree. Floor 9. Start at Reader::read. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/remote/pickle/limits.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// A tree that owns its message: what a pickle::object refers to.
class OwnedTree {
  public:
    /// @throws as parse
    explicit OwnedTree(std::string message, Attached attached = {});
    /// Takes a tree that was made of the same message.
    OwnedTree(std::string message, Tree tree);

    [[nodiscard]] const Tree& tree() const noexcept { return tree_; }

    /// Has something live as long as the tree. Others must not know the tree yet.
    void keep(std::shared_ptr<const void> what) noexcept { kept_ = std::move(what); }
    [[nodiscard]] const std::shared_ptr<const void>& kept() const noexcept { return kept_; }

  private:
    const std::string message_;
    Tree tree_;
    std::shared_ptr<const void> kept_;
};

/// Where this thread notes what the trees keep of which it writes a part; null: nowhere. A server
/// then has it live until the receiver has seen what was written.
inline constinit thread_local std::vector<std::shared_ptr<const void>>* kept_by_written = nullptr;

/// The values of one message on their way to C++.
class Reader {
  public:
    explicit Reader(const Tree& tree) : tree_(tree), left_(4 * budget_of(tree.size())) {}
    /// @param owner what the tree belongs to, for objects that are to share it
    Reader(const Tree& tree, const std::shared_ptr<const OwnedTree>& owner) : Reader(tree) {
        if (owner != nullptr) owner_ = &owner;
    }

    [[nodiscard]] const Tree& tree() const noexcept { return tree_; }

    /// Reads a value. @throws TypeError when it is of a type that T does not take
    template <class T>
    T read(const Node& node);

    /// Counts work. A variant tries its alternatives, and one within another tries again and again.
    /// @throws ValueError when it is much more than the message can need
    void count(std::uint64_t steps);

    /// Returns the tree for an object, which outlives the message.
    std::shared_ptr<const OwnedTree> share();

    /// Throws the TypeError for a value of another type. @param wanted what Python calls the right
    /// one
    [[noreturn]] void refuse(const Node& node, std::string_view wanted) const;

    /// Returns the items of a list or tuple. @param wanted see refuse
    [[nodiscard]] std::span<const NodeNumber> items_of(const Node& node,
                                                       std::string_view wanted) const;

  private:
    const Tree& tree_;
    std::uint64_t left_;
    const std::shared_ptr<const OwnedTree>* owner_ = nullptr;  // not a copy: most need none
    std::shared_ptr<const OwnedTree> copy_{};
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/reader.ipp"
