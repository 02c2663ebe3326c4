// multiprocessing/managers/peek.hpp
//
// How a manager's dict or list is read without its lock, so that readers do not slow each other.
// Floor 6. Start at Peek.
//
// Each change of a container is one store, see dict_state.hpp and list_state.hpp. So at any instant
// what is there is whole, also while a writer is at it, and after it was killed. Only one thing can
// mislead a reader: what it is reading may be taken out, freed, and become something else. So
// whoever takes something out counts that before it is freed (ContainerState::taken_out). A reader
// looks at the number first and last: when it has not changed, all that was read is true. A place
// or a length is looked after in this way before it is used as such. Then it is in any case one of
// the container's, and so in the segment, whose memory can be read for as long as the family lives:
// a reader that is too late reads garbage, and nothing worse.
//
// A value that is small is copied, or read where it lies. A count of a message cannot be taken in
// this way, because it would be written: for large messages, and those with handles, the reader
// takes the lock.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/stale.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/word.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// What a look without the lock says.
enum class Sight {
    no,
    yes,
    unclear  // something was taken out meanwhile
};

/// A look at a container without the lock.
class Peek {
  public:
    /// How often to look again before the lock is taken.
    static constexpr int most = 4;

    explicit Peek(const ContainerState& state) noexcept
        // acquire: pairs with note_taken_out, so that what was taken out before is not seen.
        // seq_cst: the look does not come before what this thread has written to other containers,
        // as if each were locked for it.
        : number_(state.taken_out), first_(number_.load(std::memory_order_seq_cst)) {}

    /// Returns whether all that was read since this was made is true.
    [[nodiscard]] bool is_true() const noexcept {
        // Pairs with the fence in note_taken_out. Of what was read, it makes an acquire too: the
        // stores that commit are a release.
        std::atomic_thread_fence(std::memory_order_acquire);
        return number_.load(std::memory_order_relaxed) == first_;
    }

    /// Returns how often this process may look. One that has mapped only a part of the segment must
    /// know of each place that it is in use.
    static int tries() noexcept { return heap().segment().is_partial() ? 0 : most; }

  private:
    const std::atomic<std::uint64_t>& number_;
    std::uint64_t first_;
};

/// Whether a T can be read from bytes that change meanwhile: it is one run of bytes, of which no
/// function of the program's makes anything. That saves a copy. ThreadSanitizer must not see it.
template <class T>
inline constexpr bool can_be_read_in_place =
    (kind<T> == Kind::contiguous || (kind<T> == Kind::bitwise && !is_inline<T>)) &&
    !thread_sanitizer;

/// A message of a container, as it is seen without the lock.
class PeekedMessage {
  public:
    /// @param word the container's. Whether that is true is asked first
    PeekedMessage(std::uint64_t word, const Peek& peek) noexcept : peek_(peek) {
        if (!peek.is_true()) return;
        const auto* const header = heap().at_covered<std::uint64_t>(word + sizeof(Blob));
        static_assert(sizeof(Blob) + sizeof(PayloadHeader) <= block_alignment);
        size_ = stale_load<std::uint64_t>(header);
        handle_count_ = stale_load<std::uint32_t>(header + 1);
        content_ = header + sizeof(PayloadHeader) / sizeof(std::uint64_t);
    }

    /// Says whether the content is this, behind its first `before` bytes, a multiple of 8.
    [[nodiscard]] Sight equals(std::size_t before,
                               std::span<const std::byte> wanted) const noexcept {
        if (content_ == nullptr) return Sight::unclear;
        if (size_ != before + wanted.size()) return sight_of(false);
        if (!peek_.is_true()) return Sight::unclear;
        const std::uint64_t* word = content_ + before / sizeof(std::uint64_t);
        std::size_t at = 0;
        for (; at + 8 <= wanted.size(); at += 8, ++word) {
            std::uint64_t part = 0;
            std::memcpy(&part, wanted.data() + at, 8);
            if (stale_load<std::uint64_t>(word) != part) return sight_of(false);
        }
        if (at == wanted.size()) return sight_of(true);
        const auto last = stale_load<std::uint64_t>(word);  // the content is padded to a word
        const std::size_t left = wanted.size() - at;
        return sight_of(partial_word(reinterpret_cast<const std::byte*>(&last), left) ==
                        partial_word(wanted.data() + at, left));
    }

    /// Copies the content, if it has no handles and is not longer than `most` bytes.
    /// @returns no if it is otherwise
    [[nodiscard]] Sight copy(std::uint64_t* to, std::size_t most,
                             std::size_t& size) const noexcept {
        if (content_ == nullptr || !peek_.is_true()) return Sight::unclear;
        if (handle_count_ != 0 || size_ > most) return Sight::no;
        size = static_cast<std::size_t>(size_);
        stale_copy(to, content_, padded_to_8(size) / sizeof(std::uint64_t));
        return sight_of(true);
    }

