// multiprocessing/connection/message.ipp
//
// How a message is received, and how handles and descriptors are added to one: see message.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int IncomingMessage::take(std::uint64_t number) {
    if (number >= attached_.size() || !attached_[static_cast<std::size_t>(number)]) {
        throw_damaged("it refers to a descriptor that did not come");
    }
    return attached_[static_cast<std::size_t>(number)].release();
}

MULTIPROCESSING_INLINE std::uint64_t IncomingMessage::attach(int) {
    throw_damaged("it is not one to write to");
}

MULTIPROCESSING_INLINE void IncomingMessage::receive(ByteStream stream, const Cell& cell) {
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

MULTIPROCESSING_INLINE void IncomingMessage::check_handles() {
    for (const std::uint64_t offset : handles()) {
        if (offset % block_alignment != 0 || offset >= heap().segment().size()) {
            header_.handles = 0;
            throw_damaged("it refers to an object that cannot be");
        }
    }
}

MULTIPROCESSING_INLINE std::uint64_t OutgoingDescriptors::attach(int fd) {
    copies_.push_back(duplicate_descriptor(fd));
    numbers_.push_back(copies_.back().get());
    return numbers_.size() - 1;
}

MULTIPROCESSING_INLINE int OutgoingDescriptors::take(std::uint64_t) {
    throw_damaged("it is not one to read from");
}

MULTIPROCESSING_INLINE OutgoingHandles::OutgoingHandles(const std::vector<AnyHandle>& handles) {
    offsets_.reserve(handles.size());
    std::size_t parked = 0;
    for (const AnyHandle& handle : handles) {
        offsets_.push_back(handle.offset());
        if (handle) add_reference(*handle.object());
        parked += handle && handle.object()->kind() == ObjectKind::descriptor;
    }
    parked_ = static_cast<std::uint16_t>(std::min<std::size_t>(parked, 0xFFFF));
}

}  // namespace multiprocessing::detail
