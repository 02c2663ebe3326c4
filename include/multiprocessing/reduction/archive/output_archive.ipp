// multiprocessing/reduction/archive/output_archive.ipp
//
// How an archive gets more memory, and how it sends descriptors: see output_archive.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/output_archive.hpp"

#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void OutputArchive::write_descriptor(int fd) {
    if (descriptors_ == nullptr) {
        throw TypeError("a file descriptor cannot travel this way: send it through a Pipe");
    }
    write_size(descriptors_->attach(fd));
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void OutputArchive::grow(std::size_t size) {
    const std::size_t used = this->size();
    if (size > PTRDIFF_MAX - used) throw std::bad_alloc();
    const std::size_t needed = used + size;
    std::size_t capacity = needed;
    // Doubling makes the copies of a growing message linear in its size.
    if (const auto twice = 2 * static_cast<std::size_t>(end_ - begin_); capacity < twice) {
        capacity = twice;
    } else if (capacity < 64) {
        capacity = 64;
    }
    std::byte* const block = growth_.grow != nullptr
                                 ? growth_.grow(growth_.context, begin_, used, needed, capacity)
                                 : grow_locally(used, capacity);
    begin_ = block;
    current_ = block + used;
    end_ = block + capacity;
}

MULTIPROCESSING_INLINE std::byte* OutputArchive::grow_locally(std::size_t used,
                                                              std::size_t capacity) {
    void* const block = std::realloc(owned_ ? begin_ : nullptr, capacity);
    if (block == nullptr) throw std::bad_alloc();
    if (!owned_ && used != 0) std::memcpy(block, begin_, used);
    owned_ = true;
    return static_cast<std::byte*>(block);
}

}  // namespace multiprocessing::detail
