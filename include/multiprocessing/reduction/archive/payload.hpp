// multiprocessing/reduction/archive/payload.hpp
//
// A message in the family's heap: the bytes of an archive and the handles that came with them.
// The handles have a table of their own, so that a message that nobody read can be freed, and its
// handles dropped, without knowing what is in it. Floor 2. Start at make_payload; PayloadBuilder
// writes large messages in place.
//
// The bytes of a payload:
//      0  u64  size of the content, in bytes
//      8  u32  number of handles
//     12  u32  unused, 0
//     16       the content, padded to 8 bytes
//      …  u64  for each handle, its object's place in the heap; the payload holds one count of each
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"

namespace multiprocessing::detail {

struct PayloadHeader {
    std::uint64_t size;          //  0
    std::uint32_t handle_count;  //  8
    std::uint32_t unused;        // 12
};
static_assert(sizeof(PayloadHeader) == 16);

constexpr std::size_t padded_to_8(std::size_t size) noexcept { return (size + 7) / 8 * 8; }

/// A view of a payload, which must outlive the view.
class PayloadView {
  public:
    explicit PayloadView(const void* payload) noexcept
        : payload_(note_taken_over(static_cast<const std::byte*>(payload))) {
        std::memcpy(&header_, payload_, sizeof(header_));
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {payload_ + sizeof(PayloadHeader), static_cast<std::size_t>(header_.size)};
    }
    [[nodiscard]] std::span<const std::uint64_t> handles() const noexcept {
        const std::byte* const table =
            payload_ + sizeof(PayloadHeader) + padded_to_8(static_cast<std::size_t>(header_.size));
        return {reinterpret_cast<const std::uint64_t*>(table), header_.handle_count};
    }

  private:
    const std::byte* payload_;
    PayloadHeader header_;
};

/// Drops the handles in a table that holds one count of each.
inline void drop_handles(std::span<const std::uint64_t> handles) noexcept {
    for (const std::uint64_t offset : handles) {
        if (offset != 0) drop_reference(*heap().at<SharedObject>(offset));
    }
}

/// Returns how many bytes an archive's payload takes.
inline std::size_t payload_size(OutputArchive& archive) noexcept {
    return sizeof(PayloadHeader) + padded_to_8(archive.size()) +
           archive.handles().size() * sizeof(std::uint64_t);
}

/// Writes what is in an archive to a place in the heap that has payload_size(archive) bytes and is
/// aligned to 8. The archive's handles become the payload's: drop_handles is due before the place
/// is freed.
[[gnu::hot]] inline void write_payload(OutputArchive& archive, std::byte* place) noexcept {
    const auto content = archive.view();
    std::vector<AnyHandle>& handles = archive.handles();
    const PayloadHeader header{content.size(), static_cast<std::uint32_t>(handles.size()), 0};
    std::memcpy(place, &header, sizeof(header));
    // The archive may have written it there in the first place.
    if (content.data() != place + sizeof(header) && !content.empty()) {
        copy_bytes(place + sizeof(header), content.data(), content.size());
    }
    auto* const table =
        reinterpret_cast<std::uint64_t*>(place + sizeof(header) + padded_to_8(content.size()));
    for (std::size_t i = 0; i < handles.size(); ++i) {
        table[i] = handles[i].offset();
        // The payload takes a count of its own. A forked process has a copy of the archive, which
        // must not take this count along.
        if (handles[i]) add_reference(*handles[i].object());
    }
    handles.clear();
}

/// Writes what is in an archive to a new block of the heap.
/// @param prefix how many bytes to leave before the payload; a multiple of 8
/// @returns the block; the last one who needs it frees it with destroy_payload
/// @throws std::bad_alloc when the heap is full
inline void* make_payload(OutputArchive& archive, std::size_t prefix = 0) {
    const std::size_t size = prefix + payload_size(archive);
    auto* const block = static_cast<std::byte*>(allocate_to_fill(size, size));
    write_payload(archive, block + prefix);
    return block;
}

/// Memory for an archive whose message may become large: memory of its own while the message is
/// small, and from large_size on a block of the heap, in which the message then stays.
class PayloadRoom {
  public:
    static constexpr std::size_t large_size = std::size_t{32} << 10;  // bytes

