// multiprocessing/heap/ledger.hpp
//
// This process's ledger: of which objects it has counted handles, so that these can be dropped for
// it when it ends without destructors. Floor 1. Start at note_handle; burial.hpp has the pages.
//
// A handle is noted once it is counted, and crossed out before its count is dropped. So a process
// that is killed between the two steps leaves a count too many, and never one too few.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// Where a handle is noted.
enum class LedgerPlace : std::uint32_t {
    nowhere =
        0,    // there was no memory: a process that leaves without destructors leaves it counted
    bit = 1,  // the object's bit in the page for its region
    first_entry = 2,       // … and so on: the entries, one after the other
    borrowed = UINT32_MAX  // it does not count: another handle lives at least as long
};

/// A table of pages in this process's memory that many threads read while one makes it larger. The
/// old one is kept: it is half as large, and somebody may be reading it.
class LedgerTable {
  public:
    explicit LedgerTable(std::size_t capacity)
        : capacity_(capacity), pages_(std::make_unique<std::atomic<LedgerPage*>[]>(capacity)) {}

    /// Keeps the table that this one takes the place of.
    void keep(LedgerTable& before) noexcept { before_.reset(&before); }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::atomic<LedgerPage*>& operator[](std::size_t index) const noexcept {
        return pages_[index];
    }

    /// Returns where the page of a region is, or is to go. @pre the table is not full
    [[nodiscard]] std::atomic<LedgerPage*>& find(std::uint32_t region) const noexcept {
        for (std::size_t at = region * std::size_t{0x9E37'79B1};; ++at) {
            std::atomic<LedgerPage*>& place = pages_[at & (capacity_ - 1)];
            const LedgerPage* const page = place.load(std::memory_order_acquire);
            if (page == nullptr || page->region == region) return place;
        }
    }

  private:
    std::unique_ptr<LedgerTable> before_;
    std::size_t capacity_;
    std::unique_ptr<std::atomic<LedgerPage*>[]> pages_;
};

/// The page in which this thread noted a handle last: most come and go near each other. A page of
/// a living process is never taken away, so it is good as long as the process is the same.
struct LastPage {
    std::uint64_t key;  // see key_of
    LedgerPage* page;

    /// The region, and which process of those that the first one's forks lead to.
    static std::uint64_t key_of(std::uint32_t region) noexcept {
        return std::uint64_t{fork_depth()} << 32 | region;
    }
};
inline constinit thread_local LastPage last_page{UINT64_MAX, nullptr};

/// The ledger, as the process that it belongs to keeps it.
class Ledger {
  public:
    /// @throws std::bad_alloc
    explicit Ledger(const Ledger* inherited)
        : inherited_(inherited), record_(heap().family()[self()]) {
        auto regions = std::make_unique<LedgerTable>(first_capacity);
        entry_pages_.store(new LedgerTable(first_capacity));
        regions_.store(regions.release());
    }
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;
    ~Ledger() {
        delete regions_.load();
        delete entry_pages_.load();
    }

    /// Lets this process keep small blocks that it frees, if there is memory for that. Once.
    void keep_spares() noexcept {
        const std::lock_guard guard(mutex_);
        try {
            SparesPage& page = SparesPage::make();
            link(page);
            // release: pairs with take_spare in other threads.
            local_process.spares.store(&page.spares, std::memory_order_release);
        } catch (const std::bad_alloc&) {
            // It does without: what is noted in the ledger must not depend on it.
        }
    }

    /// Notes a counted handle. @throws std::bad_alloc
    LedgerPlace note(Offset object) {
        // What begins at a page is large, most likely, and would have a region for itself.
        if (object % page_size != 0 || heap().allocator().is_small(object)) {
            const BitPlace place(object);
            LedgerPage* const page = page_of(place.region);
            last_page = {LastPage::key_of(place.region), page};
            if (set_bit(page->words[place.word], place.bit)) return LedgerPlace::bit;
        }
        return note_in_entry(object);
    }

    /// Notes a second handle, and what has no bit. @throws std::bad_alloc
    LedgerPlace note_in_entry(Offset object) {
        const std::uint32_t entry = take_entry();
        // release: who buries this process finds the object made.
        entry_at(entry).store(object, std::memory_order_release);
        return static_cast<LedgerPlace>(entry + static_cast<std::uint32_t>(first_entry));
    }

    /// Whether the object's handles are noted where the last one was.
    static bool is_at_last_page(Offset object) noexcept {
        return last_page.key == LastPage::key_of(BitPlace(object).region);
    }
    /// Notes a handle there. @returns false when it is not the first one
    static bool note_at_last_page(Offset object) noexcept {
        const BitPlace place(object);
        return set_bit(last_page.page->words[place.word], place.bit);
    }
    /// Crosses such a handle out.
    static void erase_at_last_page(Offset object) noexcept {
        const BitPlace place(object);
        clear_bit(last_page.page->words[place.word], place.bit);
    }

