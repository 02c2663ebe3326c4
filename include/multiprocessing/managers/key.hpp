// multiprocessing/managers/key.hpp
//
// Keys of a dict. The only hash function that the processes of a family have in common is that of
// the bytes. So a key is hashed and compared in the form in which it travels, where equal keys have
// equal bytes. Elsewhere the key's own std::hash and == decide. Floor 6. Start at EncodedKey.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/managers/peek.hpp"
#include "multiprocessing/managers/word.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

template <class T>
consteval bool has_canonical_bytes();

template <class... Ts>
consteval bool all_have_canonical_bytes(TypeList<Ts...>) {
    return (has_canonical_bytes<std::remove_cv_t<Ts>>() && ...);
}

/// Says whether a pair or tuple that travels as its bytes has only the bytes of its elements.
template <class... Ts>
consteval bool has_no_padding(std::size_t size, TypeList<Ts...>) {
    return size == (std::size_t{0} + ... + (std::is_empty_v<Ts> ? 0 : sizeof(Ts)));
}

/// Says whether two Ts are equal exactly when the bytes they travel as are equal. That is not so
/// for types with padding, for floating-point numbers (0.0 == -0.0), for hash tables (their order
/// may be any), and for types that travel by functions of their own.
template <class T>
consteval bool has_canonical_bytes() {
    if constexpr (kind<T> == Kind::bitwise &&
                  (is_standard<T>("pair<") || is_standard<T>("tuple<"))) {
        // These are formally not trivially copyable, so the trait for unique representations, which
        // others are asked for, does not apply.
        return has_no_padding(sizeof(T), ArgumentsOf<T>{}) &&
               all_have_canonical_bytes(ArgumentsOf<T>{});
    } else if constexpr (kind<T> == Kind::bitwise) {
        return std::is_empty_v<T> || std::has_unique_object_representations_v<T>;
    } else if constexpr (kind<T> == Kind::contiguous || kind<T> == Kind::sequence ||
                         kind<T> == Kind::c_array || kind<T> == Kind::array ||
                         kind<T> == Kind::tuple || kind<T> == Kind::optional ||
                         kind<T> == Kind::variant || kind<T> == Kind::aggregate) {
        return all_have_canonical_bytes(typename Pickler<T>::Elements{});
    } else if constexpr (kind<T> == Kind::associative) {
        return !requires { typename T::hasher; } &&
               all_have_canonical_bytes(typename Pickler<T>::Elements{});
    } else {
        return kind<T> == Kind::path;
    }
}

template <class T>
concept has_std_hash = requires(const T& key) {
    { std::hash<T>{}(key) } -> std::convertible_to<std::size_t>;
    { key == key } -> std::convertible_to<bool>;
};

template <class K>
concept key_of_dict = has_canonical_bytes<K>() || has_std_hash<K>;

/// The compile error for a K that cannot be a key.
template <class K>
struct CannotBeKey {
    static constexpr bool has_bytes_or_hash = key_of_dict<K>;
    static_assert(has_bytes_or_hash,
                  "multiprocessing: a dict's key of this type cannot be looked up: keys are "
                  "compared by their bytes, and it has padding, a floating-point number, a hash "
                  "table or functions of its own in it. Specialise std::hash for it and give it "
                  "operator==, or use a std::string, a std::tuple or a std::vector of such as key");
};

/// Mixes the bits of a hash, so that the low bits depend on all bits.
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

/// Returns a hash of bytes, the same in every process.
inline std::uint64_t hash_of(std::span<const std::byte> bytes) noexcept {
    std::uint64_t hash = bytes.size() * 0x9e3779b97f4a7c15u;
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        hash = mixed(hash ^ word);
    }
    if (at < bytes.size()) {
        hash = mixed(hash ^ partial_word(bytes.data() + at, bytes.size() - at));
    }
    return hash;
}

// What is thrown when there is no such key, by what can be said of the key.
[[nodiscard, gnu::cold]] KeyError no_such_number(const std::string& key);
[[nodiscard, gnu::cold]] KeyError no_such_text(std::string_view key);
[[nodiscard, gnu::cold]] KeyError no_such_key_of_type(std::string_view type);

/// Says whether a K travels as its length and the bytes that it has in memory, as strings do.
template <class K>
consteval bool is_run_of_bytes() {
    if constexpr (kind<K> == Kind::contiguous) {
        return Pickler<typename K::value_type>::smallest != 0;
    } else {
        return false;
    }
}