    /// Reads the value from where it lies, if it is not too long to be read in vain.
    /// @returns no if it is otherwise
    template <class T>
    [[nodiscard]] Sight decode(std::optional<T>& value) const {
        constexpr std::size_t most = std::size_t{16} << 10;
        if (content_ == nullptr || !peek_.is_true()) return Sight::unclear;
        if (handle_count_ != 0 || size_ > most) return Sight::no;
        try {
            InputArchive archive(
                {reinterpret_cast<const std::byte*>(content_), static_cast<std::size_t>(size_)});
            value.emplace(archive.read<T>());
        } catch (const ProcessError&) {
            if (peek_.is_true()) throw;
            return Sight::unclear;  // it was freed, and the lengths in it are others now
        }
        return sight_of(true);
    }

  private:
    [[nodiscard]] Sight sight_of(bool answer) const noexcept {
        return !peek_.is_true() ? Sight::unclear : answer ? Sight::yes : Sight::no;
    }

    const Peek& peek_;
    const std::uint64_t* content_ = nullptr;
    std::uint64_t size_ = 0;
    std::uint32_t handle_count_ = 0;
};

/// A message that was read of a container: a copy of a small one, or a count of any other.
/// @tparam most how long a message may be that is copied, in bytes
template <std::size_t most = 1024>
class ReadMessage {
  public:
    /// Takes over a word.
    void keep(OwnedWord word) noexcept { word_ = std::move(word); }

    /// Reads a message without the lock.
    /// @returns no when it must be counted, and for that the lock be held
    [[nodiscard]] Sight read(const PeekedMessage& message) noexcept {
        return message.copy(copy_, most, size_);
    }
    /// The same of the container's word for it.
    [[nodiscard]] Sight read(std::uint64_t word, const Peek& peek) noexcept {
        return read(PeekedMessage(word, peek));
    }

    /// Calls `f` with an archive of the message.
    template <class F>
    auto with_archive(F f) const {
        if (word_.get() == 0) {
            InputArchive archive({reinterpret_cast<const std::byte*>(copy_), size_});
            archive.keep_message();
            return f(archive);
        }
        PayloadReader reader(heap().at<Blob>(word_.get())->payload());
        reader.archive().keep_message();
        return f(reader.archive());
    }

  private:
    OwnedWord word_;
    std::size_t size_ = 0;
    std::uint64_t copy_[most / sizeof(std::uint64_t)];  // not initialised
};

/// A value that was read of a container.
template <class T>
class ReadValue {
  public:
    /// Takes over a word.
    void keep(OwnedWord word) noexcept { message_.keep(std::move(word)); }

    /// Reads the value of a word without the lock.
    /// @returns no when it must be counted, and for that the lock be held
    [[nodiscard]] Sight read(std::uint64_t word, const Peek& peek) noexcept {
        return message_.read(word, peek);
    }

    /// Returns the value. To be called once.
    [[nodiscard]] T take() {
        return message_.with_archive([](InputArchive& archive) { return archive.read<T>(); });
    }

  private:
    ReadMessage<> message_;
};

template <class T>
    requires is_inline<T> || handle_type<T>
class ReadValue<T> {
  public:
    void keep(OwnedWord word) noexcept { word_ = std::move(word); }
    [[nodiscard]] Sight read(std::uint64_t word, const Peek& peek) noexcept {
        if (!is_inline<T>) return Sight::no;
        if (!peek.is_true()) return Sight::unclear;
        word_ = {word, false};
        return Sight::yes;
    }
    [[nodiscard]] T take() { return decode<T>(word_.get()); }

  private:
    OwnedWord word_;
};

template <class T>
    requires can_be_read_in_place<T>
class ReadValue<T> {
  public:
    void keep(OwnedWord word) noexcept {
        value_.reset();
        message_.keep(std::move(word));
    }
    [[nodiscard]] Sight read(std::uint64_t word, const Peek& peek) {
        value_.reset();
        const PeekedMessage message(word, peek);
        const Sight sight = message_.read(message);
        return sight == Sight::no ? message.decode(value_) : sight;
    }
    [[nodiscard]] T take() {
        if (value_) return std::move(*value_);
        return message_.with_archive([](InputArchive& archive) { return archive.read<T>(); });
    }

  private:
    std::optional<T> value_;
    ReadMessage<192> message_;  // a short one costs less when it is copied, and not moved then
};

}  // namespace multiprocessing::detail