    /// Crosses a handle out.
    void erase(LedgerPlace place, Offset object) noexcept {
        if (place == LedgerPlace::bit) {
            const BitPlace at(object);
            LedgerPage* const page = table(regions_).find(at.region).load();
            clear_bit(page->words[at.word], at.bit);
        } else {
            give_entry(static_cast<std::uint32_t>(place) - static_cast<std::uint32_t>(first_entry));
        }
    }

  private:
    static constexpr auto first_entry = LedgerPlace::first_entry;
    static constexpr std::size_t first_capacity = 16;

    struct BitPlace {
        explicit BitPlace(Offset object) noexcept
            : region(static_cast<std::uint32_t>(object / LedgerPage::region_size)),
              word(static_cast<std::uint32_t>(object / (64 * block_alignment) %
                                              LedgerPage::region_words)),
              bit(std::uint64_t{1} << object / block_alignment % 64) {}
        std::uint32_t region;
        std::uint32_t word;
        std::uint64_t bit;
    };

    // Only this process changes its words, so one with a single thread needs no locked instruction,
    // which would be half of what a handle costs. The C library knows of the second thread before
    // there is one.

    /// @returns false when it was set
    static bool set_bit(std::atomic<std::uint64_t>& word, std::uint64_t bit) noexcept {
        if (!__libc_single_threaded) {
            // release: who buries this process finds the object made.
            return (word.fetch_or(bit, std::memory_order_release) & bit) == 0;
        }
        const std::uint64_t before = word.load(std::memory_order_relaxed);
        word.store(before | bit, std::memory_order_release);
        return (before & bit) == 0;
    }
    static void clear_bit(std::atomic<std::uint64_t>& word, std::uint64_t bit) noexcept {
        if (!__libc_single_threaded) {
            word.fetch_and(~bit, std::memory_order_release);
        } else {
            word.store(word.load(std::memory_order_relaxed) & ~bit, std::memory_order_release);
        }
    }

    static LedgerTable& table(const std::atomic<LedgerTable*>& place) noexcept {
        return *place.load(std::memory_order_acquire);
    }

    LedgerPage* page_of(std::uint32_t region) {
        LedgerPage* const known = table(regions_).find(region).load(std::memory_order_acquire);
        return known != nullptr ? known : add_region(region);
    }

    [[gnu::noinline]] LedgerPage* add_region(std::uint32_t region) {
        const std::lock_guard guard(mutex_);
        LedgerTable& regions = table(regions_);
        if (LedgerPage* const known = regions.find(region).load()) return known;
        if (2 * (region_count_ + 1) > regions.capacity()) grow(regions_, true);
        LedgerPage& page = add_page(region);
        table(regions_).find(region).store(&page, std::memory_order_release);
        ++region_count_;
        return &page;
    }

    /// Makes a page that whoever buries this process will find.
    LedgerPage& add_page(std::uint32_t region) {
        LedgerPage& page = LedgerPage::make(region);
        link(page);
        return page;
    }
    void link(auto& page) noexcept {
        page.next = record_.ledger.load(std::memory_order_relaxed);
        record_.ledger.store(heap().offset_of(&page), std::memory_order_release);
    }

    /// Doubles a table. With the mutex.
    static void grow(std::atomic<LedgerTable*>& place, bool by_region) {
        LedgerTable& old = table(place);
        auto larger = std::make_unique<LedgerTable>(2 * old.capacity());
        for (std::size_t i = 0; i < old.capacity(); ++i) {
            LedgerPage* const page = old[i].load(std::memory_order_relaxed);
            if (page == nullptr) continue;
            (by_region ? larger->find(page->region) : (*larger)[i]).store(page);
        }
        larger->keep(old);
        place.store(larger.release(), std::memory_order_release);
    }

    // --- entries: the free ones are a list, whose links are odd: 2 × (the next one's number + 1)
    // + 1. Its head carries a tag in the upper half that changes with every swap (ABA): only
    // threads of this process take part, each for some instructions.

    [[nodiscard]] std::atomic<std::uint64_t>& entry_at(std::uint32_t entry) const noexcept {
        const std::uint32_t page = entry / LedgerPage::word_count;
        return table(entry_pages_)[page]
            .load(std::memory_order_acquire)
            ->words[entry % LedgerPage::word_count];
    }

    std::uint32_t take_entry() {
        for (;;) {
            std::uint64_t head = free_entries_.load(std::memory_order_acquire);
            while (static_cast<std::uint32_t>(head) != 0) {
                const std::uint32_t entry = static_cast<std::uint32_t>(head) - 1;
                const std::uint64_t next =
                    entry_at(entry).load(std::memory_order_relaxed) >> 1 & UINT32_MAX;
                if (swap_free(head, next_tag(head) | next)) return entry;
            }
            add_entries();
        }
    }

