// multiprocessing/heap/page_runs.hpp
//
// The segment's pages in runs: one for each large block, and one for each span of small blocks.
// Free neighbours are joined, so what was freed in any order can be had in any size. Floor 1. Start
// at PageRuns::take.
//
// The truth is in the records of the pages: from the first page to the frontier, each run says in
// its first record what it is and how long, and each change is one store there. All else (which
// runs are free and how large, what the neighbour before is) is derived from that. A lock guards
// it, and it is made anew from the records after a process was killed with the lock held.
//
// A free run is warm or cold. A warm one has kept its pages, because new pages cost ten times what
// it costs to fill them (1 MiB through a queue: 850 µs instead of 40); a cold one has none. Warm
// runs keep their size, for the next request of it. A few of each size (where there is a
// HeapCooling, eight times as many) and 6 MiB in all may stay; beyond that, those that were freed
// first become cold: at once, or after a moment's rest where there is a HeapCooling. Only cold runs
// are joined.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/robust_mutex.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// What the first page of a run says about it, in 32 bits: the kind, and above it the length.
class RunWord {
  public:
    enum Kind : std::uint32_t {
        none,
        used,     // a large block, or one that is just being taken or given back
        span,     // of small blocks, see of_span
        warm,     // free, with its pages
        cold,     // free, without pages: it reads as zero
        stained,  // as cold, but the kernel would not take the pages
        leaving   // free, the pages are just being given back
    };
    static constexpr std::uint32_t most_pages = (std::uint32_t{1} << 29) - 1;

    RunWord() = default;
    explicit RunWord(std::uint32_t word) noexcept : word_(word) {}
    RunWord(Kind kind, std::uint32_t pages) noexcept : word_(pages << 3 | kind) {}
    /// Returns the word of a span's page. @param distance pages from the span's first one
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

/// What is known of a page. It is kept apart from the page, so that a free page needs no memory.
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

/// What lets a process keep more warm memory for a moment, and gives it back after that. Who has
/// threads for it provides it, see process/cooling.hpp.
struct HeapCooling {
    /// Returns how many pages may be warm.
    std::uint64_t (*most_pages)() noexcept;
    /// Sees to it that PageRuns::cool is called until it returns false. @returns whether it does
    bool (*begin)(const Segment&) noexcept;
};
inline constinit std::atomic<const HeapCooling*> heap_cooling{nullptr};

/// The runs' part of the segment's first pages. `lock` guards all but the frontier.
struct PageRunsState {
    static constexpr unsigned classes = class_of_units(RunWord::most_pages) + 1;
    static_assert(classes <= 128);

    /// Free runs by the class of their size. A class has the runs of at most its size.
    struct Bins {
        std::uint64_t filled[2];
        std::uint32_t first[classes];
    };

