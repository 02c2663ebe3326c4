// multiprocessing/heap/page_runs.hpp
//
// The segment's pages in runs: one is taken for each large block, and for each span of small ones.
// Free neighbours are joined, so what was freed in any order can be had in any size. Floor 1. Start
// at PageRuns::take.
//
// What is true is in the records of the pages: from the first page to the frontier each run says
// in its first record what it is and how long, and each change is one store there. All else (who is
// free and how large, what the neighbour before is) is derived, guarded by a lock, and made anew
// from the records after a process was killed with the lock held.
//
// A free run is warm, and has kept its pages, because taking them anew costs ten times what filling
// them does (1 MiB through a queue: 850 µs instead of 40); or it is cold, and has none. Warm runs
// keep their size, for the next one of it: a few of each size and 8 MiB in all may stay, beyond
// which those that were freed first become cold. Only cold ones are joined.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "multiprocessing/detail/robust_mutex.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// What the first page of a run says of it, in 32 bits: the kind, and above it the length.
class RunWord {
  public:
    enum Kind : std::uint32_t {
        none,
        used,     // a large block, or one that is just being taken or given back
        span,     // of small blocks, see span_word
        warm,     // free, with its pages
        cold,     // free, without pages: it reads as zero
        stained,  // as cold, but the kernel would not take the pages
        leaving   // free, the pages are just being given back
    };
    static constexpr std::uint32_t most_pages = (std::uint32_t{1} << 29) - 1;

    RunWord() = default;
    explicit RunWord(std::uint32_t word) noexcept : word_(word) {}
    RunWord(Kind kind, std::uint32_t pages) noexcept : word_(pages << 3 | kind) {}
    /// The word of a span's page. @param distance from the span's first page
    static RunWord of_span(unsigned size_class, std::uint32_t distance) noexcept {
        return {span, size_class << 4 | distance};
    }

    [[nodiscard]] std::uint32_t word() const noexcept { return word_; }
    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(word_ & 7); }
    [[nodiscard]] std::uint32_t pages() const noexcept {
        return kind() == span ? small_sizes.pages[size_class()] : word_ >> 3;
    }
    [[nodiscard]] bool can_be_joined() const noexcept {
        return kind() == cold || kind() == stained;
    }
    // Of the pages of a span:
    [[nodiscard]] unsigned size_class() const noexcept { return word_ >> 7; }
    [[nodiscard]] std::uint32_t distance() const noexcept { return word_ >> 3 & 15; }

  private:
    std::uint32_t word_ = 0;
};

/// What is known of a page. Kept apart from the page, so that a free one needs no memory.
struct PageRecord {
    std::atomic<std::uint64_t>
        blocks;                      //  0  of a span's first page: its free blocks, see BlockList
    std::atomic<std::uint32_t> run;  //  8  RunWord; of other pages than first ones: anything
    std::uint32_t ends;              // 12  of a cold run's last page: its length; else 0
    std::uint32_t next;              // 16  neighbours in the list of its size, 0 none
    std::uint32_t previous;          // 20
    std::uint32_t newer;             // 24  warm: neighbours in the order of freeing, 0 none
    std::uint32_t older;             // 28  spans: 1 when in a list
};
static_assert(sizeof(PageRecord) == 32);

/// The runs' part of the segment's first pages. All but the frontier is guarded by `lock`.
struct PageRunsState {
    static constexpr unsigned classes = class_of_units(RunWord::most_pages) + 1;
    static_assert(classes <= 128);

    /// Free runs by the class of their size; of a class there are those of at most its size.
    struct Bins {
        std::uint64_t filled[2];
        std::uint32_t first[classes];
    };