/// A key in the form in which the dict looks for it: the bytes that it travels as. Of a string
/// these need not be put together: they are its length, which is not compared, and its own.
template <class K>
class EncodedKey {
  public:
    /// Whether it can be compared with keys that may go meanwhile. A class whose == decides must
    /// not see such a key, and has no say when that lies in a message.
    static constexpr bool can_be_peeked_at = is_inline<K> || has_canonical_bytes<K>();

    explicit EncodedKey(const K& key) : key_(key) {
        std::uint64_t hash = 0;
        if constexpr (is_inline<K>) {
            if constexpr (std::is_floating_point_v<K>) {
                word_ = encode<K>(key + K{0}).get();  // -0.0 becomes 0.0
            } else {
                word_ = encode(key).get();
            }
            hash = has_canonical_bytes<K>() || std::is_floating_point_v<K> ? mixed(word_)
                                                                           : hash_by_class();
        } else {
            if constexpr (!is_run) builder_.archive()(key);
            hash = has_canonical_bytes<K>() ? hash_of(bytes()) : hash_by_class();
        }
        hash_ = hash | 1;  // 0 means that the entry was erased
    }
    EncodedKey(const EncodedKey&) = delete;
    EncodedKey& operator=(const EncodedKey&) = delete;

    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

    /// Says whether the key of an entry is equal to this one. @param word the entry's key
    [[nodiscard]] bool equals(std::uint64_t word) const {
        if constexpr (is_word) {
            return word == word_;
        } else if constexpr (has_canonical_bytes<K>()) {
            const auto other = PayloadView(heap().at<Blob>(word)->payload()).bytes();
            const auto own = bytes();
            return other.size() == length_size + own.size() &&
                   (own.empty() ||
                    std::memcmp(other.data() + length_size, own.data(), own.size()) == 0);
        } else {
            return decode<K>(word) == key_;
        }
    }

    /// Does what equals does, without the lock.
    [[nodiscard]] Sight peek(std::uint64_t word, const Peek& peek) const
        requires can_be_peeked_at
    {
        if constexpr (is_word) {
            return word == word_ ? Sight::yes : Sight::no;
        } else if constexpr (is_inline<K>) {
            if (!peek.is_true()) return Sight::unclear;
            return equals(word) ? Sight::yes : Sight::no;
        } else {
            return PeekedMessage(word, peek).equals(length_size, bytes());
        }
    }

    /// Makes the word for a new entry. To be called once. @throws std::bad_alloc
    [[nodiscard]] OwnedWord take() {
        if constexpr (is_inline<K>) {
            return {word_, false};
        } else if constexpr (is_run) {
            return encode(key_);
        } else {
            return {heap().offset_of(&Blob::make(builder_)), true};
        }
    }

    /// Returns what is thrown when there is no such entry.
    [[nodiscard, gnu::cold]] KeyError error() const {
        if constexpr (std::is_same_v<K, bool> || std::is_same_v<K, char>) {
            return no_such_number(std::to_string(static_cast<int>(key_)));
        } else if constexpr (std::is_arithmetic_v<K>) {
            return no_such_number(std::to_string(key_));
        } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
            return no_such_text(std::string_view(key_));
        } else {
            return no_such_key_of_type(type_name<K>());
        }
    }

  private:
    static constexpr bool is_word =
        is_inline<K> && (has_canonical_bytes<K>() || std::is_floating_point_v<K>);

    static constexpr bool is_run =
        !is_inline<K> && has_canonical_bytes<K>() && is_run_of_bytes<K>();
    static constexpr std::size_t length_size = is_run ? sizeof(std::uint64_t) : 0;

    struct Nothing {
        explicit Nothing(std::size_t) {}
    };

    /// Returns the bytes that are compared: all but the length of a run.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        if constexpr (is_run) {
            return std::as_bytes(std::span(key_.data(), key_.size()));
        } else {
            return builder_.content();
        }
    }

    [[nodiscard]] std::uint64_t hash_by_class() const {
        if constexpr (has_std_hash<K>) {
            return mixed(std::hash<K>{}(key_));
        } else {
            return 0;
        }
    }

    const K& key_;
    std::uint64_t hash_;
    std::uint64_t word_ = 0;
    std::conditional_t<is_inline<K> || is_run, Nothing, PayloadBuilder> builder_{sizeof(Blob)};
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/key.ipp"
#endif
