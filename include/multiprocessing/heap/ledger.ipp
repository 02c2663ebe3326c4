// multiprocessing/heap/ledger.ipp
//
// The ledger itself, with its tables and entries: see ledger.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/ledger.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/local_mutex.hpp"

namespace multiprocessing::detail {

/// A table of pages, in this process's own memory. Many threads read it while one makes it larger.
/// The old table is kept: it is half as large, and another thread may be reading it.
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

    /// Returns where the page of a region is, or belongs. @pre the table is not full
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
            // It does without: noting handles must not depend on it.
        }
    }

    /// Notes a counted handle. @throws std::bad_alloc
    LedgerPlace note(Offset object) {
        if (has_bit(object)) {
            const LedgerBit place(object);
            LedgerPage* const page = page_of(place.region);
            last_page = {LastPage::key_of(place.region), page};
            if (place.set_in(*page)) return LedgerPlace::bit;
        }
        return note_in_entry(object);
    }

    /// Makes what it takes to note a handle, which is not counted yet. @throws std::bad_alloc
    void prepare(Offset object) {
        if (has_bit(object)) {
            const LedgerBit place(object);
            LedgerPage* const page = page_of(place.region);
            last_page = {LastPage::key_of(place.region), page};
        }
        if (!has_free_entry()) add_entries();
    }

    /// Notes a second handle, and what has no bit. @throws std::bad_alloc
    LedgerPlace note_in_entry(Offset object) {
        const std::uint32_t entry = take_entry();
        // release: the process that buries this one finds the object made.
        entry_at(entry).store(object, std::memory_order_release);
        if (!has_free_entry()) add_entries_ahead();
        return static_cast<LedgerPlace>(entry + static_cast<std::uint32_t>(first_entry));
    }

    /// Crosses a handle out.
    void erase(LedgerPlace place, Offset object) noexcept {
        if (place == LedgerPlace::bit) {
            const LedgerBit at(object);
            LedgerPage* const page = table(regions_).find(at.region).load();
            at.clear_in(*page);
        } else {
            give_entry(static_cast<std::uint32_t>(place) - static_cast<std::uint32_t>(first_entry));
        }
    }

  private:
    static constexpr auto first_entry = LedgerPlace::first_entry;
    static constexpr std::size_t first_capacity = 16;

    /// A block that begins at a page is most likely a large one. It would need a page of the ledger
    /// for itself.
    static bool has_bit(Offset object) noexcept {
        return object % page_size != 0 || heap().allocator().is_small(object);
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

    /// Makes a page that the process that buries this one will find.
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

    // --- entries ---
    //
    // The free ones are a list, whose links are odd: 2 × (the next one's number + 1) + 1. Its head
    // has a tag in the upper half that changes with every swap (ABA). Only threads of this process
    // take part, each for a few instructions.

    [[nodiscard]] std::atomic<std::uint64_t>& entry_at(std::uint32_t entry) const noexcept {
        const std::uint32_t page = entry / LedgerPage::word_count;
        return table(entry_pages_)[page]
            .load(std::memory_order_acquire)
            ->words[entry % LedgerPage::word_count];
    }

    [[nodiscard]] bool has_free_entry() const noexcept {
        return static_cast<std::uint32_t>(free_entries_.load(std::memory_order_relaxed)) != 0;
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

    /// Makes entries for the next handle, which will be counted before it is noted.
    [[gnu::noinline]] void add_entries_ahead() noexcept {
        try {
            add_entries();
        } catch (...) {  // the next handle will try again
        }
    }

    [[gnu::noinline]] void add_entries() {
        constexpr std::uint32_t count = LedgerPage::word_count;
        std::uint32_t first = 0;
        {
            const std::lock_guard guard(mutex_);
            if (has_free_entry()) return;
            if (entry_page_count_ == table(entry_pages_).capacity()) grow(entry_pages_, false);
            if (entry_page_count_ > (UINT32_MAX - 4) / count - 1) throw std::bad_alloc();
            LedgerPage& page = add_page(LedgerPage::entries);
            table(entry_pages_)[entry_page_count_].store(&page, std::memory_order_release);
            first = entry_page_count_++ * count;
        }
        for (std::uint32_t entry = first + count; entry-- > first;) give_entry(entry);
    }

    [[maybe_unused]] const Ledger* const inherited_;  // so that no leak checker thinks it lost
    ProcessRecord& record_;
    LocalMutex mutex_;
    std::atomic<LedgerTable*> regions_{nullptr};
    std::atomic<LedgerTable*> entry_pages_{nullptr};
    std::atomic<std::uint64_t> free_entries_{0};  // the first one's number + 1 | tag << 32
    std::size_t region_count_ = 0;
    std::uint32_t entry_page_count_ = 0;
};

/// A ledger, and the fork depth at which it was begun: a forked child begins another one.
struct OwnLedger {
    explicit OwnLedger(const Ledger* inherited) : ledger(inherited), depth(fork_depth()) {}
    Ledger ledger;
    const std::uint32_t depth;
};
// Never destroyed: handles in static objects are dropped after main.
inline constinit std::atomic<OwnLedger*> own_ledger{nullptr};

/// Begins this process's ledger, and returns it.
/// @param known what own_ledger was @throws std::bad_alloc
[[gnu::noinline]] MULTIPROCESSING_INLINE Ledger& make_ledger(OwnLedger* known) {
    const Ledger* const inherited = known != nullptr ? &known->ledger : nullptr;
    auto fresh = std::make_unique<OwnLedger>(inherited);
    // Another thread may have been faster.
    if (!own_ledger.compare_exchange_strong(known, fresh.get())) return known->ledger;
    Ledger& ledger = fresh.release()->ledger;
    ledger.keep_spares();
    return ledger;
}

/// Returns this process's ledger. @throws std::bad_alloc
MULTIPROCESSING_INLINE Ledger& ledger_of_this_process() {
    OwnLedger* const known = own_ledger.load(std::memory_order_acquire);
    const bool is_own = known != nullptr && known->depth == fork_depth();
    return is_own ? known->ledger : make_ledger(known);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void begin_ledger() noexcept {
    try {
        (void)ledger_of_this_process();
    } catch (...) {  // note_handle will say so
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE LedgerPlace note_handle_elsewhere(Offset place) noexcept {
    try {
        return ledger_of_this_process().note(place);
    } catch (...) {
        return LedgerPlace::nowhere;
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE LedgerPlace
take_reference_elsewhere(SharedObject& object) noexcept {
    try {
        ledger_of_this_process().prepare(heap().offset_of(&object));
    } catch (...) {  // note_handle will say so
    }
    add_reference(object);
    return note_handle(object);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE LedgerPlace note_second_handle(Offset place) noexcept {
    try {
        return own_ledger.load(std::memory_order_acquire)->ledger.note_in_entry(place);
    } catch (...) {
        return LedgerPlace::nowhere;
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void erase_handle_elsewhere(LedgerPlace place,
                                                                     Offset offset) noexcept {
    own_ledger.load(std::memory_order_acquire)->ledger.erase(place, offset);
}

}  // namespace multiprocessing::detail
