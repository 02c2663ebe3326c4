// multiprocessing/remote/pickle/reader.ipp
//
// What does not depend on the type that is read, see reader.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/reader.hpp"

#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/pickle/parser.hpp"

namespace multiprocessing::detail::pickles {

inline OwnedTree::OwnedTree(std::string message, Attached attached)
    : message_(std::move(message)), tree_(parse(message_, std::move(attached))) {}

inline OwnedTree::OwnedTree(std::string message, Tree tree)
    : message_(std::move(message)), tree_(std::move(tree)) {
    tree_.message = message_;
}

inline void Reader::count(std::uint64_t steps) {
    if (steps > left_) throw_too_large(tree_.message.size());
    left_ -= steps;
}

inline std::shared_ptr<const OwnedTree> Reader::share() {
    if (owner_ != nullptr) return *owner_;
    if (copy_ == nullptr) {
        copy_ = std::make_shared<const OwnedTree>(std::string(tree_.message), tree_);
    }
    return copy_;
}

inline void Reader::refuse(const Node& node, std::string_view wanted) const {
    throw TypeError("a pickle has a value of type " + type_name_of(tree_, node) + " where " +
                    std::string(wanted) + " is asked for");
}

inline std::span<const NodeNumber> Reader::items_of(const Node& node,
                                                    std::string_view wanted) const {
    if (node.kind != ValueKind::tuple && node.kind != ValueKind::list) refuse(node, wanted);
    return tree_.children_of(node);
}

}  // namespace multiprocessing::detail::pickles