    // On a cache line of its own: all processes look at it, see Allocator::cover.
    std::atomic<std::uint64_t> frontier;  // the first page that was never used, or is so again
    std::byte unused[56];                 //
    std::uint64_t warm_pages;             // in warm runs
    std::uint32_t oldest;                 // the warm run that was freed first
    std::uint32_t newest;                 // and last
    RobustMutex lock;
    RobustMutex cleaning;  // whose holder owns the runs that are leaving; locked before `lock`
    Bins warm;
    Bins cold;
    std::uint16_t warm_counts[classes];  // how many there are of each class
};

/// Takes and gives back runs of pages of a segment that many processes use at once.
class PageRuns {
  public:
    /// A run that was taken; `first` is 0 when there was none.
    struct Run {
        std::uint32_t first = 0;
        bool has_pages = false;
        bool is_zero = false;
    };

    /// @param records one for each page of the segment, all zero at first
    /// @param first_page the first one to hand out
    PageRuns(const Segment& segment, PageRunsState& state, PageRecord* records,
             std::uint64_t first_page) noexcept
        : segment_(segment),
          state_(state),
          records_(records),
          first_page_(first_page),
          end_(std::min<std::uint64_t>(segment.size() / page_size, RunWord::most_pages)) {}

    /// Opens a new segment. Once, by its maker.
    void initialize() {
        state_.frontier.store(first_page_);
        state_.lock.initialize();
        state_.cleaning.initialize();
    }

    [[nodiscard]] PageRecord& record(std::uint64_t page) const noexcept { return records_[page]; }
    [[nodiscard]] RunWord run(std::uint64_t page) const noexcept {
        return RunWord(records_[page].run.load(std::memory_order_relaxed));
    }
    /// Writes what a run, or a page of a span, is. By its owner.
    void set_run(std::uint64_t page, RunWord word) noexcept {
        records_[page].run.store(word.word(), std::memory_order_release);
    }

    /// Takes a run of `pages` pages: one that has pages before one that has none. It is `used`
    /// then.
    Run take(std::uint64_t pages) noexcept {
        if (pages > end_) return {};
        const auto count = static_cast<std::uint32_t>(pages);
        if (const Run run = take_at_once(count); run.first != 0) return run;
        // What is warm can be joined once it is cold.
        shrink_warm(0);
        return take_at_once(count);
    }

    /// Takes a run of `pages` pages that has pages, if there is one.
    Run take_warm(std::uint32_t pages) noexcept {
        const Guard guard(*this);
        return take_warm_locked(pages, 0);
    }

    /// Gives a run back, whose pages may be kept for the next one.
    void give_back(std::uint32_t first) noexcept {
        const std::uint32_t pages = run(first).pages();
        bool is_kept = 2 * pages <= warm_limit;
        bool too_many = false;
        if (is_kept) {
            const Guard guard(*this);
            // A few are enough for those that come and go: what many held goes back.
            is_kept = state_.warm_counts[class_of_units(pages)] < most_warm(pages);
            if (is_kept) {
                set_run(first, {RunWord::warm, pages});  // commits
                insert_warm(first, pages);
                too_many = state_.warm_pages > warm_limit;
            }
        }
        if (!is_kept) give_back_cold(first);
        if (too_many) shrink_warm(warm_limit);
    }

    /// Gives a run back that was taken but not touched.
    void give_back_untouched(Run run) noexcept {
        if (run.has_pages) return give_back(run.first);
        const Guard guard(*this);
        insert_cold(run.first, this->run(run.first).pages(), run.is_zero);
    }

    /// Calls `visit` with the first page and the word of each run, in order.
    template <class Visit>
    void for_each(Visit visit) noexcept {
        const Guard guard(*this);
        walk(visit);
    }

    /// Finishes what a killed process was in the middle of, if there was one.
    void repair() noexcept {
        RobustLock::repair_if_abandoned(state_.cleaning, [this] { finish_cleaning(); });
        RobustLock::repair_if_abandoned(state_.lock, [this] { rebuild(); });
    }

