// multiprocessing/reduction/payload.hpp
//
// A message in the family's heap: the bytes of an archive and the handles that came with them.
// Whoever frees a message that nobody read drops its handles without knowing what is in it.
// Floor 2. Start at make_payload; PayloadBuilder writes large messages in place.
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

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive.hpp"

namespace multiprocessing::detail {

struct PayloadHeader {
    std::uint64_t size;          //  0
    std::uint32_t handle_count;  //  8
    std::uint32_t unused;        // 12
};
static_assert(sizeof(PayloadHeader) == 16);

constexpr std::size_t padded_to_8(std::size_t size) noexcept { return (size + 7) / 8 * 8; }

/// A look at a payload, which must outlive it.
class PayloadView {
  public:
    explicit PayloadView(const void* payload) noexcept
        : payload_(static_cast<const std::byte*>(payload)) {
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

/// Drops the counts of a table of handles that held one of each.
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

/// Writes what is in an archive to a place of payload_size(archive) bytes in the heap, aligned to
/// 8. The archive's handles become the payload's: drop_handles is due before the place goes.
[[gnu::hot]] inline void write_payload(OutputArchive& archive, std::byte* place) noexcept {
    const auto content = archive.view();
    std::vector<AnyHandle>& handles = archive.handles();
    const PayloadHeader header{content.size(), static_cast<std::uint32_t>(handles.size()), 0};
    std::memcpy(place, &header, sizeof(header));
    // It may have been written there in the first place.
    if (content.data() != place + sizeof(header) && !content.empty()) {
        std::memcpy(place + sizeof(header), content.data(), content.size());
    }
    auto* const table =
        reinterpret_cast<std::uint64_t*>(place + sizeof(header) + padded_to_8(content.size()));
    for (std::size_t i = 0; i < handles.size(); ++i) {
        table[i] = handles[i].offset();
        // The payload's own count: a forked process's copy of an archive must not take it along.
        if (handles[i]) add_reference(*handles[i].object());
    }
    handles.clear();
}

/// Writes what is in an archive to a new block of the heap.
/// @param prefix how many bytes to leave before the payload; a multiple of 8
/// @returns the block, to be freed with destroy_payload by whoever is the last to need it
/// @throws std::bad_alloc when the heap is full
inline void* make_payload(OutputArchive& archive, std::size_t prefix = 0) {
    auto* const block = static_cast<std::byte*>(allocate(prefix + payload_size(archive)));
    write_payload(archive, block + prefix);
    return block;
}

/// Where a message is serialised before it is known whether it is small: into memory of its own,
/// and from there on straight into a block of the heap, so that a large one is copied once.
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

    /// Returns whether the message is only bytes, few enough for content().
    [[nodiscard]] bool is_small() noexcept {
        return block_ == nullptr && archive_.handles().empty();
    }
    [[nodiscard]] std::span<const std::byte> content() const noexcept { return archive_.view(); }

    /// Returns the message as a payload, see make_payload. Once.
    void* finish() {
        if (block_ == nullptr || !archive_.handles().empty()) {
            return make_payload(archive_, prefix_);
        }
        const PayloadHeader header{archive_.size(), 0, 0};
        std::memcpy(block_ + prefix_, &header, sizeof(header));
        return std::exchange(block_, nullptr);
    }

  private:
    static std::byte* grow(void* context, std::byte* old, std::size_t used, std::size_t& capacity) {
        auto& builder = *static_cast<PayloadBuilder*>(context);
        const std::size_t before = builder.prefix_ + sizeof(PayloadHeader);
        if (capacity > PTRDIFF_MAX - before) throw std::bad_alloc();
        auto* const block = static_cast<std::byte*>(allocate(before + capacity));
        if (used != 0) std::memcpy(block + before, old, used);
        deallocate(std::exchange(builder.block_, block));
        return block + before;
    }

    const std::size_t prefix_;
    alignas(8) std::byte first_[small_size];
    std::byte* block_ = nullptr;
    OutputArchive archive_;
};

/// Frees a payload and drops the handles in it.
inline void destroy_payload(void* payload) noexcept {
    drop_handles(PayloadView(payload).handles());
    deallocate(payload);
}

/// Reads a payload in place, which must outlive it.
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
