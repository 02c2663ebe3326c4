// multiprocessing/pool/calls/progress.ipp
//
// How a progress line is written: see progress.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/progress.hpp"

#include <unistd.h>

#include <algorithm>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/pool/calls/pending_call.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

struct ProgressLine::ClockText {
    char text[24];
};

MULTIPROCESSING_INLINE ProgressLine::ProgressLine(const ProgressOptions& options)
    : options_(options),
      owner_(::getpid()),
      on_terminal_(::isatty(::fileno(options.file)) == 1),
      start_(monotonic_now()),
      shown_(start_) {}

MULTIPROCESSING_INLINE void ProgressLine::finish() noexcept {
    if (finished_) return;
    finished_ = true;
    write(monotonic_now());
    if (is_shown() && on_terminal_) std::fputc('\n', options_.file);
}

MULTIPROCESSING_INLINE void ProgressLine::look_at_clock() {
    const std::uint64_t now = monotonic_now();
    const std::uint64_t since = now - shown_;
    const std::uint64_t interval = on_terminal_ ? terminal_interval : file_interval;
    next_look_ = done_ + std::max<std::uint64_t>(1, since == 0 ? 1 : looks_ahead(now));
    if (since < interval) return;
    shown_ = now;
    write(now);
}

MULTIPROCESSING_INLINE bool ProgressLine::is_shown() const noexcept {
    return !options_.disable && ::getpid() == owner_;
}

MULTIPROCESSING_INLINE std::uint64_t ProgressLine::looks_ahead(std::uint64_t now) const noexcept {
    return done_ * 1'000'000 / std::max<std::uint64_t>(1, now - start_);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void ProgressLine::write(
    std::uint64_t now) const noexcept {
    if (!is_shown()) return;
    const double seconds = static_cast<double>(now - start_) * 1e-9;
    const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
    char text[256];
    char failed[32] = {};
    if (failed_ != 0) {
        std::snprintf(failed, sizeof failed, ", %llu failed",
                      static_cast<unsigned long long>(failed_));
    }
    if (options_.total.value_or(0) > 0) {
        write_share(text, sizeof text, seconds, rate, failed);
    } else {
        std::snprintf(text, sizeof text, "%llu [%s, %s/s%s]",
                      static_cast<unsigned long long>(done_), clock(seconds).text,
                      RoundedText(rate, 4).text, failed);
    }
    const char* const colon = options_.desc.empty() ? "" : ": ";
    // \033[K: erases what is left of a longer line before.
    std::fprintf(options_.file, on_terminal_ ? "\r%s%s%s\033[K" : "%s%s%s\n", options_.desc.c_str(),
                 colon, text);
    std::fflush(options_.file);
}

MULTIPROCESSING_INLINE void ProgressLine::write_share(char* text, std::size_t size, double seconds,
                                                      double rate,
                                                      const char* failed) const noexcept {
    constexpr int width = 20;
    const std::uint64_t total = *options_.total;
    const double share = (std::min)(1.0, static_cast<double>(done_) / static_cast<double>(total));
    const double left = rate > 0 ? static_cast<double>(total - (std::min)(total, done_)) / rate : 0;
    char bar[width + 1] = {};
    std::fill_n(bar, width, ' ');
    std::fill_n(bar, static_cast<int>(share * width), '#');
    std::snprintf(text, size, "%3d%%%s%s%s %llu/%llu [%s<%s, %s/s%s]",
                  static_cast<int>(share * 100), on_terminal_ ? " |" : "", on_terminal_ ? bar : "",
                  on_terminal_ ? "|" : "", static_cast<unsigned long long>(done_),
                  static_cast<unsigned long long>(total), clock(seconds).text, clock(left).text,
                  RoundedText(rate, 4).text, failed);
}

MULTIPROCESSING_INLINE ProgressLine::ClockText ProgressLine::clock(double seconds) noexcept {
    ClockText clock;
    const auto whole = static_cast<unsigned long>((std::min)(seconds, 3.6e8));
    if (whole >= 3600) {
        std::snprintf(clock.text, sizeof clock.text, "%lu:%02lu:%02lu", whole / 3600,
                      whole / 60 % 60, whole % 60);
    } else {
        std::snprintf(clock.text, sizeof clock.text, "%02lu:%02lu", whole / 60, whole % 60);
    }
    return clock;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void wait_with_progress(PendingCall& call,
                                                                 std::uint64_t items) {
    ProgressLine line({.total = items});
    std::uint32_t finished = 0;
    while (!call.wait(Timeout(0.1))) {
        finished = 0;
        for (std::uint32_t chunk = 0; chunk < call.chunk_count(); ++chunk) {
            finished += call.progress_of(chunk) == ChunkProgress::finished ? 1 : 0;
        }
        line.set_failed(call.failed_items());
        line.update(items * finished / call.chunk_count());
    }
    line.set_failed(call.failed_items());
    if (!call.is_given_up()) line.update(items);
}

MULTIPROCESSING_INLINE std::string progress_text(std::uint64_t done,
                                                 const ProgressOptions& options) {
    std::string text = "<Progress " + std::to_string(done);
    if (const auto total = options.total) text += "/" + std::to_string(*total);
    return text + " desc=" + detail::quoted(options.desc) + ">";
}

}  // namespace multiprocessing::detail