  private:
    using Bins = PageRunsState::Bins;
    static constexpr std::uint32_t warm_limit = (8 << 20) / page_size;
    /// How many warm runs of a size there may be: eight, and of small ones half a mebibyte.
    static constexpr std::uint32_t most_warm(std::uint32_t pages) noexcept {
        return std::max<std::uint32_t>(8, (std::uint32_t{1} << 19) / page_size / pages);
    }
    static constexpr int most_looks = 16;  // at the runs of one class

    /// Holds the lock.
    class Guard {
      public:
        explicit Guard(PageRuns& runs) noexcept
            : lock_(runs.state_.lock, [&runs] { runs.rebuild(); }) {}

      private:
        RobustLock lock_;
    };

    // --- taking; with the lock ---

    Run take_at_once(std::uint32_t pages) noexcept {
        const Guard guard(*this);
        // A warm run of another magnitude is left for those of its own.
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

    Run take_warm_locked(std::uint32_t pages, unsigned classes) noexcept {
        const std::uint32_t first = find(state_.warm, pages, classes);
        if (first == 0) return {};
        const std::uint32_t length = run(first).pages();
        remove_warm(first, length);
        split(first, length, pages, RunWord::warm);
        if (length > pages) insert_warm(first + pages, length - pages);
        return {first, true, false};
    }

    /// Makes the first `pages` of a run of `length` a used one.
    void split(std::uint32_t first, std::uint32_t length, std::uint32_t pages,
               RunWord::Kind rest) noexcept {
        if (length > pages) set_run(first + pages, {rest, length - pages});
        set_run(first, {RunWord::used, pages});  // commits; release: the rest is there by then
        if (length > pages && rest != RunWord::warm) {
            records_[first + length - 1].ends = length - pages;
        }
    }

    Run take_from_frontier(std::uint32_t pages) noexcept {
        const std::uint64_t first = state_.frontier.load(std::memory_order_relaxed);
        if (pages > end_ - first) return {};
        set_run(first, {RunWord::used, pages});
        state_.frontier.store(first + pages, std::memory_order_release);  // commits
        return {static_cast<std::uint32_t>(first), false, true};
    }

    /// Returns a run of at least `pages`, none (0) when there is none within so many classes.
    [[nodiscard]] std::uint32_t find(const Bins& bins, std::uint32_t pages,
                                     unsigned classes) const noexcept {
        const unsigned own = class_of_units(pages);
        // In its own class are shorter ones too.
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
        // Of larger ones, one that lies far below: so the space above it becomes free in one piece.
        const unsigned larger = first_filled(bins, own + 1);
        if (larger > own + classes || larger >= PageRunsState::classes) return 0;
        best = bins.first[larger];
        looks = 0;
        for (std::uint32_t at = best; at != 0 && looks < most_looks; ++looks) {
            best = std::min(best, at);
            at = records_[at].next;
        }
        return best;
    }

    static unsigned first_filled(const Bins& bins, unsigned from) noexcept {
        for (unsigned word = from / 64; word < 2; ++word) {
            std::uint64_t bits = bins.filled[word];
            if (word == from / 64) bits &= ~std::uint64_t{0} << from % 64;
            if (bits != 0) return word * 64 + static_cast<unsigned>(std::countr_zero(bits));
        }
        return PageRunsState::classes;
    }

    // --- the lists; with the lock ---

    void insert(Bins& bins, std::uint32_t first, std::uint32_t pages) noexcept {
        const unsigned size_class = class_of_units(pages);
        const std::uint32_t next = bins.first[size_class];
        records_[first].next = next;
        records_[first].previous = 0;
        if (next != 0) records_[next].previous = first;
        bins.first[size_class] = first;
        bins.filled[size_class / 64] |= std::uint64_t{1} << size_class % 64;
    }

    void remove(Bins& bins, std::uint32_t first, std::uint32_t pages) noexcept {
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

    void insert_warm(std::uint32_t first, std::uint32_t pages) noexcept {
        insert(state_.warm, first, pages);
        records_[first].older = state_.newest;
        records_[first].newer = 0;
        (state_.newest != 0 ? records_[state_.newest].newer : state_.oldest) = first;
        state_.newest = first;
        state_.warm_pages += pages;
        ++state_.warm_counts[class_of_units(pages)];
    }

    void remove_warm(std::uint32_t first, std::uint32_t pages) noexcept {
        remove(state_.warm, first, pages);
        const PageRecord& record = records_[first];
        (record.older != 0 ? records_[record.older].newer : state_.oldest) = record.newer;
        (record.newer != 0 ? records_[record.newer].older : state_.newest) = record.older;
        state_.warm_pages -= pages;
        --state_.warm_counts[class_of_units(pages)];
    }

    void remove_cold(std::uint32_t first, std::uint32_t pages) noexcept {
        remove(state_.cold, first, pages);
        records_[first + pages - 1].ends = 0;
    }

    /// Makes a run that has no pages a free one, joined with its neighbours.
    void insert_cold(std::uint32_t first, std::uint32_t pages, bool is_zero) noexcept {
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

    /// Gives a run and its pages back. One process does so at a time; the kernel would not let two
    /// do it at once either.
    void give_back_cold(std::uint32_t first) noexcept {
        const RobustLock cleaner(state_.cleaning, [this] { finish_cleaning(); });
        set_run(first, {RunWord::leaving, run(first).pages()});  // commits: it is not the caller's
        clean(first);
    }

    /// Takes the pages from warm runs until they have at most `limit` pages.
    void shrink_warm(std::uint64_t limit) noexcept {
        const RobustLock cleaner(state_.cleaning, [this] { finish_cleaning(); });
        while (const std::uint32_t first = take_oldest_warm(limit)) clean(first);
    }
    std::uint32_t take_oldest_warm(std::uint64_t limit) noexcept {
        const Guard guard(*this);
        const std::uint32_t first = state_.warm_pages > limit ? state_.oldest : 0;
        if (first != 0) {
            const std::uint32_t pages = run(first).pages();
            remove_warm(first, pages);
            set_run(first, {RunWord::leaving, pages});
        }
        return first;
    }

    /// Takes the pages from a leaving run. @pre the caller holds `cleaning`
    void clean(std::uint32_t first) noexcept {
        const std::uint32_t pages = run(first).pages();
        // Of pages that this process has not mapped another one could tell that they are zero.
        const std::size_t end = (std::size_t{first} + pages) * page_size;
        const bool is_mapped = end <= segment_.mapped() || segment_.extend(end);
        const bool is_zero = is_mapped && segment_.release_pages(Offset{first} * page_size,
                                                                 std::size_t{pages} * page_size);
        const Guard guard(*this);
        insert_cold(first, pages, is_zero);
    }

    /// Does what a killed holder of `cleaning` has left to do.
    void finish_cleaning() noexcept {
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

    template <class Visit>
    void walk(Visit visit) noexcept {
        const std::uint64_t frontier = state_.frontier.load(std::memory_order_relaxed);
        for (std::uint64_t page = first_page_; page < frontier;) {
            const RunWord word = run(page);
            visit(static_cast<std::uint32_t>(page), word);
            page += word.pages();
        }
    }

    void rebuild() noexcept {
        state_.warm = {};
        state_.cold = {};
        std::fill(std::begin(state_.warm_counts), std::end(state_.warm_counts), std::uint16_t{0});
        state_.oldest = state_.newest = 0;
        state_.warm_pages = 0;
        walk([this](std::uint32_t first, RunWord word) {
            const std::uint32_t pages = word.pages();
            records_[first + pages - 1].ends = word.can_be_joined() ? pages : 0;
            if (word.kind() == RunWord::warm) insert_warm(first, pages);
            if (word.can_be_joined()) insert(state_.cold, first, pages);
        });
    }

    const Segment& segment_;
    PageRunsState& state_;
    PageRecord* records_;
    const std::uint64_t first_page_;
    const std::uint64_t end_;
};

}  // namespace multiprocessing::detail
