// multiprocessing/connection/message.hpp
//
// What a message takes along beside its bytes, on either side: handles, of each of which it holds a
// count, and open descriptors. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// A message that was taken out of the stream. It owns the handles and descriptors in it.
class IncomingMessage final : public DescriptorTransport {
  public:
    IncomingMessage() = default;
    IncomingMessage(const IncomingMessage&) = delete;
    IncomingMessage& operator=(const IncomingMessage&) = delete;
    ~IncomingMessage() { drop_handles(handles()); }

    [[nodiscard]] std::span<const std::byte> body() const noexcept {
        return {content(), static_cast<std::size_t>(header_.size)};
    }
    [[nodiscard]] std::span<const std::uint64_t> handles() const noexcept {
        if (header_.handles == 0) return {};
        const std::byte* const table =
            content() + padded_to_8(static_cast<std::size_t>(header_.size));
        return {reinterpret_cast<const std::uint64_t*>(table), header_.handles};
    }

    /// Gives out a descriptor that came attached. Each can be taken once.
    int take(std::uint64_t number) override;
    std::uint64_t attach(int) override;

    /// Takes the message that begins with `cell` out of the stream.
    /// @throws std::system_error EMFILE, std::bad_alloc: then nothing has been taken
    /// @throws std::system_error ECONNRESET; ProcessError when the rest of the stream cannot be
    /// read
    void receive(ByteStream stream, const Cell& cell);

    /// Makes a received message one that can be read. @throws ProcessError
    void accept(const FrameHeader& header) {
        // Before the handles are ours: a sender that could not attach the descriptors keeps its
        // counts of them.
        if (attached_.size() != header.attached) throw_damaged("connections in it were lost");
        header_ = header;
        if (header.handles != 0) check_handles();
    }

  private:
    struct Free {
        void operator()(std::byte* block) const noexcept { ::operator delete(block); }
    };

    [[nodiscard]] const std::byte* content() const noexcept {
        return large_ ? large_.get() : small_;
    }

    /// Checks that each handle is at least a place where an object can be: it becomes a pointer.
    /// @throws ProcessError
    void check_handles();

    FrameHeader header_{};
    alignas(16) std::byte small_[sizeof(Cell::content)];
    std::unique_ptr<std::byte, Free> large_;
    std::vector<Descriptor> attached_;
};

/// The descriptors that a message to be sent takes along.
class OutgoingDescriptors final : public DescriptorTransport {
  public:
    [[nodiscard]] bool has_room() const noexcept override {
        return numbers_.size() < most_descriptors;
    }
    std::uint64_t attach(int fd) override;
    int take(std::uint64_t) override;

    [[nodiscard]] std::span<const int> numbers() const noexcept { return numbers_; }

  private:
    // Copies: when the message leaves, another thread may have closed or destroyed the originals.
    std::vector<Descriptor> copies_;
    std::vector<int> numbers_;
};

/// The handles that go with a message. Once it is sent, the message holds a count of each.
class OutgoingHandles {
  public:
    explicit OutgoingHandles(const std::vector<AnyHandle>& handles);
    OutgoingHandles(const OutgoingHandles&) = delete;
    OutgoingHandles& operator=(const OutgoingHandles&) = delete;
    ~OutgoingHandles() { drop_handles(offsets_); }

    [[nodiscard]] std::span<const std::uint64_t> offsets() const noexcept { return offsets_; }
    /// Returns how many of them are tickets for parked descriptors; 65535: that or more.
    [[nodiscard]] std::uint16_t parked() const noexcept { return parked_; }
    /// Leaves the counts to the message.
    void were_sent() noexcept { offsets_.clear(); }

  private:
    std::vector<std::uint64_t> offsets_;
    std::uint16_t parked_ = 0;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/message.ipp"
#endif
