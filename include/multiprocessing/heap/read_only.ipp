// multiprocessing/heap/read_only.ipp
//
// Which pages this process has made read-only, and how: see read_only.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/read_only.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// An object has at most so many ranges. Each of them splits the segment's mapping, of whose parts
/// a process may have some 65,000 (vm.max_map_count) before every mmap of it fails.
inline constexpr std::size_t most_page_ranges = 64;

MULTIPROCESSING_INLINE std::size_t system_page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

MULTIPROCESSING_INLINE void add_whole_pages(PageRanges& ranges, const void* block,
                                            std::size_t bytes) {
    const std::size_t mask = system_page_size() - 1;
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    const PageRange pages{reinterpret_cast<std::byte*>((begin + mask) & ~mask),
                          reinterpret_cast<std::byte*>((begin + bytes) & ~mask)};
    if (!pages.empty() && ranges.size() < most_page_ranges) ranges.push_back(pages);
}

MULTIPROCESSING_INLINE std::size_t place_behind_head(std::uintptr_t block, std::size_t head,
                                                     std::size_t bytes,
                                                     std::size_t alignment) noexcept {
    const std::size_t unit = bytes >= 4 * system_page_size() ? system_page_size() : alignment;
    return static_cast<std::size_t>(((block + head + unit - 1) / unit * unit) - block);
}

struct ReadOnlyPages {
    Offset object;
    PageRanges ranges;
    std::size_t views = 0;

    /// @returns whether all pages have the protection now
    bool protect(int protection) const noexcept {
        bool done = true;
        for (const PageRange& range : ranges) {
            done = ::mprotect(range.begin, range.size(), protection) == 0 && done;
        }
        return done;
    }
};

/// All objects whose pages this process has made read-only, with the number of views of each.
class ReadOnlyRegistry {
  public:
    /// Adds a view. @param ranges the object's pages, for the first one @throws std::bad_alloc
    const ReadOnlyPages* add(Offset object, PageRanges&& ranges) {
        const std::lock_guard guard(mutex_);
        const auto [place, is_new] = objects_.try_emplace(object, ReadOnlyPages{object, {}});
        ReadOnlyPages& pages = place->second;
        if (is_new) {
            if (range_count_ + ranges.size() > most_ranges) ranges.clear();
            pages.ranges = std::move(ranges);
            range_count_ += pages.ranges.size();
            // A failure is ignored (ENOMEM: no further parts of a mapping). The pages then stay
            // writable, which no program notices that keeps to the rules.
            (void)pages.protect(PROT_READ);
        }
        ++pages.views;
        return &pages;
    }

    /// Takes a view back; with the last one the pages can be written again.
    /// @returns false when they cannot: the memory must not be used for anything else
    bool remove(const ReadOnlyPages& pages) noexcept {
        const std::lock_guard guard(mutex_);
        const auto place = objects_.find(pages.object);
        if (--place->second.views != 0) return true;
        const bool is_writable = pages.protect(PROT_READ | PROT_WRITE);
        range_count_ -= pages.ranges.size();
        objects_.erase(place);
        return is_writable;
    }

    /// Returns this process's registry.
    static ReadOnlyRegistry& instance() {
        // Leaked: handles in static objects need it until the very end.
        static ReadOnlyRegistry* const registry = [] {
            auto* const made = new ReadOnlyRegistry;
            // A fork waits for the thread that changes the map, so that the child has a whole one.
            // In the child the mutex is free by itself, see LocalMutex.
            ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                             nullptr);
            return made;
        }();
        return *registry;
    }

  private:
    static constexpr std::size_t most_ranges =
        4096;  // in all, of 65,000 parts that a process may have

    LocalMutex mutex_;
    std::map<Offset, ReadOnlyPages> objects_;
    std::size_t range_count_ = 0;
};

/// What a view has of an object without whole pages.
inline const ReadOnlyPages no_pages{};

MULTIPROCESSING_INLINE void ReadOnlyView::look_at(const SharedObject& object,
                                                  PageRanges ranges) const {
    const ReadOnlyPages* const seen =
        ranges.empty()
            ? &no_pages
            : ReadOnlyRegistry::instance().add(heap().offset_of(&object), std::move(ranges));
    const ReadOnlyPages* none = nullptr;
    // release: pairs with has_looked. Another thread may have looked meanwhile.
    if (!pages_.compare_exchange_strong(none, seen, std::memory_order_release)) remove(seen);
}

MULTIPROCESSING_INLINE void ReadOnlyView::remove(const ReadOnlyPages* pages) noexcept {
    if (pages == nullptr || pages == &no_pages) return;
    SharedObject& object = *heap().at<SharedObject>(pages->object);
    // mprotect has failed, in a process with too many mappings: the object stays for good.
    if (!ReadOnlyRegistry::instance().remove(*pages)) add_reference(object);
}

}  // namespace multiprocessing::detail
