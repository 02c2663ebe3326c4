// multiprocessing/queues/batches.hpp
//
// A walk that takes the items of a queue out in batches: Queue::batches. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <iterator>
#include <vector>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Batches of a queue's items, taken as the walk goes on. @tparam Source a Queue
template <class Source>
class QueueBatches {
  public:
    using value_type = std::vector<typename Source::value_type>;
    class iterator;

    QueueBatches(const Source& queue, std::size_t most) : queue_(queue), most_(most) {
        if (most == 0) throw ValueError("a batch has at least one item");
    }

    /// Begins a walk. It waits for the first batch.
    [[nodiscard]] iterator begin() const { return iterator(queue_, most_); }
    /// Ends it.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  private:
    Source queue_;
    std::size_t most_;
};

/// Walks a queue batch by batch.
template <class Source>
class QueueBatches<Source>::iterator {
  public:
    using value_type = QueueBatches::value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator(const Source& queue, std::size_t most) : queue_(queue), most_(most) { ++*this; }

    value_type& operator*() const noexcept { return batch_; }
    /// Takes the next batch. The walk has ended when there is none.
    iterator& operator++() {
        batch_.clear();
        try {
            queue_.get_many_into(batch_, most_);
        } catch (const ShutDown&) {
            has_ended_ = true;
        }
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) noexcept {
        return it.has_ended_;
    }

  private:
    Source queue_;
    std::size_t most_;
    bool has_ended_ = false;
    mutable value_type batch_;  // the loop may move from it
};

}  // namespace multiprocessing::detail
