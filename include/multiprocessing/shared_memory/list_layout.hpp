// multiprocessing/shared_memory/list_layout.hpp
//
// The bytes of a ShareableList, which are those of CPython 3.9 and newer: where its parts lie in a
// block, how items are written to it and read. Floor 4. Start at ListLayout.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/shared_memory/item.hpp"

namespace multiprocessing::detail {

using shared_memory::ShareableItem;

/// What CPython calls the transform of an item: how the value that the format gives becomes the
/// item. With `none` the item is None, whatever its format and its bytes.
enum class ItemCode : std::int8_t { as_it_is = 0, text = 1, bytes = 2, none = 3 };

/// The format of an item, as Python's struct module writes it, padded with zeros to 8 characters.
class ItemFormat {
  public:
    explicit constexpr ItemFormat(std::uint64_t word) noexcept : word_(word) {}
    explicit constexpr ItemFormat(std::string_view text) noexcept {
        std::array<char, 8> padded{};
        std::copy_n(text.begin(), std::min(text.size(), padded.size()), padded.begin());
        word_ = std::bit_cast<std::uint64_t>(padded);
    }
    /// Returns the format of text or bytes in a place of `size` bytes.
    static ItemFormat of_bytes(std::size_t size) { return ItemFormat(std::to_string(size) + "s"); }

    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] std::string text() const {
        const auto padded = std::bit_cast<std::array<char, 8>>(word_);
        std::string text(padded.begin(), padded.end());
        text.erase(text.find_last_not_of('\0') + 1);
        return text;
    }
    /// Returns the number of bytes that a format of text or bytes tells; nothing for another one.
    [[nodiscard]] std::optional<std::size_t> byte_count() const {
        const std::string all = text();
        std::size_t count = 0;
        const char* const end = all.data() + all.size();
        const auto [after, error] = std::from_chars(all.data(), end, count);
        if (error != std::errc() || after + 1 != end || *after != 's') return std::nullopt;
        return count;
    }
    friend constexpr bool operator==(ItemFormat, ItemFormat) noexcept = default;

  private:
    std::uint64_t word_;
};

inline constexpr ItemFormat integer_format("q");
inline constexpr ItemFormat float_format("d");
inline constexpr ItemFormat bool_format("xxxxxxx?");
inline constexpr ItemFormat none_format("xxxxxx?x");

/// A place has a multiple of this many bytes, so that everything but the codes lies at multiples of
/// it, as the block itself does.
inline constexpr std::size_t list_alignment = 8;
/// The most that fits the 8 characters of a format: "9999992s".
inline constexpr std::size_t longest_text = 9'999'991;

/// The bytes of text or bytes; none of the other types.
inline std::span<const std::byte> long_bytes(const ItemVariant& item) {
    if (const auto* text = std::get_if<std::string>(&item)) return std::as_bytes(std::span(*text));
    if (const auto* bytes = std::get_if<std::vector<std::byte>>(&item)) return *bytes;
    return {};
}
inline bool is_long_item(const ItemVariant& item) {
    return std::holds_alternative<std::string>(item) ||
           std::holds_alternative<std::vector<std::byte>>(item);
}

/// Returns how many bytes a new list gives to an item.
/// Differs: CPython counts a string's characters, and cuts off what its bytes are more.
/// @throws ValueError when it is too long for any list
inline std::size_t place_size(const ItemVariant& item) {
    if (!is_long_item(item)) return list_alignment;
    const std::size_t size = long_bytes(item).size();
    if (size > longest_text) {
        throw ValueError("a string or bytes in a ShareableList has at most 9999991 bytes");
    }
    return list_alignment * (size / list_alignment + 1);
}

/// An item as its parts lie in the list. It refers to the item.
class EncodedItem {
  public:
    /// @param place how many bytes there are for it
    /// @throws ValueError when it is too long for them
    EncodedItem(const ItemVariant& item, std::size_t place)
        : format_(integer_format), long_bytes_(detail::long_bytes(item)) {
        if (long_bytes_.size() > place) {
            throw ValueError("bytes/str item exceeds available storage: it has " +
                             std::to_string(long_bytes_.size()) + " bytes, and its place " +
                             std::to_string(place));
        }
        if (is_long_item(item)) {
            format_ = ItemFormat::of_bytes(place);
            code_ = std::holds_alternative<std::string>(item) ? ItemCode::text : ItemCode::bytes;
        } else if (const auto* integer = std::get_if<std::int64_t>(&item)) {
            scalar_ = static_cast<std::uint64_t>(*integer);
        } else if (const auto* number = std::get_if<double>(&item)) {
            format_ = float_format;
            scalar_ = std::bit_cast<std::uint64_t>(*number);
        } else if (const auto* truth = std::get_if<bool>(&item)) {
            format_ = bool_format;
            std::array<bool, 8> bytes{};
            bytes[7] = *truth;
            scalar_ = std::bit_cast<std::uint64_t>(bytes);
        } else {
            format_ = none_format;
            code_ = ItemCode::none;
        }
    }

