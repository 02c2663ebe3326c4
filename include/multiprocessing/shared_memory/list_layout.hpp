// multiprocessing/shared_memory/list_layout.hpp
//
// The bytes of a ShareableList, which are those of CPython 3.9 and newer: where its parts lie in a
// block, and how items are written and read. Floor 4. Start at ListLayout.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "multiprocessing/shared_memory/item.hpp"

namespace multiprocessing::detail {

using shared_memory::ShareableItem;

/// How the value that the format gives becomes the item; CPython calls it the transform. With
/// `none` the item is None, whatever its format and its bytes are.
enum class ItemCode : std::int8_t { as_it_is = 0, text = 1, bytes = 2, none = 3 };

/// The format of an item, as Python's struct module writes it, padded with zeros to 8 characters.
class ItemFormat {
  public:
    explicit constexpr ItemFormat(std::uint64_t word) noexcept : word_(word) {}
    explicit constexpr ItemFormat(std::string_view text) noexcept {
        std::array<char, 8> padded{};
        for (std::size_t i = 0; i < text.size() && i < padded.size(); ++i) padded[i] = text[i];
        word_ = std::bit_cast<std::uint64_t>(padded);
    }
    /// Returns the format of text or bytes in a place of `size` bytes.
    static ItemFormat of_bytes(std::size_t size);
    /// The most bytes of an exact format, which has 8 characters: "999999s ".
    static constexpr std::size_t longest_exact = 999'999;
    /// Returns the format of exactly `size` bytes, zeros at their end included. Python's struct
    /// skips the space; CPython cuts off the zeros, and takes the format of a whole place when it
    /// assigns there. @pre size is at most longest_exact
    static ItemFormat of_exact_bytes(std::size_t size);

    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] std::string text() const;
    /// Returns the number of bytes in a format of text or bytes, and nothing for another format.
    [[nodiscard]] std::optional<std::size_t> byte_count() const;
    /// Returns whether a format of text or bytes is one of exactly so many.
    [[nodiscard]] bool is_exact() const noexcept;
    friend constexpr bool operator==(ItemFormat, ItemFormat) noexcept = default;

  private:
    std::uint64_t word_;
};

class EncodedItem;

/// Where the parts of a list lie in its block. All numbers are in the byte order of the machine.
///
///     from            bytes           what
///     0               8               the number of items, N
///     8               8 * (N + 1)     where the place of each item begins in the data, and the end
///                                     of the last; the first is 0
///     8 * (N + 2)     sum of places   the data: the items, each in a multiple of 8 bytes
///     end of data     8 * N           the formats
///     end of formats  N               the codes
///
/// This process checks its copy of the offsets once. So nothing that another program writes to the
/// block later leads outside of it.
class ListLayout {
  public:
    ListLayout() = default;

    /// Plans a new list. @throws ValueError when an item is too long
    explicit ListLayout(std::span<const ShareableItem> items);

    /// Reads the layout of the list that is in `block`. @throws ValueError when there is none
    explicit ListLayout(std::span<std::byte> block);

    /// Returns the number of items.
    [[nodiscard]] std::size_t count() const noexcept {
        return offsets_.empty() ? 0 : offsets_.size() - 1;  // empty: no list
    }
    /// Returns the size of the whole list in bytes.
    [[nodiscard]] std::size_t size() const noexcept { return codes() + count(); }
    /// Returns the size of an item's place in bytes.
    [[nodiscard]] std::size_t place(std::size_t item) const noexcept {
        return offsets_[item + 1] - offsets_[item];
    }

    /// Writes a new list to `block`, which is all zero.
    void write(std::span<std::byte> block, std::span<const ShareableItem> items) const;

    /// Replaces an item. @throws ValueError when the new one is too long for its place
    void replace(std::span<std::byte> block, std::size_t item, const ShareableItem& value) const;

    /// Reads an item. @throws ValueError when its bytes make no item
    [[nodiscard]] ShareableItem read(std::span<std::byte> block, std::size_t item) const;

    /// Returns the format of an item.
    [[nodiscard]] ItemFormat format(std::span<std::byte> block, std::size_t item) const noexcept;

  private:
    // Where the data, the formats and the codes begin in the block.
    [[nodiscard]] std::size_t data(std::size_t item) const noexcept {
        return 8 * (count() + 2) + offsets_[item];
    }
    [[nodiscard]] std::size_t formats() const noexcept { return data(count()); }
    [[nodiscard]] std::size_t codes() const noexcept { return formats() + 8 * count(); }

    [[nodiscard]] std::atomic_ref<std::int8_t> code_at(std::span<std::byte> block,
                                                       std::size_t item) const;
    [[nodiscard]] ItemCode code(std::span<std::byte> block, std::size_t item) const noexcept;

    void read_offsets(std::span<std::byte> block, std::size_t count);

    void write_parts(std::span<std::byte> block, std::size_t item, const EncodedItem& next) const;

    /// Changes an item to one of the same type, if no more than one word differs.
    /// @returns whether it has
    [[nodiscard]] bool replace_one_word(std::span<std::byte> block, std::size_t item,
                                        const EncodedItem& next) const;

    /// @param is_exact whether zeros at the end belong to the item
    [[nodiscard]] ShareableItem read_long(std::span<std::byte> block, std::size_t item,
                                          ItemCode how, std::size_t size, bool is_exact) const;

    std::vector<std::size_t> offsets_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_memory/list_layout.ipp"
#endif
