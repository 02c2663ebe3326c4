// multiprocessing/pool/calls/progress.hpp
//
// progress: walks a range and shows how far it is: a bar on a terminal, elsewhere a plain line now
// and then. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing {

/// How progress is shown; designated initialisers name the fields.
struct ProgressOptions {
    std::optional<std::uint64_t> total = {};  ///< items; none: the size of the range, if it has one
    std::string desc = {};                    ///< a description, in front of the bar
    bool disable = false;                     ///< show nothing
    std::FILE* file = stderr;                 ///< where it is shown
};

namespace detail {

class PendingCall;

/// A line that says how far something is. Only the process that made it writes.
class ProgressLine {
  public:
    explicit ProgressLine(const ProgressOptions& options);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { finish(); }

    /// Says that `done` items are done; writes when it is time to.
    void update(std::uint64_t done) {
        done_ = done;
        // A look at the clock costs more than a small task does: not every task causes one.
        if (done >= next_look_) look_at_clock();
    }

    /// Says that so many of the items have failed; the next line tells it.
    void set_failed(std::uint64_t failed) noexcept { failed_ = failed; }
    void add_failed() noexcept { ++failed_; }

    /// Writes the last line.
    void finish() noexcept;

  private:
    static constexpr std::uint64_t terminal_interval = 100'000'000;  // nanoseconds
    static constexpr std::uint64_t file_interval = 10'000'000'000;

    void look_at_clock();

    [[nodiscard]] bool is_shown() const noexcept;
    /// Returns how many items take a millisecond.
    [[nodiscard]] std::uint64_t looks_ahead(std::uint64_t now) const noexcept;

    [[gnu::cold]] void write(std::uint64_t now) const noexcept;
    [[gnu::cold]] void write_share(char* text, std::size_t size, double seconds, double rate,
                                   const char* failed) const noexcept;

    struct ClockText;
    [[gnu::cold]] static ClockText clock(double seconds) noexcept;

    const ProgressOptions options_;
    const pid_t owner_;
    const bool on_terminal_;
    const std::uint64_t start_;
    std::uint64_t shown_;
    std::uint64_t done_ = 0;
    std::uint64_t failed_ = 0;
    std::uint64_t next_look_ = 0;
    bool finished_ = false;
};

/// Waits for a call, and shows how far it is.
[[gnu::cold]] void wait_with_progress(PendingCall& call, std::uint64_t items);

/// Returns what a range that shows its progress is printed as.
[[gnu::cold]] std::string progress_text(std::uint64_t done, const ProgressOptions& options);

}  // namespace detail

/// A range that shows how far a walk over it is; `progress` makes it.
template <std::ranges::view View>
class Progress : public std::ranges::view_interface<Progress<View>> {
  public:
    /// For the function progress.
    Progress(View view, ProgressOptions options)
        : view_(std::move(view)), options_(std::move(options)) {}

    class iterator {
      public:
        using value_type = std::ranges::range_value_t<View>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(Progress& progress)
            : progress_(&progress), position_(progress.counting_failures([&progress] {
                  return std::ranges::begin(progress.view_);
              })) {}

        decltype(auto) operator*() const { return *position_; }
        iterator& operator++() {
            progress_->line_->update(++progress_->done_);
            progress_->counting_failures([this] { ++position_; });
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& it, std::default_sentinel_t) {
            return it.is_at_end();
        }

      private:
        [[nodiscard]] bool is_at_end() const {
            if (position_ != std::ranges::end(progress_->view_)) return false;
            progress_->line_->finish();
            return true;
        }

        Progress* progress_;
        mutable std::ranges::iterator_t<View> position_;
    };

    /// Starts the walk, and the bar.
    iterator begin() {
        line_ = std::make_unique<detail::ProgressLine>(options_);
        done_ = 0;
        return iterator(*this);
    }
    /// Ends the walk.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    friend std::string text_of(const Progress& progress) {
        return detail::progress_text(progress.done_, progress.options_);
    }

  private:
    /// Calls `step`, and counts it as a failed item when it throws.
    template <class Step>
    auto counting_failures(Step step) {
        try {
            return step();
        } catch (...) {
            line_->add_failed();
            throw;
        }
    }

    View view_;
    ProgressOptions options_;
    std::unique_ptr<detail::ProgressLine> line_;
    std::uint64_t done_ = 0;
};

/// Returns a range with the items of `range` that shows how far a walk over it is: on a terminal
/// with a bar, the rate and the time left, elsewhere in plain lines. Items whose error the walk has
/// thrown are counted as failed. A forked child shows nothing.
///
///     for (auto r : mp::progress(pool.imap(f, xs), {.total = xs.size(), .desc = "primes"})) …
///
/// @param range a range that is given by name must stay until the end of the walk
template <std::ranges::input_range Range>
auto progress(Range&& range, ProgressOptions options = {}) {
    if constexpr (std::ranges::sized_range<Range>) {
        if (!options.total) options.total = static_cast<std::uint64_t>(std::ranges::size(range));
    }
    return Progress(std::views::all(std::forward<Range>(range)), std::move(options));
}

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/progress.ipp"
#endif
