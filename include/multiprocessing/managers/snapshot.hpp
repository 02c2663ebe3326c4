// multiprocessing/managers/snapshot.hpp
//
// What a loop over a manager's dict or list goes through: its content at one moment. Floor 6.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Goes through items, which the copies of an iterator share. The end is std::default_sentinel.
template <class T>
class SnapshotIterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit SnapshotIterator(std::vector<T> items)
        : items_(std::make_shared<std::vector<T>>(std::move(items))) {}

    // decltype(auto): a std::vector<bool> gives its elements by value, not by reference.
    decltype(auto) operator*() const noexcept { return std::as_const(*items_)[at_]; }
    SnapshotIterator& operator++() noexcept {
        ++at_;
        return *this;
    }
    SnapshotIterator operator++(int) noexcept {
        SnapshotIterator before = *this;
        ++at_;
        return before;
    }
    friend bool operator==(const SnapshotIterator& it, std::default_sentinel_t) noexcept {
        return it.at_ == it.items_->size();
    }

  private:
    std::shared_ptr<std::vector<T>> items_;
    std::size_t at_ = 0;
};

}  // namespace multiprocessing::detail
