// multiprocessing/heap/page_runs.ipp
//
// How runs of pages are taken, given back and put in order: see page_runs.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/page_runs.hpp"

#include <time.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <iterator>
#include <new>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

inline constexpr std::uint32_t warm_limit = (6 << 20) / page_size;
/// Up to so many pages a run is little: it does not count among those in use, and spans are all
/// little.
inline constexpr std::uint32_t most_little = warm_limit / 64;
/// Returns how many warm runs of a size there may be: eight, and of small ones half a mebibyte.
constexpr std::uint32_t most_warm(std::uint32_t pages) noexcept {
    return std::max<std::uint32_t>(8, (std::uint32_t{1} << 19) / page_size / pages);
}

MULTIPROCESSING_INLINE PageRuns::PageRuns(const Segment& segment, PageRunsState& state,
                                          PageRecord* records, std::uint64_t first_page) noexcept
    : segment_(segment),
      state_(state),
      records_(records),
      first_page_(first_page),
      end_(std::min<std::uint64_t>(segment.size() / page_size, RunWord::most_pages)) {}

MULTIPROCESSING_INLINE void PageRuns::initialize() {
    state_.frontier.store(first_page_);
    state_.lock.initialize();
    state_.cleaning.initialize();
}

MULTIPROCESSING_INLINE PageRuns::Run PageRuns::take(std::uint64_t pages) noexcept {
    if (pages > end_) return {};
    const auto count = static_cast<std::uint32_t>(pages);
    if (const Run run = take_at_once(count); run.first != 0) return run;
    // Warm runs cannot be joined, but cold ones can.
    shrink_warm(0);
    return take_at_once(count);
}

MULTIPROCESSING_INLINE PageRuns::Run PageRuns::take_warm(std::uint32_t pages) noexcept {
    const Guard guard(*this);
    return take_warm_locked(pages, 0);
}

MULTIPROCESSING_INLINE void PageRuns::give_back(std::uint32_t first, bool may_rest) noexcept {
    const std::uint32_t pages = run(first).pages();
    const HeapCooling* const cooling =
        may_rest ? heap_cooling.load(std::memory_order_acquire) : nullptr;
    // Looked up without the lock, for the first time takes system calls.
    const std::uint64_t most_at_all = cooling != nullptr ? cooling->most_pages() : 0;
    bool is_kept = 3 * pages <= 2 * warm_limit || 2 * std::uint64_t{pages} <= most_at_all;
    bool is_much = false;
    std::uint64_t most = warm_limit;
    if (is_kept) {
        const Guard guard(*this);
        // What rests is left alone: others do not take its place, and little is no matter.
        const bool some_rest = state_.warm_pages > warm_limit;
        // A few are enough for those that come and go. After many were held, most go back. Where
        // they only rest, it may be as many as a queue holds of them.
        const std::uint32_t most_runs = most_warm(pages) * (cooling != nullptr ? 8 : 1);
        is_kept = state_.warm_counts[class_of_units(pages)] < most_runs &&
                  (cooling != nullptr || !some_rest || pages <= most_little);
        if (is_kept) {
            set_run(first, {RunWord::warm, pages});  // commits
            insert_warm(first, pages);
            note_unused(pages);
            is_much = state_.warm_pages > warm_limit && (cooling != nullptr || !some_rest);
            most = most_resting(most_at_all);
        }
    }
    if (!is_kept) give_back_cold(first);
    if (!is_much) return;
    const bool is_cooled = cooling != nullptr && cooling->begin(segment_);
    shrink_warm(is_cooled ? most : warm_limit);
}

MULTIPROCESSING_INLINE bool PageRuns::begin_pause() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto milliseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000 +
                              static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
    const Guard guard(*this);
    if (milliseconds - state_.pause_begin < cooling_pause) return false;
    state_.pause_begin = milliseconds;
    return true;
}

MULTIPROCESSING_INLINE bool PageRuns::cool() noexcept {
    // Several processes may cool the heap, and each of them comes by after a pause of its own.
    const bool is_over = begin_pause();
    if (is_over) {
        const RobustLock cleaner(state_.cleaning, [this] { finish_cleaning(); });
        while (const std::uint32_t first = take_oldest_warm(warm_limit, true)) clean(first);
    }
    const Guard guard(*this);
    if (is_over) {
        state_.rested = state_.newest;
        state_.most_used_before = state_.most_used;
        state_.most_used = state_.used_pages;
    }
    const bool is_warm = state_.warm_pages > warm_limit;
    if (!is_warm)
        state_.most_used_before = state_.most_used = state_.used_pages;  // nobody cools on
    return is_warm;
}

