// multiprocessing/shared_memory/list_layout.ipp
//
// How the items of a ShareableList are encoded, written and read: see list_layout.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/list_layout.hpp"

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
#include <system_error>
#include <variant>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/shared_memory/item.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE ItemFormat ItemFormat::of_bytes(std::size_t size) {
    return ItemFormat(std::to_string(size) + "s");
}

MULTIPROCESSING_INLINE ItemFormat ItemFormat::of_exact_bytes(std::size_t size) {
    return ItemFormat(std::to_string(size) + "s ");
}

MULTIPROCESSING_INLINE std::string ItemFormat::text() const {
    const auto padded = std::bit_cast<std::array<char, 8>>(word_);
    std::string text(padded.begin(), padded.end());
    text.erase(text.find_last_not_of('\0') + 1);
    return text;
}

MULTIPROCESSING_INLINE std::optional<std::size_t> ItemFormat::byte_count() const {
    std::string all = text();
    if (is_exact()) all.pop_back();
    std::size_t count = 0;
    const char* const end = all.data() + all.size();
    const auto [after, error] = std::from_chars(all.data(), end, count);
    if (error != std::errc() || after + 1 != end || *after != 's') return std::nullopt;
    return count;
}

MULTIPROCESSING_INLINE bool ItemFormat::is_exact() const noexcept {
    const auto padded = std::bit_cast<std::array<char, 8>>(word_);
    const auto end = std::find(padded.begin(), padded.end(), '\0');
    return end != padded.begin() && end[-1] == ' ';
}

inline constexpr ItemFormat integer_format("q");
inline constexpr ItemFormat float_format("d");
inline constexpr ItemFormat bool_format("xxxxxxx?");
inline constexpr ItemFormat none_format("xxxxxx?x");

/// A place has a multiple of this many bytes. So everything but the codes lies at a multiple of it,
/// as the block itself does.
inline constexpr std::size_t list_alignment = 8;
/// The most that fits the 8 characters of a format: "9999992s".
inline constexpr std::size_t longest_text = 9'999'991;

/// Returns the bytes of text or bytes, and none for an item of another type.
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
/// Differs: CPython counts the characters of a string, and cuts off the bytes that do not fit.
/// @throws ValueError when it is too long for any list
inline std::size_t place_size(const ItemVariant& item) {
    if (!is_long_item(item)) return list_alignment;
    const std::size_t size = long_bytes(item).size();
    if (size > longest_text) {
        throw ValueError("a string or bytes in a ShareableList has at most 9999991 bytes");
    }
    return list_alignment * (size / list_alignment + 1);
}