    PayloadRoom() = default;
    PayloadRoom(const PayloadRoom&) = delete;
    PayloadRoom& operator=(const PayloadRoom&) = delete;
    ~PayloadRoom();

    /// Returns what gives this memory to an archive, which must not outlive the room.
    [[nodiscard]] Growth growth() noexcept { return {grow, this}; }

    /// Returns the message as a payload, see make_payload. The archive starts again after that, in
    /// the room's own memory.
    void* finish(OutputArchive& archive);

  private:
    static std::byte* grow(void* context, std::byte* old, std::size_t used, std::size_t needed,
                           std::size_t& capacity);
    std::byte* grow_own(std::byte* old, std::size_t used, std::size_t capacity);
    std::byte* grow_in_heap(const std::byte* old, std::size_t used, std::size_t needed,
                            std::size_t capacity);

    std::byte* own_ = nullptr;    // of malloc
    std::byte* block_ = nullptr;  // of the heap
    std::size_t own_size_ = 0;
    std::size_t block_size_ = 0;
};

/// Serialises a message of which it is not known yet whether it is small. The bytes go to memory of
/// its own at first. When that is full, they go straight to a block of the heap, so that a large
/// message is copied only once.
class PayloadBuilder {
  public:
    static constexpr std::size_t small_size = 1024;  // bytes

    /// @param prefix how many bytes to leave before the payload; a multiple of 8
    explicit PayloadBuilder(std::size_t prefix = 0) noexcept
        : prefix_(prefix), archive_(Growth{grow, this}, first_) {}
    PayloadBuilder(const PayloadBuilder&) = delete;
    PayloadBuilder& operator=(const PayloadBuilder&) = delete;
    ~PayloadBuilder() { deallocate(block_); }

    [[nodiscard]] OutputArchive& archive() noexcept { return archive_; }

    /// Returns whether the message has no handles and is small enough for content().
    [[nodiscard]] bool is_small() noexcept {
        return block_ == nullptr && archive_.handles().empty();
    }
    [[nodiscard]] std::span<const std::byte> content() const noexcept { return archive_.view(); }

    /// Returns the message as a payload, see make_payload. To be called only once.
    void* finish() {
        if (block_ == nullptr || !archive_.handles().empty()) {
            return make_payload(archive_, prefix_);
        }
        const PayloadHeader header{archive_.size(), 0, 0};
        std::memcpy(block_ + prefix_, &header, sizeof(header));
        return std::exchange(block_, nullptr);
    }

  private:
    static std::byte* grow(void* context, std::byte* old, std::size_t used, std::size_t needed,
                           std::size_t& capacity);

    const std::size_t prefix_;
    alignas(8) std::byte first_[small_size];
    std::byte* block_ = nullptr;
    OutputArchive archive_;
};

/// Frees a payload and drops the handles in it.
inline void destroy_payload(void* payload) noexcept {
    drop_handles(PayloadView(payload).handles());
    deallocate(payload, true);
}

/// Reads a payload where it lies. The payload must outlive the reader.
class PayloadReader {
  public:
    explicit PayloadReader(const void* payload) noexcept
        : view_(payload), archive_(view_.bytes(), view_.handles()) {}
    [[nodiscard]] InputArchive& archive() noexcept { return archive_; }

  private:
    PayloadView view_;
    InputArchive archive_;
};

/// A payload that is freed at the end of its scope.
struct PayloadDeleter {
    void operator()(void* payload) const noexcept { destroy_payload(payload); }
};
using Payload = std::unique_ptr<void, PayloadDeleter>;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/archive/payload.ipp"
#endif
