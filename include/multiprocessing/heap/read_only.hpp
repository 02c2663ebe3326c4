// multiprocessing/heap/read_only.hpp
//
// Pages of objects that nobody changes any more. A process that looks at such an object makes them
// read-only for itself, so that a stray write ends the process there and then, instead of changing
// what others read. Floor 1. Start at ReadOnlyView.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "multiprocessing/heap/object.hpp"

namespace multiprocessing::detail {

/// Whole pages, in this process.
struct PageRange {
    std::byte* begin;
    std::byte* end;

    [[nodiscard]] bool empty() const noexcept { return begin >= end; }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(end - begin);
    }
};
using PageRanges = std::vector<PageRange>;

/// Returns the size of the system's pages, in bytes.
std::size_t system_page_size() noexcept;

/// Adds the pages that lie wholly in a block of `bytes` bytes: others have a share in the rest.
void add_whole_pages(PageRanges& ranges, const void* block, std::size_t bytes);

/// Returns where an array begins in a block of its own, behind a head of `head` bytes: right behind
/// it, or at the next page when the array is large, so that it shares none of its pages.
/// @param block where the block begins: an address, or its residue by the size of a page
std::size_t place_behind_head(std::uintptr_t block, std::size_t head, std::size_t bytes,
                              std::size_t alignment) noexcept;

/// The pages of one object, as this process has them protected.
struct ReadOnlyPages;

/// What a handle on a frozen object has, once it has looked at the object: the pages stay read-only
/// until the last of the views in this process goes. It must go before the handle does: afterwards
/// the memory may be another object's.
///
/// @par Processes A forked child has copies of its parent's views, and the same pages read-only. It
/// may never destroy those copies. That does no harm: what it has inherited stays in limbo as long
/// as it lives.
class ReadOnlyView {
  public:
    ReadOnlyView() = default;
    /// A copy has not looked yet.
    ReadOnlyView(const ReadOnlyView&) noexcept {}
    ReadOnlyView(ReadOnlyView&& other) noexcept
        : pages_(other.pages_.exchange(nullptr, std::memory_order_relaxed)) {}
    ReadOnlyView& operator=(const ReadOnlyView&) = delete;
    ~ReadOnlyView() { reset(); }

    /// Returns whether this handle has looked.
    [[nodiscard]] bool has_looked() const noexcept {
        // acquire: pairs with the release in look_at, so that what was frozen is seen.
        return pages_.load(std::memory_order_acquire) != nullptr;
    }

    /// Makes the object's pages read-only. @param collect returns them
    template <class Collect>
    void look(const SharedObject& object, Collect collect) const {
        look_at(object, collect());
    }

    /// Takes the look back.
    void reset() noexcept {
        const ReadOnlyPages* const pages = pages_.exchange(nullptr, std::memory_order_acquire);
        if (pages != nullptr) remove(pages);
    }

  private:
    void look_at(const SharedObject& object, PageRanges ranges) const;
    static void remove(const ReadOnlyPages* pages) noexcept;

    mutable std::atomic<const ReadOnlyPages*> pages_{nullptr};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/read_only.ipp"
#endif