    void give_entry(std::uint32_t entry) noexcept {
        std::uint64_t head = free_entries_.load(std::memory_order_relaxed);
        do {
            const std::uint64_t link = (head & UINT32_MAX) << 1 | 1;
            entry_at(entry).store(link, std::memory_order_release);
        } while (!swap_free(head, next_tag(head) | (entry + 1)));
    }
    /// @param head what it is taken to be; updated when that is wrong
    bool swap_free(std::uint64_t& head, std::uint64_t next) noexcept {
        if (!__libc_single_threaded) {
            return free_entries_.compare_exchange_weak(head, next, std::memory_order_acq_rel,
                                                       std::memory_order_acquire);
        }
        free_entries_.store(next, std::memory_order_relaxed);
        return true;
    }
    static std::uint64_t next_tag(std::uint64_t head) noexcept {
        return (head & ~std::uint64_t{UINT32_MAX}) + (std::uint64_t{1} << 32);
    }

    [[gnu::noinline]] void add_entries() {
        constexpr std::uint32_t count = LedgerPage::word_count;
        std::uint32_t first = 0;
        {
            const std::lock_guard guard(mutex_);
            if (static_cast<std::uint32_t>(free_entries_.load()) != 0) return;
            if (entry_page_count_ == table(entry_pages_).capacity()) grow(entry_pages_, false);
            if (entry_page_count_ > (UINT32_MAX - 4) / count - 1) throw std::bad_alloc();
            LedgerPage& page = add_page(LedgerPage::entries);
            table(entry_pages_)[entry_page_count_].store(&page, std::memory_order_release);
            first = entry_page_count_++ * count;
        }
        for (std::uint32_t entry = first + count; entry-- > first;) give_entry(entry);
    }

    const Ledger* const inherited_;  // so that no leak checker thinks it lost
    ProcessRecord& record_;
    LocalMutex mutex_;
    std::atomic<LedgerTable*> regions_{nullptr};
    std::atomic<LedgerTable*> entry_pages_{nullptr};
    std::atomic<std::uint64_t> free_entries_{0};  // the first one's number + 1 | tag << 32
    std::size_t region_count_ = 0;
    std::uint32_t entry_page_count_ = 0;
};

/// A ledger, and at which fork depth it was begun: a forked child begins another one.
struct OwnLedger {
    explicit OwnLedger(const Ledger* inherited) : ledger(inherited), depth(fork_depth()) {}
    Ledger ledger;
    const std::uint32_t depth;
};
// Never destroyed: handles in static objects are dropped after main.
inline constinit std::atomic<OwnLedger*> own_ledger{nullptr};

/// Returns this process's ledger. @throws std::bad_alloc
[[gnu::noinline]] inline Ledger& begin_ledger(OwnLedger* known) {
    const Ledger* const inherited = known != nullptr ? &known->ledger : nullptr;
    auto fresh = std::make_unique<OwnLedger>(inherited);
    // Another thread may have been faster.
    if (!own_ledger.compare_exchange_strong(known, fresh.get())) return known->ledger;
    Ledger& ledger = fresh.release()->ledger;
    ledger.keep_spares();
    return ledger;
}

[[gnu::noinline]] inline LedgerPlace note_handle_elsewhere(Offset place) noexcept {
    try {
        OwnLedger* const known = own_ledger.load(std::memory_order_acquire);
        const bool is_own = known != nullptr && known->depth == fork_depth();
        return (is_own ? known->ledger : begin_ledger(known)).note(place);
    } catch (...) {
        return LedgerPlace::nowhere;
    }
}

[[gnu::noinline]] inline LedgerPlace note_second_handle(Offset place) noexcept {
    try {
        return own_ledger.load(std::memory_order_acquire)->ledger.note_in_entry(place);
    } catch (...) {
        return LedgerPlace::nowhere;
    }
}

/// Notes a counted handle of this process.
/// @returns where; nowhere when there is no memory left to note it
inline LedgerPlace note_handle(const SharedObject& object) noexcept {
    const Offset place = heap().offset_of(&object);
    if (!Ledger::is_at_last_page(place)) return note_handle_elsewhere(place);
    return Ledger::note_at_last_page(place) ? LedgerPlace::bit : note_second_handle(place);
}

[[gnu::noinline]] inline void erase_handle_elsewhere(LedgerPlace place, Offset offset) noexcept {
    own_ledger.load(std::memory_order_acquire)->ledger.erase(place, offset);
}

/// Crosses a handle out that this process has noted.
inline void erase_handle(LedgerPlace place, const SharedObject& object) noexcept {
    if (place == LedgerPlace::nowhere) return;
    const Offset offset = heap().offset_of(&object);
    if (place != LedgerPlace::bit || !Ledger::is_at_last_page(offset)) {
        return erase_handle_elsewhere(place, offset);
    }
    Ledger::erase_at_last_page(offset);
}

}  // namespace multiprocessing::detail
