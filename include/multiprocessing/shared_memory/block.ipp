// multiprocessing/shared_memory/block.ipp
//
// How a block of shared memory is made, found and removed: see block.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/block.hpp"

#include <cstdint>
#include <string>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/named_memory.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::shared_memory {

/// @returns the name without the slash that CPython has in front of it
inline std::string checked_block_name(const SharedMemoryOptions& options) {
    if (options.size < 0 || (options.create && options.size == 0)) {
        throw ValueError("the size of a shared memory block must be positive");
    }
    std::string name = options.name;
    if (name.starts_with('/')) name.erase(0, 1);
    if (name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
        throw ValueError("the name of a shared memory block must not have a '/' or a zero in "
                         "it");
    }
    if (name.empty() && (!options.create || !options.name.empty())) {
        throw ValueError("shared memory that is not to be made needs a name");
    }
    return name;
}

MULTIPROCESSING_INLINE SharedMemory::SharedMemory(SharedMemoryOptions options)
    : name_(checked_block_name(options)) {
    const std::int64_t size = options.size;
    if (!options.create) {
        mapping_ = detail::attach_named_memory(name_);
    } else if (name_.empty()) {
        mapping_ = detail::create_named_memory(name_, size, detail::random_memory_name);
    } else {
        mapping_ = detail::create_named_memory(name_, size);
    }
    size_ = mapping_.get_size();
}

MULTIPROCESSING_INLINE SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : name_(std::exchange(other.name_, {})),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::move(other.mapping_)) {}

MULTIPROCESSING_INLINE SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
    name_ = std::exchange(other.name_, {});
    size_ = std::exchange(other.size_, 0);
    mapping_ = std::move(other.mapping_);
    return *this;
}

MULTIPROCESSING_INLINE void SharedMemory::unlink() const {
    if (name_.empty()) throw_moved_away();
    detail::unlink_named_memory(name_);
}

MULTIPROCESSING_INLINE SharedMemory SharedMemory::duplicate() const {
    SharedMemory other;
    other.name_ = name_;
    other.size_ = size_;
    if (mapping_.get_size() != 0) other.mapping_ = detail::map_again(mapping_, size_);
    return other;
}

MULTIPROCESSING_INLINE std::string text_of(const SharedMemory& block) {
    return "SharedMemory(" + detail::quoted(block.name_) + ", size=" + std::to_string(block.size_) +
           ")";
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void SharedMemory::throw_closed() {
    throw ValueError("the shared memory is closed");
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void SharedMemory::throw_moved_away() {
    throw ValueError("there is no shared memory here: it was moved away");
}

}  // namespace multiprocessing::shared_memory
