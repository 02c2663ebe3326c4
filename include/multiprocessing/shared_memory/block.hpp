// multiprocessing/shared_memory/block.hpp
//
// SharedMemory: a block of memory that any process can find by its name, Python's included. Mirrors
// CPython Lib/multiprocessing/shared_memory.py, SharedMemory. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/named_memory.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace cereal {
class access;
}

namespace multiprocessing::shared_memory {

/// A number of bytes as any integer type gives it. A negative one is kept, to be refused.
class BlockSize {
  public:
    /// Takes a number of bytes, of any integer type.
    template <std::integral Integer>
        requires(!std::same_as<Integer, bool>)
    constexpr BlockSize(Integer bytes) noexcept
        : bytes_(std::cmp_greater(bytes, INT64_MAX) ? INT64_MAX
                                                    : static_cast<std::int64_t>(bytes)) {}
    /// Returns the number of bytes.
    constexpr operator std::int64_t() const noexcept { return bytes_; }

  private:
    std::int64_t bytes_;
};

/// What a block is made of or found by; designated initialisers name the fields.
struct SharedMemoryOptions {
    std::string name = {};  ///< without a slash; empty with `create`: a new one, as psm_1a2b3c4d
    bool create = false;    ///< make a new block; it is an error when the name is taken
    BlockSize size = 0;     ///< of a new block, in bytes; ignored otherwise
};

/// A block of shared memory with a name.
///
///     mp::shared_memory::SharedMemory block({.create = true, .size = 4096});
///     block.buf()[0] = std::byte{1};
///     SharedMemory same({.name = block.name()});    // in another program
///     block.unlink();                               // once, by whoever is to remove it
///
/// The name stays until somebody calls unlink, also when every process has ended: that is what
/// it is for. For memory that goes with its last user take Array or RawArray. Blocks of a
/// SharedMemoryManager are unlinked by it.
///
/// Differs: CPython also registers a block that it only attaches to, and unlinks it when the
/// program ends (gh-82300). Here attaching leaves no trace. The memory is taken when a block is
/// made: where there is none left that is an ENOSPC, and not a SIGBUS at some later store. (One
/// that Python made takes its memory as it is touched, by whomever.)
/// @par Processes Any that may open the name (its user's, mode 0600). As an argument, in a queue
/// or in a struct a block travels by its name, and is attached to on arrival: the name must be
/// there then. A forked child has its parent's mapping.
/// @par Source CPython Lib/multiprocessing/shared_memory.py, SharedMemory
class SharedMemory {
  public:
    /// Makes a block, its bytes zero, or attaches to one.
    /// @throws ValueError for a negative size, or 0 for a new block; for a name with a slash or a
    ///         zero in it; without a name when it is not to make one; when the block is empty
    /// @throws std::system_error EEXIST the name is taken, ENOENT it is not there, ENOSPC there is
    ///         no memory left for it, EFBIG, ENOMEM, EACCES, ENAMETOOLONG, EMFILE. After an error
    ///         there is no new name
    explicit SharedMemory(SharedMemoryOptions options) : name_(checked_name(options)) {
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

    /// What was moved from is closed, and has no name.
    SharedMemory(SharedMemory&& other) noexcept
        : name_(std::exchange(other.name_, {})),
          size_(std::exchange(other.size_, 0)),
          mapping_(std::move(other.mapping_)) {}
    /// Closes its own block and takes the other's over.
    SharedMemory& operator=(SharedMemory&& other) noexcept {
        name_ = std::exchange(other.name_, {});
        size_ = std::exchange(other.size_, 0);
        mapping_ = std::move(other.mapping_);
        return *this;
    }
    /// Closes; the name stays.
    ~SharedMemory() = default;

    /// Returns the name, without a slash; also after close.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Returns the size in bytes; also after close.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Returns the memory, `size()` bytes of it. It is valid until close, or until the object that
    /// the block was moved to ends.
    /// @throws ValueError after close
    [[nodiscard]] std::span<std::byte> buf() const {
        if (mapping_.get_size() == 0) throw ValueError("the shared memory is closed");
        return detail::bytes_of(mapping_);
    }

    /// Gives this object's access to the memory up. A second call does nothing.
    ///
    /// Differs: CPython refuses while there are views of `buf`. A span does not tell that it is
    /// there.
    void close() noexcept { mapping_ = detail::mapped_region(); }

    /// Removes the name: nobody finds the block by it any more. Those who have it keep it, and the
    /// memory is freed with the last of them.
    /// @throws std::system_error ENOENT when it is gone already @throws ValueError after a move
    void unlink() const {
        if (name_.empty()) throw ValueError("there is no shared memory here: it was moved away");
        detail::unlink_named_memory(name_);
    }

    /// Returns a second object for the same memory, which need not have its name any more.
    /// @throws std::system_error ENOMEM
    [[nodiscard]] SharedMemory duplicate() const {
        SharedMemory other;
        other.name_ = name_;
        other.size_ = size_;
        if (mapping_.get_size() != 0) other.mapping_ = detail::map_again(mapping_, size_);
        return other;
    }

    friend std::string text_of(const SharedMemory& block) {
        return "SharedMemory(" + detail::quoted(block.name_) +
               ", size=" + std::to_string(block.size_) + ")";
    }

  private:
    friend class cereal::access;
    friend class ShareableList;

    SharedMemory() noexcept = default;

    /// @returns the name without the slash that CPython has in front of it
    static std::string checked_name(const SharedMemoryOptions& options) {
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

    template <class Archive>
    void save(Archive& archive) const {
        if (name_.empty()) throw ValueError("there is no shared memory here: it was moved away");
        archive(name_);
    }
    template <class Archive>
    void load(Archive& archive) {
        std::string name;
        archive(name);
        *this = SharedMemory(SharedMemoryOptions{.name = std::move(name)});
    }

    std::string name_;
    std::size_t size_ = 0;
    detail::mapped_region mapping_;
};

}  // namespace multiprocessing::shared_memory
