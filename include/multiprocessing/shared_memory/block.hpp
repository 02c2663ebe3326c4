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
#include "multiprocessing/detail/text.hpp"

namespace cereal {
class access;
}

namespace multiprocessing::shared_memory {

/// A number of bytes, from any integer type. A negative number is kept, to be refused.
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

/// How a block is made or found. Designated initialisers name the fields.
struct SharedMemoryOptions {
    std::string name = {};  ///< without a slash; empty with `create`: a new name, as psm_1a2b3c4d
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
/// The name stays until somebody calls unlink, even when every process has ended: that is its
/// purpose. For memory that goes with its last user, take Array or RawArray. A SharedMemoryManager
/// unlinks its blocks.
///
/// Differs: CPython also registers a block that it only attaches to, and unlinks it when the
/// program ends (gh-82300). Here attaching leaves no trace. The memory is taken when a block is
/// made. If there is none left, that is an ENOSPC, and not a SIGBUS at some later store. (A block
/// that Python made takes its memory as it is touched, whoever touches it.)
/// @par Processes Any process that may open the name (mode 0600: those of the same user). As an
/// argument, in a queue or in a struct a block travels by its name, and the receiver attaches to
/// it: the name must be there then. A forked child has its parent's mapping.
/// @par Source CPython Lib/multiprocessing/shared_memory.py, SharedMemory
class SharedMemory {
  public:
    /// Makes a block, its bytes zero, or attaches to one.
    /// @throws ValueError for a negative size, or 0 for a new block; for a name with a slash or a
    ///         zero in it; without a name when no block is to be made; when the block is empty
    /// @throws std::system_error EEXIST the name is taken, ENOENT it is not there, ENOSPC there is
    ///         no memory left for it, EFBIG, ENOMEM, EACCES, ENAMETOOLONG, EMFILE. After an error
    ///         there is no new name
    explicit SharedMemory(SharedMemoryOptions options);

    /// Takes the other's block over. The other is closed then, and has no name.
    SharedMemory(SharedMemory&& other) noexcept;
    /// Closes its own block and takes the other's over.
    SharedMemory& operator=(SharedMemory&& other) noexcept;
    /// Closes; the name stays.
    ~SharedMemory() = default;

    /// Returns the name, without a slash. It can be asked for after close, too.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Returns the size in bytes. It can be asked for after close, too.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Returns the memory, `size()` bytes of it. It is valid until close, or until the object that
    /// the block was moved to ends.
    /// @throws ValueError after close
    [[nodiscard]] std::span<std::byte> buf() const {
        if (mapping_.get_size() == 0) throw_closed();
        return detail::bytes_of(mapping_);
    }

    /// Gives up this object's access to the memory. A second call does nothing.
    ///
    /// Differs: CPython refuses while there are views of `buf`. A span does not tell that it
    /// exists.
    void close() noexcept { mapping_ = detail::mapped_region(); }

    /// Removes the name: nobody finds the block by it any more. Processes that have the block keep
    /// it, and the memory is freed with the last of them.
    /// @throws std::system_error ENOENT when the name is gone already @throws ValueError after a
    /// move
    void unlink() const;

    /// Returns a second object for the same memory. The name of the block may be gone by then.
    /// @throws std::system_error ENOMEM
    [[nodiscard]] SharedMemory duplicate() const;

    friend std::string text_of(const SharedMemory& block);

  private:
    friend class cereal::access;
    friend class ShareableList;

    SharedMemory() noexcept = default;

    [[noreturn, gnu::cold]] static void throw_closed();
    [[noreturn, gnu::cold]] static void throw_moved_away();

    template <class Archive>
    void save(Archive& archive) const {
        if (name_.empty()) throw_moved_away();
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

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_memory/block.ipp"
#endif
