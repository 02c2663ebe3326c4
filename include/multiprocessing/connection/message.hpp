// multiprocessing/connection/message.hpp
//
// What a message takes along beside its bytes, on either side: handles, of which it holds a count
// each, and open descriptors. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/payload.hpp"

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

    /// Gives out a descriptor that came attached; each once.
    int take(std::uint64_t number) override {
        if (number >= attached_.size() || !attached_[static_cast<std::size_t>(number)]) {
            throw_damaged("it refers to a descriptor that did not come");
        }
        return attached_[static_cast<std::size_t>(number)].release();
    }
    std::uint64_t attach(int) override { throw_damaged("it is not one to write to"); }

    /// Takes the message that begins with `cell` out of the stream.
    /// @throws std::system_error EMFILE, std::bad_alloc: then nothing has been taken
    /// @throws std::system_error ECONNRESET; ProcessError when the stream cannot be followed
    void receive(ByteStream stream, const Cell& cell) {
        const FrameHeader& header = cell.header;
        const std::size_t size = header.content_size();
        if (size > sizeof(small_)) {
            large_.reset(static_cast<std::byte*>(::operator new(size)));  // not touched yet
        }
        if (header.parked != 0) require_free_descriptors(stream.fd, header.parked);
        if (header.attached != 0) attached_ = FamilyFraming::read_attached(stream);
        std::byte* const to = large_ ? large_.get() : small_;
        const auto beginning = cell.beginning();
        std::memcpy(to, beginning.data(), beginning.size());
        FamilyFraming::read_content(stream, {to + beginning.size(), size - beginning.size()});
    }

    /// Makes a received message one that can be read. @throws ProcessError
    void accept(const FrameHeader& header) {
        // Without the handles: a sender that could not attach the descriptors keeps its counts.
        if (attached_.size() != header.attached) throw_damaged("connections in it were lost");
        header_ = header;
        check_handles();
    }

  private:
    struct Free {
        void operator()(std::byte* block) const noexcept { ::operator delete(block); }
    };

    [[nodiscard]] const std::byte* content() const noexcept {
        return large_ ? large_.get() : small_;
    }

    /// They become pointers: at least they must be places where an object can be.
    void check_handles() {
        for (const std::uint64_t offset : handles()) {
            if (offset % block_alignment != 0 || offset >= heap().segment().size()) {
                header_.handles = 0;
                throw_damaged("it refers to an object that cannot be");
            }
        }
    }

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
    std::uint64_t attach(int fd) override {
        copies_.push_back(duplicate_descriptor(fd));
        numbers_.push_back(copies_.back().get());
        return numbers_.size() - 1;
    }
    int take(std::uint64_t) override { throw_damaged("it is not one to read from"); }

    [[nodiscard]] std::span<const int> numbers() const noexcept { return numbers_; }

  private:
    // Copies: what was archived may be gone, or closed by another thread, when the message leaves.
    std::vector<Descriptor> copies_;
    std::vector<int> numbers_;
};

/// The handles that go with a message, which holds a count of each once it is sent.
class OutgoingHandles {
  public:
    explicit OutgoingHandles(const std::vector<AnyHandle>& handles) {
        offsets_.reserve(handles.size());
        std::size_t parked = 0;
        for (const AnyHandle& handle : handles) {
            offsets_.push_back(handle.offset());
            if (handle) add_reference(*handle.object());
            parked += handle && handle.object()->kind() == ObjectKind::descriptor;
        }
        parked_ = static_cast<std::uint16_t>(std::min<std::size_t>(parked, 0xFFFF));
    }
    OutgoingHandles(const OutgoingHandles&) = delete;
    OutgoingHandles& operator=(const OutgoingHandles&) = delete;
    ~OutgoingHandles() { drop_handles(offsets_); }

    [[nodiscard]] std::span<const std::uint64_t> offsets() const noexcept { return offsets_; }
    [[nodiscard]] std::uint16_t parked() const noexcept { return parked_; }
    void were_sent() noexcept { offsets_.clear(); }

  private:
    std::vector<std::uint64_t> offsets_;
    std::uint16_t parked_ = 0;
};

}  // namespace multiprocessing::detail
