// multiprocessing/heap/block_list.hpp
//
// The free blocks of one span, as one word for a compare-and-swap. Floor 1.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/size_classes.hpp"

namespace multiprocessing::detail {

/// A span's list of free blocks, in one word that changes by compare-and-swap:
///      0 … 10   the first free block, in units of 64 bytes from the span's beginning, plus 1;
///               0 none
///     11 … 21   how many are free
///     22 … 27   the class of the blocks, plus 1; 0: this is no span
///     28        attached: whether blocks are taken from this span, or it is in the list of those
///               that wait for it
///     29 … 63   a tag that changes with every swap: a list that was popped and pushed meanwhile
///               would otherwise look unchanged (ABA)
/// A process could take a changed list for an unchanged one only if the word came back to this very
/// value, after 2^35 changes or a multiple, just before that process swaps.
///
/// A free block's first 8 bytes say which is next: 0 the block behind it, else the next one's place
/// plus 2, or 1 at the end. So a span of zeros is a list of all its blocks.
class BlockList {
  public:
    explicit BlockList(std::uint64_t word) noexcept : word_(word) {}
    /// Returns the list of a new span, with all its blocks free. `before` is the word it replaces.
    static BlockList all(unsigned size_class, BlockList before) noexcept {
        return BlockList(1 | std::uint64_t{capacity(size_class)} << 11 |
                         std::uint64_t{size_class + 1} << 22 | attached_bit | before.next_tag());
    }
    /// Returns the word of what is no longer a span.
    [[nodiscard]] BlockList retired() const noexcept { return BlockList(next_tag()); }

    [[nodiscard]] std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] std::uint32_t first() const noexcept { return word_ & 0x7FF; }
    [[nodiscard]] std::uint32_t count() const noexcept { return word_ >> 11 & 0x7FF; }
    [[nodiscard]] bool is_of(unsigned size_class) const noexcept {
        return (word_ >> 22 & 0x3F) == size_class + 1;
    }
    [[nodiscard]] bool is_attached() const noexcept { return (word_ & attached_bit) != 0; }

    [[nodiscard]] BlockList popped(std::uint32_t next) const noexcept {
        return BlockList((word_ & kept) | next_tag() | std::uint64_t{count() - 1} << 11 | next);
    }
    [[nodiscard]] BlockList pushed(std::uint32_t place) const noexcept {
        return BlockList((word_ & kept) | next_tag() | std::uint64_t{count() + 1} << 11 |
                         (place + 1));
    }
    [[nodiscard]] BlockList with_attached(bool attached) const noexcept {
        return BlockList((word_ & (0xFFF'FFFF)) | (attached ? attached_bit : 0) | next_tag());
    }

    /// Returns how many blocks of a class a span has.
    static constexpr std::uint32_t capacity(unsigned size_class) noexcept {
        return small_sizes.capacity[size_class];
    }

  private:
    static constexpr std::uint64_t attached_bit = std::uint64_t{1} << 28;
    static constexpr std::uint64_t kept = std::uint64_t{0x3F} << 22 | attached_bit;
    static constexpr std::uint64_t one_tag = std::uint64_t{1} << 29;
    [[nodiscard]] std::uint64_t next_tag() const noexcept {
        return (word_ & ~(one_tag - 1)) + one_tag;
    }

    std::uint64_t word_;
};
static_assert(most_span_pages * page_size / block_alignment < 0x7FF && small_classes < 0x3F);

}  // namespace multiprocessing::detail