MULTIPROCESSING_INLINE void PageRuns::cool_at_once() noexcept { shrink_warm(warm_limit); }

MULTIPROCESSING_INLINE void PageRuns::give_back_untouched(Run run) noexcept {
    if (run.has_pages) return give_back(run.first);
    const std::uint32_t pages = this->run(run.first).pages();
    const Guard guard(*this);
    insert_cold(run.first, pages, run.is_zero);
    note_unused(pages);
}

MULTIPROCESSING_INLINE void PageRuns::map_or_give_back(const Run& run, std::size_t size) {
    const std::size_t end = Offset{run.first} * page_size + size;
    if (end <= segment_.mapped() || segment_.extend(end)) return;
    give_back_untouched(run);
    throw std::bad_alloc();
}

MULTIPROCESSING_INLINE void PageRuns::reserve_or_give_back(const Run& run, std::size_t size) {
    try {
        segment_.reserve_pages(Offset{run.first} * page_size, size);
    } catch (...) {
        give_back(run.first);  // it may have some pages by now
        throw;
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void PageRuns::extend() const noexcept {
    if (used_space() <= segment_.mapped()) return;
    // Nobody can go on without it, and where this is called nothing may throw.
    if (!segment_.extend(used_space())) std::terminate();
}

MULTIPROCESSING_INLINE void PageRuns::repair() noexcept {
    RobustLock::repair_if_abandoned(state_.cleaning, [this] { finish_cleaning(); });
    RobustLock::repair_if_abandoned(state_.lock, [this] { rebuild(); });
}

// --- taking; with the lock ---

MULTIPROCESSING_INLINE PageRuns::Run PageRuns::take_at_once(std::uint32_t pages) noexcept {
    const Guard guard(*this);
    // A much larger warm run is left for requests of its own size.
    constexpr unsigned one_doubling = 4;
    if (const Run run = take_warm_locked(pages, one_doubling); run.first != 0) return run;
    if (const auto first = find(state_.cold, pages, PageRunsState::classes)) {
        const RunWord word = run(first);
        remove_cold(first, word.pages());
        split(first, word.pages(), pages, word.kind());
        if (word.pages() > pages) insert(state_.cold, first + pages, word.pages() - pages);
        return {first, false, word.kind() == RunWord::cold};
    }
    return take_from_frontier(pages);
}

MULTIPROCESSING_INLINE PageRuns::Run PageRuns::take_warm_locked(std::uint32_t pages,
                                                                unsigned classes) noexcept {
    const std::uint32_t first = find(state_.warm, pages, classes);
    if (first == 0) return {};
    const std::uint32_t length = run(first).pages();
    remove_warm(first, length);
    split(first, length, pages, RunWord::warm);
    if (length > pages) insert_warm(first + pages, length - pages);
    return {first, true, false};
}

MULTIPROCESSING_INLINE void PageRuns::split(std::uint32_t first, std::uint32_t length,
                                            std::uint32_t pages, RunWord::Kind rest) noexcept {
    if (length > pages) set_run(first + pages, {rest, length - pages});
    set_run(first, {RunWord::used, pages});  // commits; release: the rest is there by then
    note_used(pages);
    if (length > pages && rest != RunWord::warm) {
        records_[first + length - 1].ends = length - pages;
    }
}

MULTIPROCESSING_INLINE PageRuns::Run PageRuns::take_from_frontier(std::uint32_t pages) noexcept {
    const std::uint64_t first = state_.frontier.load(std::memory_order_relaxed);
    if (pages > end_ - first) return {};
    set_run(first, {RunWord::used, pages});
    state_.frontier.store(first + pages, std::memory_order_release);  // commits
    note_used(pages);
    return {static_cast<std::uint32_t>(first), false, true};
}

MULTIPROCESSING_INLINE void PageRuns::note_used(std::uint32_t pages) noexcept {
    if (pages <= most_little) return;
    state_.used_pages += pages;
    state_.most_used = (std::max)(state_.most_used, state_.used_pages);
}

MULTIPROCESSING_INLINE void PageRuns::note_unused(std::uint32_t pages) noexcept {
    if (pages > most_little) state_.used_pages -= pages;
}

MULTIPROCESSING_INLINE std::uint64_t PageRuns::most_resting(std::uint64_t most) const noexcept {
    const std::uint64_t lately = 2 * (std::max)(state_.most_used, state_.most_used_before);
    return std::max<std::uint64_t>((std::min)(lately, most), warm_limit);
}

/// Returns the first class from `from` on that has runs.
MULTIPROCESSING_INLINE unsigned first_filled(const PageRunsState::Bins& bins,
                                             unsigned from) noexcept {
    for (unsigned word = from / 64; word < 2; ++word) {
        std::uint64_t bits = bins.filled[word];
        if (word == from / 64) bits &= ~std::uint64_t{0} << from % 64;
        if (bits != 0) return word * 64 + static_cast<unsigned>(std::countr_zero(bits));
    }
    return PageRunsState::classes;
}

MULTIPROCESSING_INLINE std::uint32_t PageRuns::find(const Bins& bins, std::uint32_t pages,
                                                    unsigned classes) const noexcept {
    constexpr int most_looks = 16;  // at the runs of one class
    const unsigned own = class_of_units(pages);
    // Its own class has shorter runs too.
    std::uint32_t best = 0;
    std::uint32_t length = UINT32_MAX;
    int looks = 0;
    for (std::uint32_t at = bins.first[own]; at != 0 && looks < most_looks; ++looks) {
        const std::uint32_t there = run(at).pages();
        if (there >= pages && there < length) {
            best = at;
            length = there;
            if (there == pages) break;
        }
        at = records_[at].next;
    }
    if (best != 0) return best;
    // Of larger runs, take one that lies far below: so the space above it becomes free in one
    // piece.
    const unsigned larger = first_filled(bins, own + 1);
    if (larger > own + classes || larger >= PageRunsState::classes) return 0;
    best = bins.first[larger];
    looks = 0;
    for (std::uint32_t at = best; at != 0 && looks < most_looks; ++looks) {
        best = (std::min)(best, at);
        at = records_[at].next;
    }
    return best;
}

// --- the lists; with the lock ---

MULTIPROCESSING_INLINE void PageRuns::insert(Bins& bins, std::uint32_t first,
                                             std::uint32_t pages) noexcept {
    const unsigned size_class = class_of_units(pages);
    const std::uint32_t next = bins.first[size_class];
    records_[first].next = next;
    records_[first].previous = 0;
    if (next != 0) records_[next].previous = first;
    bins.first[size_class] = first;
    bins.filled[size_class / 64] |= std::uint64_t{1} << size_class % 64;
}

MULTIPROCESSING_INLINE void PageRuns::remove(Bins& bins, std::uint32_t first,
                                             std::uint32_t pages) noexcept {
    const PageRecord& record = records_[first];
    if (record.next != 0) records_[record.next].previous = record.previous;
    if (record.previous != 0) {
        records_[record.previous].next = record.next;
        return;
    }
    const unsigned size_class = class_of_units(pages);
    bins.first[size_class] = record.next;
    if (record.next == 0) {
        bins.filled[size_class / 64] &= ~(std::uint64_t{1} << size_class % 64);
    }
}

MULTIPROCESSING_INLINE void PageRuns::insert_warm(std::uint32_t first,
                                                  std::uint32_t pages) noexcept {
    insert(state_.warm, first, pages);
    records_[first].older = state_.newest;
    records_[first].newer = 0;
    (state_.newest != 0 ? records_[state_.newest].newer : state_.oldest) = first;
    state_.newest = first;
    state_.warm_pages += pages;
    ++state_.warm_counts[class_of_units(pages)];
}

MULTIPROCESSING_INLINE void PageRuns::remove_warm(std::uint32_t first,
                                                  std::uint32_t pages) noexcept {
    remove(state_.warm, first, pages);
    const PageRecord& record = records_[first];
    (record.older != 0 ? records_[record.older].newer : state_.oldest) = record.newer;
    (record.newer != 0 ? records_[record.newer].older : state_.newest) = record.older;
    state_.warm_pages -= pages;
    --state_.warm_counts[class_of_units(pages)];
    if (state_.rested == first) state_.rested = record.older;
}

MULTIPROCESSING_INLINE void PageRuns::remove_cold(std::uint32_t first,
                                                  std::uint32_t pages) noexcept {
    remove(state_.cold, first, pages);
    records_[first + pages - 1].ends = 0;
}

MULTIPROCESSING_INLINE void PageRuns::insert_cold(std::uint32_t first, std::uint32_t pages,
                                                  bool is_zero) noexcept {
    const std::uint64_t frontier = state_.frontier.load(std::memory_order_relaxed);
    const auto join = [&](std::uint32_t neighbour, RunWord word) {
        remove_cold(neighbour, word.pages());
        pages += word.pages();
        is_zero = is_zero && word.kind() == RunWord::cold;
    };
    const std::uint32_t next = first + pages;
    if (next < frontier && run(next).can_be_joined()) join(next, run(next));
    if (const std::uint32_t before = records_[first - 1].ends) {
        first -= before;
        join(first, run(first));
    }
    if (first + pages == frontier && is_zero) {
        state_.frontier.store(first, std::memory_order_release);  // commits
        return;
    }
    set_run(first, {is_zero ? RunWord::cold : RunWord::stained, pages});  // commits
    insert(state_.cold, first, pages);
    records_[first + pages - 1].ends = pages;
}

// --- giving pages back; without the lock ---

MULTIPROCESSING_INLINE void PageRuns::give_back_cold(std::uint32_t first) noexcept {
    const RobustLock cleaner(state_.cleaning, [this] { finish_cleaning(); });
    {
        const Guard guard(*this);
        const std::uint32_t pages = run(first).pages();
        set_run(first, {RunWord::leaving, pages});  // commits: it is not the caller's
        note_unused(pages);
    }
    clean(first);
}

MULTIPROCESSING_INLINE void PageRuns::shrink_warm(std::uint64_t limit) noexcept {
    const RobustLock cleaner(state_.cleaning, [this] { finish_cleaning(); });
    while (const std::uint32_t first = take_oldest_warm(limit)) clean(first);
}

MULTIPROCESSING_INLINE std::uint32_t PageRuns::take_oldest_warm(std::uint64_t limit,
                                                                bool only_rested) noexcept {
    const Guard guard(*this);
    const bool is_due = state_.warm_pages > limit && (!only_rested || state_.rested != 0);
    const std::uint32_t first = is_due ? state_.oldest : 0;
    if (first != 0) {
        const std::uint32_t pages = run(first).pages();
        remove_warm(first, pages);
        set_run(first, {RunWord::leaving, pages});
    }
    return first;
}

MULTIPROCESSING_INLINE void PageRuns::clean(std::uint32_t first) noexcept {
    const std::uint32_t pages = run(first).pages();
    // Of pages that this process has not mapped, only another process could say that they are zero.
    const std::size_t end = (std::size_t{first} + pages) * page_size;
    const bool is_mapped = end <= segment_.mapped() || segment_.extend(end);
    const bool is_zero = is_mapped && segment_.release_pages(Offset{first} * page_size,
                                                             std::size_t{pages} * page_size);
    const Guard guard(*this);
    insert_cold(first, pages, is_zero);
}

MULTIPROCESSING_INLINE void PageRuns::finish_cleaning() noexcept {
    for (;;) {
        std::uint32_t left = 0;
        for_each([&](std::uint32_t first, RunWord word) {
            if (word.kind() == RunWord::leaving) left = first;
        });
        if (left == 0) return;
        clean(left);
    }
}

// --- after a kill; with the lock ---

MULTIPROCESSING_INLINE void PageRuns::rebuild() noexcept {
    state_.warm = {};
    state_.cold = {};
    std::fill(std::begin(state_.warm_counts), std::end(state_.warm_counts), std::uint16_t{0});
    state_.oldest = state_.newest = state_.rested = 0;
    state_.warm_pages = state_.used_pages = 0;
    walk([this](std::uint32_t first, RunWord word) {
        const std::uint32_t pages = word.pages();
        records_[first + pages - 1].ends = word.can_be_joined() ? pages : 0;
        if (word.kind() == RunWord::used) note_used(pages);
        if (word.kind() == RunWord::warm) insert_warm(first, pages);
        if (word.can_be_joined()) insert(state_.cold, first, pages);
    });
}

}  // namespace multiprocessing::detail