/// An item in the form in which its parts lie in the list. It refers to the item.
class EncodedItem {
  public:
    /// Encodes an item. @param place how many bytes there are for it
    /// @throws ValueError when the item is too long for them
    EncodedItem(const ItemVariant& item, std::size_t place)
        : format_(integer_format), long_bytes_(detail::long_bytes(item)) {
        if (long_bytes_.size() > place) {
            throw ValueError("bytes/str item exceeds available storage: it has " +
                             std::to_string(long_bytes_.size()) + " bytes, and its place " +
                             std::to_string(place));
        }
        if (is_long_item(item)) {
            const bool is_exact = !long_bytes_.empty() && long_bytes_.back() == std::byte{0} &&
                                  long_bytes_.size() <= ItemFormat::longest_exact;
            format_ = is_exact ? ItemFormat::of_exact_bytes(long_bytes_.size())
                               : ItemFormat::of_bytes(place);
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
    /// Returns 8 of the item's bytes. Behind the last byte there are zeros.
    [[nodiscard]] std::uint64_t word(std::size_t number) const noexcept {
        if (long_bytes_.empty()) return number == 0 ? scalar_ : 0;
        std::uint64_t word = 0;
        const std::size_t at = number * sizeof word;
        if (at < long_bytes_.size()) {
            std::memcpy(&word, long_bytes_.data() + at,
                        (std::min)(sizeof word, long_bytes_.size() - at));
        }
        return word;
    }

  private:
    ItemFormat format_;
    ItemCode code_ = ItemCode::as_it_is;
    std::uint64_t scalar_ = 0;
    std::span<const std::byte> long_bytes_;
};

[[noreturn]] inline void throw_damaged_list(const char* why) {
    throw ValueError(std::string("the block has no ShareableList, or a damaged one: ") + why);
}

/// Returns the word of the block at the byte `at`.
inline std::atomic_ref<std::uint64_t> list_word(std::span<std::byte> block, std::size_t at) {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(block.data() + at));
}

constexpr std::int8_t number_of_code(ItemCode code) noexcept {
    return static_cast<std::int8_t>(code);
}

MULTIPROCESSING_INLINE ListLayout::ListLayout(std::span<const ShareableItem> items) {
    offsets_.reserve(items.size() + 1);
    offsets_.push_back(0);
    for (const ShareableItem& item : items) {
        offsets_.push_back(offsets_.back() + place_size(item));
    }
}

MULTIPROCESSING_INLINE ListLayout::ListLayout(std::span<std::byte> block) {
    if (block.size() < 2 * sizeof(std::uint64_t)) throw_damaged_list("it is too small");
    // Pairs with the release in write: a list that has its length has everything else.
    const std::uint64_t count = list_word(block, 0).load(std::memory_order_acquire);
    constexpr std::size_t least = 8 + 8 + 8 + 1;  // offset, place, format, code
    const std::size_t room = block.size() - 2 * sizeof(std::uint64_t);
    if (count > room / least) throw_damaged_list("it is too small for its number of items");
    if (count == 0 && room != 0)
        throw_damaged_list("it is empty, or another program still makes it");
    read_offsets(block, static_cast<std::size_t>(count));
}

MULTIPROCESSING_INLINE void ListLayout::write(std::span<std::byte> block,
                                              std::span<const ShareableItem> items) const {
    for (std::size_t i = 0; i <= count(); ++i) {
        list_word(block, 8 + 8 * i).store(offsets_[i], std::memory_order_relaxed);
    }
    for (std::size_t i = 0; i < count(); ++i) {
        write_parts(block, i, EncodedItem(items[i], place(i)));
    }
    // Commits: until now a process that opens the block finds an empty list.
    list_word(block, 0).store(count(), std::memory_order_release);
}

// A process may be killed at any instant of this, and must leave a list that either language can
// read. Where one word makes the difference, the store of that word is the change. Otherwise the
// item is None meanwhile: with that code its format and bytes do not matter.
MULTIPROCESSING_INLINE void ListLayout::replace(std::span<std::byte> block, std::size_t item,
                                                const ShareableItem& value) const {
    const EncodedItem next(value, place(item));
    const bool same_type = format(block, item) == next.format() && code(block, item) == next.code();
    if (same_type && replace_one_word(block, item, next)) return;
    code_at(block, item).store(number_of_code(ItemCode::none), std::memory_order_relaxed);
    // Whoever sees the stores that follow also sees that the item is None.
    std::atomic_thread_fence(std::memory_order_release);
    write_parts(block, item, next);
}

MULTIPROCESSING_INLINE ShareableItem ListLayout::read(std::span<std::byte> block,
                                                      std::size_t item) const {
    // Pairs with the release in write_parts.
    const ItemCode how = code(block, item);
    if (how == ItemCode::none) return std::nullopt;
    const ItemFormat what = format(block, item);
    if (const auto size = what.byte_count()) {
        return read_long(block, item, how, *size, what.is_exact());
    }
    if (how == ItemCode::as_it_is) {
        const std::uint64_t bits = list_word(block, data(item)).load(std::memory_order_relaxed);
        const auto bytes = std::bit_cast<std::array<char, 8>>(bits);
        if (what == integer_format) return static_cast<std::int64_t>(bits);
        if (what == float_format) return std::bit_cast<double>(bits);
        if (what == bool_format) return bytes[7] != 0;
        if (what == none_format) return bytes[6] != 0;  // what Python makes of it
    }
    throw_damaged_list("an item has an unknown format");
}

MULTIPROCESSING_INLINE ItemFormat ListLayout::format(std::span<std::byte> block,
                                                     std::size_t item) const noexcept {
    return ItemFormat(list_word(block, formats() + 8 * item).load(std::memory_order_relaxed));
}

MULTIPROCESSING_INLINE std::atomic_ref<std::int8_t> ListLayout::code_at(std::span<std::byte> block,
                                                                        std::size_t item) const {
    return std::atomic_ref(*reinterpret_cast<std::int8_t*>(block.data() + codes() + item));
}

MULTIPROCESSING_INLINE ItemCode ListLayout::code(std::span<std::byte> block,
                                                 std::size_t item) const noexcept {
    return static_cast<ItemCode>(code_at(block, item).load(std::memory_order_acquire));
}

MULTIPROCESSING_INLINE void ListLayout::read_offsets(std::span<std::byte> block,
                                                     std::size_t count) {
    const std::size_t limit = block.size() - (8 * (count + 2) + 9 * count);
    offsets_.reserve(count + 1);
    for (std::size_t i = 0; i <= count; ++i) {
        const std::uint64_t offset = list_word(block, 8 + 8 * i).load(std::memory_order_relaxed);
        const bool in_order = i == 0 ? offset == 0 : offset > offsets_.back();
        if (!in_order || offset > limit || offset % list_alignment != 0) {
            throw_damaged_list("a place lies outside of it");
        }
        offsets_.push_back(static_cast<std::size_t>(offset));
    }
}

MULTIPROCESSING_INLINE void ListLayout::write_parts(std::span<std::byte> block, std::size_t item,
                                                    const EncodedItem& next) const {
    for (std::size_t at = 0; at < place(item); at += sizeof(std::uint64_t)) {
        list_word(block, data(item) + at)
            .store(next.word(at / sizeof(std::uint64_t)), std::memory_order_relaxed);
    }
    list_word(block, formats() + 8 * item).store(next.format().word(), std::memory_order_relaxed);
    // Commits the item. Pairs with the acquire in code().
    code_at(block, item).store(number_of_code(next.code()), std::memory_order_release);
}

MULTIPROCESSING_INLINE bool ListLayout::replace_one_word(std::span<std::byte> block,
                                                         std::size_t item,
                                                         const EncodedItem& next) const {
    std::optional<std::size_t> different;
    for (std::size_t i = 0; i < place(item) / sizeof(std::uint64_t); ++i) {
        const auto known = list_word(block, data(item) + 8 * i).load(std::memory_order_relaxed);
        if (known == next.word(i)) continue;
        if (different) return false;
        different = i;
    }
    if (different) {
        list_word(block, data(item) + 8 * *different)
            .store(next.word(*different), std::memory_order_release);
    }
    return true;
}

MULTIPROCESSING_INLINE ShareableItem ListLayout::read_long(std::span<std::byte> block,
                                                           std::size_t item, ItemCode how,
                                                           std::size_t size, bool is_exact) const {
    if (size > place(item)) throw_damaged_list("an item is longer than its place");
    std::string bytes(place(item), '\0');
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
        const auto part = list_word(block, data(item) + at).load(std::memory_order_relaxed);
        std::memcpy(bytes.data() + at, &part, sizeof part);
    }
    bytes.resize(size);
    if (how != ItemCode::as_it_is && !is_exact) bytes.erase(bytes.find_last_not_of('\0') + 1);
    if (how == ItemCode::text) return bytes;
    if (how != ItemCode::bytes && how != ItemCode::as_it_is) {
        throw_damaged_list("an item has an unknown code");
    }
    return std::as_bytes(std::span(bytes));
}

}  // namespace multiprocessing::detail
