// multiprocessing/managers/word.hpp
//
// What a container holds of a value: one 64-bit word, which one store writes. A small plain value
// is the word itself. For any other value the word points to a message, which never changes. So a
// process that has taken a count of a message can read it while others replace it in the container.
// Floor 6. Start at encode. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// A message in the heap, counted: a SharedObject and, behind it, a payload.
struct Blob : SharedObject {
    static constexpr ObjectKind object_kind = ObjectKind::blob;

    Blob() noexcept : SharedObject(object_kind) { set_birth(never_inherited); }

    [[nodiscard]] const void* payload() const noexcept { return this + 1; }

    /// Makes one of the message in a builder with a prefix of sizeof(Blob).
    template <class Builder>  // so that the destroyer is noted only where a Blob is made
    static Blob& make(Builder& builder) {
        (void)is_destroyable<Blob>;
        return *new (builder.finish()) Blob;
    }

    void destroy() noexcept { drop_handles(PayloadView(payload()).handles()); }
};
static_assert(sizeof(Blob) == sizeof(SharedObject));

/// Returns 1 to 7 bytes as a word. As a memcpy of so few it would be a call, and a wait for what it
/// has stored.
inline std::uint64_t partial_word(const std::byte* bytes, std::size_t count) noexcept {
    if (count >= 4) {
        std::uint32_t first = 0;
        std::uint32_t last = 0;
        std::memcpy(&first, bytes, 4);
        std::memcpy(&last, bytes + count - 4, 4);
        return first | std::uint64_t{last} << 8 * (count - 4);
    }
    const auto byte = [&](std::size_t at) {
        return std::to_integer<std::uint64_t>(bytes[at]) << 8 * at;
    };
    return byte(0) | byte(count / 2) | byte(count - 1);
}

/// Says whether values of T are words themselves.
template <class T>
inline constexpr bool is_inline = bitwise<T> && sizeof(T) <= sizeof(std::uint64_t);

/// A word that this object owns. If the word points to a message, it owns one count of that.
class OwnedWord {
  public:
    OwnedWord() = default;
    OwnedWord(std::uint64_t word, bool is_blob) noexcept : word_(word), is_blob_(is_blob) {}
    OwnedWord(OwnedWord&& other) noexcept
        : word_(std::exchange(other.word_, 0)), is_blob_(std::exchange(other.is_blob_, false)) {}
    OwnedWord& operator=(OwnedWord&& other) noexcept {
        std::swap(word_, other.word_);
        std::swap(is_blob_, other.is_blob_);
        return *this;
    }
    ~OwnedWord() {
        if (is_blob_) drop_reference(*heap().at<SharedObject>(word_));
    }

    /// Takes a count of a word that another owner keeps meanwhile.
    static OwnedWord copy_of(std::uint64_t word, bool is_blob) noexcept {
        if (is_blob) add_reference(*heap().at<SharedObject>(word));
        return {word, is_blob};
    }

    [[nodiscard]] std::uint64_t get() const noexcept { return word_; }
    /// Gives the word up to a container, which has stored it.
    std::uint64_t release() noexcept {
        is_blob_ = false;
        return word_;
    }

  private:
    std::uint64_t word_ = 0;
    bool is_blob_ = false;
};

/// Makes the word of a value. @throws std::bad_alloc
template <class T>
OwnedWord encode(const T& value) {
    if constexpr (is_inline<T>) {
        std::uint64_t word = 0;
        std::memcpy(&word, std::addressof(value), sizeof(T));
        return {word, false};
    } else {
        PayloadBuilder builder(sizeof(Blob));
        builder.archive()(value);
        return {heap().offset_of(&Blob::make(builder)), true};
    }
}

/// Reads the value of a word. The caller keeps a count of it meanwhile, or holds the lock.
template <class T>
T decode(std::uint64_t word) {
    if constexpr (is_inline<T>) {
        InputArchive archive({reinterpret_cast<const std::byte*>(&word), sizeof(T)});
        return archive.read<T>();
    } else {
        PayloadReader reader(heap().at<Blob>(word)->payload());
        reader.archive().keep_message();
        return reader.archive().template read<T>();
    }
}

}  // namespace multiprocessing::detail