    [[nodiscard]] ItemFormat format() const noexcept { return format_; }
    [[nodiscard]] ItemCode code() const noexcept { return code_; }
    /// Returns 8 of its bytes; there are zeros behind the last.
    [[nodiscard]] std::uint64_t word(std::size_t number) const noexcept {
        if (long_bytes_.empty()) return number == 0 ? scalar_ : 0;
        std::uint64_t word = 0;
        const std::size_t at = number * sizeof word;
        if (at < long_bytes_.size()) {
            std::memcpy(&word, long_bytes_.data() + at,
                        std::min(sizeof word, long_bytes_.size() - at));
        }
        return word;
    }

  private:
    ItemFormat format_;
    ItemCode code_ = ItemCode::as_it_is;
    std::uint64_t scalar_ = 0;
    std::span<const std::byte> long_bytes_;
};

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
/// This process's copy of the offsets is checked once, so that nothing another program writes to
/// the block later leads outside of it.
class ListLayout {
  public:
    ListLayout() = default;

    /// Plans a new list. @throws ValueError when an item is too long
    explicit ListLayout(std::span<const ShareableItem> items) {
        offsets_.reserve(items.size() + 1);
        offsets_.push_back(0);
        for (const ShareableItem& item : items) {
            offsets_.push_back(offsets_.back() + place_size(item));
        }
    }

    /// Reads the layout of the list that is in `block`. @throws ValueError when there is none
    explicit ListLayout(std::span<std::byte> block) {
        if (block.size() < 2 * sizeof(std::uint64_t)) throw_damaged("it is too small");
        // Pairs with the release in write: a list that has its length has everything else.
        const std::uint64_t count = word(block, 0).load(std::memory_order_acquire);
        constexpr std::size_t least = 8 + 8 + 8 + 1;  // offset, place, format, code
        const std::size_t room = block.size() - 2 * sizeof(std::uint64_t);
        if (count > room / least) throw_damaged("it is too small for its number of items");
        if (count == 0 && room != 0)
            throw_damaged("it is empty, or another program still makes it");
        read_offsets(block, static_cast<std::size_t>(count));
    }

    /// Returns the number of items.
    [[nodiscard]] std::size_t count() const noexcept {
        return offsets_.empty() ? 0 : offsets_.size() - 1;  // empty: no list
    }
    /// Returns the size of the whole in bytes.
    [[nodiscard]] std::size_t size() const noexcept { return codes() + count(); }
    /// Returns the size of an item's place in bytes.
    [[nodiscard]] std::size_t place(std::size_t item) const noexcept {
        return offsets_[item + 1] - offsets_[item];
    }

    /// Writes a new list to `block`, which is all zero.
    void write(std::span<std::byte> block, std::span<const ShareableItem> items) const {
        for (std::size_t i = 0; i <= count(); ++i) {
            word(block, 8 + 8 * i).store(offsets_[i], std::memory_order_relaxed);
        }
        for (std::size_t i = 0; i < count(); ++i) {
            write_parts(block, i, EncodedItem(items[i], place(i)));
        }
        // The commit: until now whoever opens the block finds an empty list.
        word(block, 0).store(count(), std::memory_order_release);
    }

    /// Replaces an item by one that was encoded for its place.
    ///
    /// A process may be killed at any instant of this, and the list must be one that either
    /// language can read. Where one word makes the difference, storing it is the change. Else the
    /// item is None meanwhile: with that code its format and bytes do not matter.
    void replace(std::span<std::byte> block, std::size_t item, const EncodedItem& next) const {
        const bool same_type =
            format(block, item) == next.format() && code(block, item) == next.code();
        if (same_type && replace_one_word(block, item, next)) return;
        code_at(block, item).store(number_of(ItemCode::none), std::memory_order_relaxed);
        // Whoever sees what follows also sees that it does not count.
        std::atomic_thread_fence(std::memory_order_release);
        write_parts(block, item, next);
    }

