// multiprocessing/pool/calls/stream_input.hpp
//
// Reads a stream's input a few items at a time: enough items to make a batch worth its cost, but so
// few of a slow input that results need not wait for it. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

#include "multiprocessing/detail/spinning.hpp"

namespace multiprocessing::detail {

/// The input of a stream, kept as a view. A container that was given as a temporary lies in the
/// view; any other must stay where it is.
template <class View>
class StreamInput {
  public:
    explicit StreamInput(View view) : view_(std::move(view)) {}

    /// Reads items and appends `convert(element)` for each.
    /// @throws the input's error, after the items before it have been returned
    template <class Item, class Convert>
    void read(std::vector<Item>& items, std::size_t most, std::size_t chunk_size, Convert convert) {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        const std::uint64_t begin = monotonic_now();
        try {
            while (items.size() < most && advance()) {
                items.push_back(convert(**position_));
                const bool between_chunks = items.size() % chunk_size == 0;
                const bool enough = items.size() >= least_chunks * chunk_size;
                if (between_chunks && enough && monotonic_now() - begin > patience) break;
            }
        } catch (...) {
            at_end_ = true;
            if (items.empty()) throw;
            error_ = std::current_exception();
        }
    }

  private:
    static constexpr std::uint64_t patience = 20'000;  // nanoseconds
    static constexpr std::size_t least_chunks = 2;

    /// Goes to the next item, and not before it is wanted: that may mean to wait for it.
    bool advance() {
        if (at_end_) return false;
        if (position_) {
            ++*position_;
        } else {
            position_.emplace(std::ranges::begin(view_));
        }
        at_end_ = *position_ == std::ranges::end(view_);
        return !at_end_;
    }

    View view_;
    std::optional<std::ranges::iterator_t<View>> position_;
    bool at_end_ = false;
    std::exception_ptr error_;
};

}  // namespace multiprocessing::detail
