// multiprocessing/reduction/archive/payload.ipp
//
// How a payload that is being written gets a larger block of the heap: see payload.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/payload.hpp"

#include <cstdlib>
#include <new>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::byte* PayloadBuilder::grow(void* context, std::byte* old,
                                                       std::size_t used, std::size_t needed,
                                                       std::size_t& capacity) {
    auto& builder = *static_cast<PayloadBuilder*>(context);
    const std::size_t before = builder.prefix_ + sizeof(PayloadHeader);
    if (capacity > PTRDIFF_MAX - before) throw std::bad_alloc();
    auto* const block =
        static_cast<std::byte*>(allocate_to_fill(before + capacity, before + needed));
    if (used != 0) copy_bytes(block + before, old, used);
    deallocate(std::exchange(builder.block_, block));
    return block + before;
}

MULTIPROCESSING_INLINE PayloadRoom::~PayloadRoom() {
    std::free(own_);
    deallocate(block_);
}

MULTIPROCESSING_INLINE void* PayloadRoom::finish(OutputArchive& archive) {
    void* payload = nullptr;
    if (block_ != nullptr && payload_size(archive) <= block_size_) {
        write_payload(archive, block_);
        payload = std::exchange(block_, nullptr);
    } else {
        payload = make_payload(archive);
        deallocate(std::exchange(block_, nullptr));
    }
    archive.restart({own_, own_size_});
    return payload;
}

MULTIPROCESSING_INLINE std::byte* PayloadRoom::grow(void* context, std::byte* old, std::size_t used,
                                                    std::size_t needed, std::size_t& capacity) {
    auto& room = *static_cast<PayloadRoom*>(context);
    return capacity < large_size ? room.grow_own(old, used, capacity)
                                 : room.grow_in_heap(old, used, needed, capacity);
}

MULTIPROCESSING_INLINE std::byte* PayloadRoom::grow_own(std::byte* old, std::size_t used,
                                                        std::size_t capacity) {
    void* const block = std::realloc(own_, capacity);
    if (block == nullptr) throw std::bad_alloc();
    if (old != own_ && used != 0) std::memcpy(block, old, used);
    own_ = static_cast<std::byte*>(block);
    own_size_ = capacity;
    return own_;
}

MULTIPROCESSING_INLINE std::byte* PayloadRoom::grow_in_heap(const std::byte* old, std::size_t used,
                                                            std::size_t needed,
                                                            std::size_t capacity) {
    if (capacity > PTRDIFF_MAX - sizeof(PayloadHeader)) throw std::bad_alloc();
    const std::size_t size = sizeof(PayloadHeader) + capacity;
    auto* const block =
        static_cast<std::byte*>(allocate_to_fill(size, sizeof(PayloadHeader) + needed));
    std::byte* const content = block + sizeof(PayloadHeader);
    if (used != 0) copy_bytes(content, old, used);
    deallocate(std::exchange(block_, block));
    block_size_ = size;
    return content;
}

}  // namespace multiprocessing::detail
