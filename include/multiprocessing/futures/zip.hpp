// multiprocessing/futures/zip.hpp
//
// Several ranges walked side by side, up to the end of the shortest: what std::views::zip is in
// C++23. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <iterator>
#include <ranges>
#include <tuple>
#include <utility>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// A view of tuples that can be walked once.
template <std::ranges::view... Views>
class Zip : public std::ranges::view_interface<Zip<Views...>> {
  public:
    explicit Zip(Views... views) : views_(std::move(views)...) {}

    class iterator {
      public:
        using value_type = std::tuple<std::ranges::range_value_t<Views>...>;
        using reference = std::tuple<std::ranges::range_reference_t<Views>...>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(Zip& zip)
            : zip_(&zip),
              positions_(std::apply(
                  [](auto&... views) { return std::tuple(std::ranges::begin(views)...); },
                  zip.views_)) {}

        reference operator*() const {
            return std::apply([](auto&... positions) { return reference(*positions...); },
                              positions_);
        }
        iterator& operator++() {
            std::apply([](auto&... positions) { (++positions, ...); }, positions_);
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) {
            return it.any_at_end(std::index_sequence_for<Views...>());
        }

      private:
        template <std::size_t... I>
        [[nodiscard]] bool any_at_end(std::index_sequence<I...>) const {
            return ((std::get<I>(positions_) == std::ranges::end(std::get<I>(zip_->views_))) ||
                    ...);
        }

        Zip* zip_;
        mutable std::tuple<std::ranges::iterator_t<Views>...> positions_;
    };

    iterator begin() { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  private:
    std::tuple<Views...> views_;
};

}  // namespace multiprocessing::detail