    // Apart from what changes often: all processes look at it, see PageRuns::cover.
    std::atomic<std::uint64_t> frontier;  // the first page that was never used, or is so again
    std::byte unused[56];                 //
    std::uint64_t warm_pages;             // in warm runs
    std::uint32_t oldest;                 // the warm run that was freed first
    std::uint32_t newest;                 // and last
    std::uint32_t rested;                 // the newest one at the last pause's begin, 0 none
    std::uint32_t unused_too;             //
    std::uint64_t pause_begin;            // ms of the monotonic clock
    std::uint64_t used_pages;             // in used runs that are not little
    std::uint64_t most_used;              // the most that were used since the last pause's begin
    std::uint64_t most_used_before;       // and in the pause before
    RobustMutex lock;
    RobustMutex cleaning;  // its holder owns the runs that are leaving; locked before `lock`
    Bins warm;
    Bins cold;
    std::uint16_t warm_counts[classes];  // how many warm runs there are of each class
};

/// Takes and gives back runs of pages of a segment that many processes use at once. It is a view of
/// the state in the segment: copies of it are the same runs.
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
             std::uint64_t first_page) noexcept;

    /// Opens a new segment. Its maker calls this once.
    void initialize();

    [[nodiscard]] PageRecord& record(std::uint64_t page) const noexcept { return records_[page]; }
    [[nodiscard]] RunWord run(std::uint64_t page) const noexcept {
        return RunWord(records_[page].run.load(std::memory_order_relaxed));
    }
    /// Writes what a run, or a page of a span, is. Only its owner may call this.
    void set_run(std::uint64_t page, RunWord word) noexcept {
        records_[page].run.store(word.word(), std::memory_order_release);
    }

    /// Takes a run of `pages` pages, which is `used` then. A run that has pages is taken before one
    /// that has none.
    Run take(std::uint64_t pages) noexcept;

    /// Takes a run of `pages` pages that has pages, if there is one.
    Run take_warm(std::uint32_t pages) noexcept;

    /// Gives a run back. Its pages may be kept for the next one.
    /// @param may_rest whether they may be kept for a moment where they are many, see HeapCooling
    void give_back(std::uint32_t first, bool may_rest = false) noexcept;

    /// Takes the pages from the warm runs that have not been needed for cooling_pause or longer,
    /// until 6 MiB are left. @returns whether more than that is warm
    bool cool() noexcept;
    static constexpr std::uint64_t cooling_pause = 400;  // ms

    /// Takes the pages from warm runs until 6 MiB are left.
    void cool_at_once() noexcept;

    /// Gives a run back that was taken but not touched.
    void give_back_untouched(Run run) noexcept;

    /// Maps the first `size` bytes of a run that was taken, or gives it back untouched.
    /// @throws std::bad_alloc when it was given back
    void map_or_give_back(const Run& run, std::size_t size);

    /// Makes sure that touching the run will not end in SIGBUS, or gives it back. Large blocks are
    /// trusted to an overcommitting kernel as malloc trusts it; spans of small blocks are used up
    /// anyway.
    /// @throws std::bad_alloc when it was given back
    void reserve_or_give_back(const Run& run, std::size_t size);

    /// Makes sure that all that is in use is mapped in this process. Nearly always it is.
    void cover() const noexcept {
        if (segment_.is_partial()) [[unlikely]]
            extend();
    }
    /// Does so where this process may have mapped only a part. Ends the program when it cannot.
    [[gnu::cold]] void extend() const noexcept;

    /// Returns how many bytes lie before the part of the segment that is not in use: what has been
    /// used of its address space.
    [[nodiscard]] std::size_t used_space() const noexcept {
        return static_cast<std::size_t>(state_.frontier.load(std::memory_order_relaxed)) *
               page_size;
    }

    /// Calls `visit` with the first page and the word of each run, in order.
    template <class Visit>
    void for_each(Visit visit) noexcept {
        const Guard guard(*this);
        walk(visit);
    }

    /// Finishes what a killed process was in the middle of, if there was one.
    void repair() noexcept;

  private:
    using Bins = PageRunsState::Bins;

    /// Holds the lock.
    class Guard {
      public:
        explicit Guard(PageRuns& runs) noexcept
            : lock_(runs.state_.lock, [&runs] { runs.rebuild(); }) {}

      private:
        RobustLock lock_;
    };

    // --- taking; with the lock ---

    Run take_at_once(std::uint32_t pages) noexcept;
    /// @param classes up to how many classes above its own the run may be of
    Run take_warm_locked(std::uint32_t pages, unsigned classes) noexcept;
    /// Makes the first `pages` of a run of `length` a used one.
    void split(std::uint32_t first, std::uint32_t length, std::uint32_t pages,
               RunWord::Kind rest) noexcept;
    Run take_from_frontier(std::uint32_t pages) noexcept;
    /// Returns a run of at least `pages`; 0 when there is none within so many classes.
    [[nodiscard]] std::uint32_t find(const Bins& bins, std::uint32_t pages,
                                     unsigned classes) const noexcept;
    /// Counts a run that is used now, or not any more.
    void note_used(std::uint32_t pages) noexcept;
    void note_unused(std::uint32_t pages) noexcept;
    /// Returns how many pages may be warm while they are cooled: twice what was in use at once
    /// lately, and not more than `most`.
    [[nodiscard]] std::uint64_t most_resting(std::uint64_t most) const noexcept;

    // --- the lists; with the lock ---

    void insert(Bins& bins, std::uint32_t first, std::uint32_t pages) noexcept;
    void remove(Bins& bins, std::uint32_t first, std::uint32_t pages) noexcept;
    void insert_warm(std::uint32_t first, std::uint32_t pages) noexcept;
    void remove_warm(std::uint32_t first, std::uint32_t pages) noexcept;
    void remove_cold(std::uint32_t first, std::uint32_t pages) noexcept;
    /// Makes a run that has no pages a free one, joined with its neighbours.
    void insert_cold(std::uint32_t first, std::uint32_t pages, bool is_zero) noexcept;

    // --- giving pages back; without the lock ---

    /// Gives a run and its pages back. One process does so at a time; the kernel would not let two
    /// do it at once either.
    void give_back_cold(std::uint32_t first) noexcept;
    /// Takes the pages from warm runs until they have at most `limit` pages.
    void shrink_warm(std::uint64_t limit) noexcept;
    std::uint32_t take_oldest_warm(std::uint64_t limit, bool only_rested = false) noexcept;
    /// Returns whether cool was last called a pause ago, and begins a new pause if so.
    bool begin_pause() noexcept;
    /// Takes the pages from a leaving run. @pre the caller holds `cleaning`
    void clean(std::uint32_t first) noexcept;
    /// Does what a killed holder of `cleaning` has left to do.
    void finish_cleaning() noexcept;

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
    void rebuild() noexcept;

    const Segment& segment_;
    PageRunsState& state_;
    PageRecord* records_;
    const std::uint64_t first_page_;
    const std::uint64_t end_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/page_runs.ipp"
#endif