    /// @throws ValueError when its bytes make no item
    [[nodiscard]] ShareableItem read(std::span<std::byte> block, std::size_t item) const {
        // Pairs with the release in write_parts.
        const ItemCode how = code(block, item);
        if (how == ItemCode::none) return std::nullopt;
        const ItemFormat what = format(block, item);
        if (const auto size = what.byte_count()) return read_long(block, item, how, *size);
        if (how == ItemCode::as_it_is) {
            const std::uint64_t bits = word(block, data(item)).load(std::memory_order_relaxed);
            const auto bytes = std::bit_cast<std::array<char, 8>>(bits);
            if (what == integer_format) return static_cast<std::int64_t>(bits);
            if (what == float_format) return std::bit_cast<double>(bits);
            if (what == bool_format) return bytes[7] != 0;
            if (what == none_format) return bytes[6] != 0;  // what Python makes of it
        }
        throw_damaged("an item has an unknown format");
    }

    [[nodiscard]] ItemFormat format(std::span<std::byte> block, std::size_t item) const noexcept {
        return ItemFormat(word(block, formats() + 8 * item).load(std::memory_order_relaxed));
    }

  private:
    [[noreturn]] static void throw_damaged(const char* why) {
        throw ValueError(std::string("the block has no ShareableList, or a damaged one: ") + why);
    }

    static std::atomic_ref<std::uint64_t> word(std::span<std::byte> block, std::size_t at) {
        return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(block.data() + at));
    }
    static constexpr std::int8_t number_of(ItemCode code) noexcept {
        return static_cast<std::int8_t>(code);
    }
    [[nodiscard]] std::atomic_ref<std::int8_t> code_at(std::span<std::byte> block,
                                                       std::size_t item) const {
        return std::atomic_ref(*reinterpret_cast<std::int8_t*>(block.data() + codes() + item));
    }
    [[nodiscard]] ItemCode code(std::span<std::byte> block, std::size_t item) const noexcept {
        return static_cast<ItemCode>(code_at(block, item).load(std::memory_order_acquire));
    }

    [[nodiscard]] std::size_t data(std::size_t item) const noexcept {
        return 8 * (count() + 2) + offsets_[item];
    }
    [[nodiscard]] std::size_t formats() const noexcept { return data(count()); }
    [[nodiscard]] std::size_t codes() const noexcept { return formats() + 8 * count(); }

    void read_offsets(std::span<std::byte> block, std::size_t count) {
        const std::size_t limit = block.size() - (8 * (count + 2) + 9 * count);
        offsets_.reserve(count + 1);
        for (std::size_t i = 0; i <= count; ++i) {
            const std::uint64_t offset = word(block, 8 + 8 * i).load(std::memory_order_relaxed);
            const bool in_order = i == 0 ? offset == 0 : offset > offsets_.back();
            if (!in_order || offset > limit || offset % list_alignment != 0) {
                throw_damaged("a place lies outside of it");
            }
            offsets_.push_back(static_cast<std::size_t>(offset));
        }
    }

    void write_parts(std::span<std::byte> block, std::size_t item, const EncodedItem& next) const {
        for (std::size_t at = 0; at < place(item); at += sizeof(std::uint64_t)) {
            word(block, data(item) + at)
                .store(next.word(at / sizeof(std::uint64_t)), std::memory_order_relaxed);
        }
        word(block, formats() + 8 * item).store(next.format().word(), std::memory_order_relaxed);
        // The commit of an item. Pairs with the acquire in code().
        code_at(block, item).store(number_of(next.code()), std::memory_order_release);
    }

    /// Changes an item of the same type where no more than one word differs. @returns whether so
    [[nodiscard]] bool replace_one_word(std::span<std::byte> block, std::size_t item,
                                        const EncodedItem& next) const {
        std::optional<std::size_t> different;
        for (std::size_t i = 0; i < place(item) / sizeof(std::uint64_t); ++i) {
            const auto known = word(block, data(item) + 8 * i).load(std::memory_order_relaxed);
            if (known == next.word(i)) continue;
            if (different) return false;
            different = i;
        }
        if (different) {
            word(block, data(item) + 8 * *different)
                .store(next.word(*different), std::memory_order_release);
        }
        return true;
    }

    [[nodiscard]] ShareableItem read_long(std::span<std::byte> block, std::size_t item,
                                          ItemCode how, std::size_t size) const {
        if (size > place(item)) throw_damaged("an item is longer than its place");
        std::string bytes(place(item), '\0');
        for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
            const auto part = word(block, data(item) + at).load(std::memory_order_relaxed);
            std::memcpy(bytes.data() + at, &part, sizeof part);
        }
        bytes.resize(size);
        if (how != ItemCode::as_it_is) bytes.erase(bytes.find_last_not_of('\0') + 1);
        if (how == ItemCode::text) return bytes;
        if (how != ItemCode::bytes && how != ItemCode::as_it_is) {
            throw_damaged("an item has an unknown code");
        }
        return std::as_bytes(std::span(bytes));
    }

    std::vector<std::size_t> offsets_;
};

}  // namespace multiprocessing::detail
