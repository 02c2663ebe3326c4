// multiprocessing/pool/progress.hpp
//
// progress: walks a range and shows on the way how far it is. A bar on a terminal; elsewhere a
// plain line now and then. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/pool/pending_call.hpp"
#include "multiprocessing/pool/spinning.hpp"

namespace multiprocessing {

/// How progress is shown; designated initialisers name the fields.
struct ProgressOptions {
    std::optional<std::uint64_t> total = {};  ///< items; none: as many as the range says it has
    std::string desc = {};                    ///< what is going on, in front of the bar
    bool disable = false;                     ///< show nothing
    std::FILE* file = stderr;                 ///< where it is shown
};

namespace detail {

/// A line that says how far something is. Only the process that made it writes.
class ProgressLine {
  public:
    explicit ProgressLine(const ProgressOptions& options)
        : options_(options),
          owner_(::getpid()),
          on_terminal_(::isatty(::fileno(options.file)) == 1),
          start_(monotonic_now()),
          shown_(start_) {}
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { finish(); }

    /// Says that `done` items are done; writes when it is time to.
    void update(std::uint64_t done) {
        done_ = done;
        // The clock costs more than many a task: it is not looked at for each of them.
        if (done < next_look_) return;
        const std::uint64_t now = monotonic_now();
        const std::uint64_t since = now - shown_;
        const std::uint64_t interval = on_terminal_ ? terminal_interval : file_interval;
        next_look_ = done + std::max<std::uint64_t>(1, since == 0 ? 1 : looks_ahead(now));
        if (since < interval) return;
        shown_ = now;
        write(now);
    }

    /// Writes the last line.
    void finish() noexcept {
        if (finished_) return;
        finished_ = true;
        write(monotonic_now());
        if (is_shown() && on_terminal_) std::fputc('\n', options_.file);
    }

  private:
    static constexpr std::uint64_t terminal_interval = 100'000'000;  // nanoseconds
    static constexpr std::uint64_t file_interval = 10'000'000'000;

    [[nodiscard]] bool is_shown() const noexcept {
        return !options_.disable && ::getpid() == owner_;
    }
    /// Returns how many items take a millisecond.
    [[nodiscard]] std::uint64_t looks_ahead(std::uint64_t now) const noexcept {
        return done_ * 1'000'000 / std::max<std::uint64_t>(1, now - start_);
    }

    [[gnu::cold, gnu::noinline]] void write(std::uint64_t now) const noexcept {
        if (!is_shown()) return;
        const double seconds = static_cast<double>(now - start_) * 1e-9;
        const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
        char text[256];
        if (options_.total && *options_.total > 0) {
            write_share(text, sizeof text, seconds, rate);
        } else {
            std::snprintf(text, sizeof text, "%llu [%s, %.4g/s]",
                          static_cast<unsigned long long>(done_), clock(seconds).text, rate);
        }
        const char* const colon = options_.desc.empty() ? "" : ": ";
        // \033[K: what a longer line has left behind it goes.
        std::fprintf(options_.file, on_terminal_ ? "\r%s%s%s\033[K" : "%s%s%s\n",
                     options_.desc.c_str(), colon, text);
        std::fflush(options_.file);
    }

    [[gnu::cold]] void write_share(char* text, std::size_t size, double seconds,
                                   double rate) const noexcept {
        constexpr int width = 20;
        const std::uint64_t total = *options_.total;
        const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total));
        const double left =
            rate > 0 ? static_cast<double>(total - std::min(total, done_)) / rate : 0;
        char bar[width + 1] = {};
        std::fill_n(bar, width, ' ');
        std::fill_n(bar, static_cast<int>(share * width), '#');
        std::snprintf(
            text, size, "%3d%%%s%s%s %llu/%llu [%s<%s, %.4g/s]", static_cast<int>(share * 100),
            on_terminal_ ? " |" : "", on_terminal_ ? bar : "", on_terminal_ ? "|" : "",
            static_cast<unsigned long long>(done_), static_cast<unsigned long long>(total),
            clock(seconds).text, clock(left).text, rate);
    }

    struct ClockText {
        char text[24];
    };
    [[gnu::cold]] static ClockText clock(double seconds) noexcept {
        ClockText clock;
        const auto whole = static_cast<unsigned long>(std::min(seconds, 3.6e8));
        if (whole >= 3600) {
            std::snprintf(clock.text, sizeof clock.text, "%lu:%02lu:%02lu", whole / 3600,
                          whole / 60 % 60, whole % 60);
        } else {
            std::snprintf(clock.text, sizeof clock.text, "%02lu:%02lu", whole / 60, whole % 60);
        }
        return clock;
    }

    const ProgressOptions options_;
    const pid_t owner_;
    const bool on_terminal_;
    const std::uint64_t start_;
    std::uint64_t shown_;
    std::uint64_t done_ = 0;
    std::uint64_t next_look_ = 0;
    bool finished_ = false;
};

/// Waits for a call, and shows how far it is.
[[gnu::cold, gnu::noinline]] inline void wait_with_progress(PendingCall& call,
                                                            std::uint64_t items) {
    ProgressLine line({.total = items});
    std::uint32_t finished = 0;
    while (!call.wait(Timeout(0.1))) {
        finished = 0;
        for (std::uint32_t chunk = 0; chunk < call.chunk_count(); ++chunk) {
            finished += call.progress_of(chunk) == ChunkProgress::finished ? 1 : 0;
        }
        line.update(items * finished / call.chunk_count());
    }
    if (!call.is_given_up()) line.update(items);
}

}  // namespace detail

/// A range that shows how far its walk is; `progress` makes it.
template <std::ranges::view View>
class Progress : public std::ranges::view_interface<Progress<View>> {
  public:
    /// For progress.
    Progress(View view, ProgressOptions options)
        : view_(std::move(view)), options_(std::move(options)) {}

    class iterator {
      public:
        using value_type = std::ranges::range_value_t<View>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(Progress& progress)
            : progress_(&progress), position_(std::ranges::begin(progress.view_)) {}

        decltype(auto) operator*() const { return *position_; }
        iterator& operator++() {
            progress_->line_->update(++progress_->done_);
            ++position_;
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
        std::string text = "<Progress " + std::to_string(progress.done_);
        if (const auto total = progress.options_.total) text += "/" + std::to_string(*total);
        return text + " desc=" + detail::quoted(progress.options_.desc) + ">";
    }

  private:
    View view_;
    ProgressOptions options_;
    std::unique_ptr<detail::ProgressLine> line_;
    std::uint64_t done_ = 0;
};

/// Returns a range with the items of `range` that shows how far its walk is: with a bar, the rate
/// and the time left on a terminal, in plain lines elsewhere. A forked child shows nothing.
///
///     for (auto r : mp::progress(pool.imap(f, xs), {.total = xs.size(), .desc = "primes"})) …
///
/// @param range one that is given by name must stay until the end of the walk
template <std::ranges::input_range Range>
auto progress(Range&& range, ProgressOptions options = {}) {
    if constexpr (std::ranges::sized_range<Range>) {
        if (!options.total) options.total = static_cast<std::uint64_t>(std::ranges::size(range));
    }
    return Progress(std::views::all(std::forward<Range>(range)), std::move(options));
}

}  // namespace multiprocessing
