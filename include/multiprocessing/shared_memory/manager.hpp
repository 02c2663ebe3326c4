// multiprocessing/shared_memory/manager.hpp
//
// SharedMemoryManager: removes the names of the blocks that it made. Mirrors CPython
// Lib/multiprocessing/managers.py, SharedMemoryManager, without its server process. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"

namespace multiprocessing {
namespace detail {

/// The names of the blocks that a manager has made and will remove.
class TrackedBlocks {
  public:
    /// Makes a block and notes its name. @param make returns the block
    /// @throws ValueError after unlink_all @throws std::system_error as SharedMemory
    template <class Make>
    auto track(Make make) {
        const std::lock_guard guard(mutex_);
        if (shut_down_) throw_shut_down();
        names_.emplace_back();  // first: without room for the name there must be no block
        try {
            auto made = make();
            names_.back() = name_of(made);
            return made;
        } catch (...) {
            names_.pop_back();
            throw;
        }
    }

    /// Removes all names; there can be no more.
    /// @throws std::system_error of the first that could not be removed, after all were tried
    void unlink_all();

    /// Returns whether unlink_all has been called. It takes no lock: it is for printing.
    [[nodiscard]] bool is_shut_down() const noexcept { return shut_down_; }

    /// Removes all names, at a time when no caller is left that an error could be thrown to: the
    /// error is reported.
    void unlink_all_at_end() noexcept;

  private:
    [[noreturn, gnu::cold]] static void throw_shut_down();
    static const std::string& name_of(const shared_memory::SharedMemory& block) {
        return block.name();
    }
    static const std::string& name_of(const shared_memory::ShareableList& list) {
        return list.shm().name();
    }

    std::mutex mutex_;
    std::vector<std::string> names_;
    std::atomic<bool> shut_down_{false};
};

}  // namespace detail

/// Makes blocks of shared memory, and unlinks them: at shutdown, at the end of its scope, or when
/// the process calls exit or its target returns.
///
///     mp::SharedMemoryManager manager;
///     auto block = manager.SharedMemory(4096);
///     auto list = manager.ShareableList({1, 2.5, "text"});
///
/// When the process is killed, nobody is left to do that. Its blocks stay in /dev/shm until
/// somebody removes them, as named memory is meant to. (CPython has two further processes for it,
/// which can be killed as well.) For memory that never stays, take Array or RawArray.
/// @par Processes All processes may use the blocks. The manager is for the threads of the process
/// that made it. A forked copy of it removes nothing, and its use is a ValueError.
/// @par Source CPython Lib/multiprocessing/managers.py, SharedMemoryManager
class SharedMemoryManager {
  public:
    /// Makes a manager without blocks.
    SharedMemoryManager();
    /// Takes the other's blocks over; the other is shut down then.
    SharedMemoryManager(SharedMemoryManager&&) noexcept = default;
    /// Shuts its own down and takes the other's blocks over.
    SharedMemoryManager& operator=(SharedMemoryManager&& other) noexcept;
    /// Unlinks the blocks, in the process that made the manager.
    ~SharedMemoryManager();

    /// Makes a block of `size` bytes. @throws ValueError after shutdown, or when the size is not
    /// positive @throws std::system_error ENOSPC, ENOMEM, EMFILE
    [[nodiscard]] shared_memory::SharedMemory SharedMemory(shared_memory::BlockSize size);

    /// Makes a list. @throws as SharedMemory, and as the list's constructor
    [[nodiscard]] shared_memory::ShareableList ShareableList(
        std::initializer_list<shared_memory::ShareableItem> items);
    /// Makes a list of the items of a range.
    template <detail::range_of_items Range>
    [[nodiscard]] shared_memory::ShareableList ShareableList(Range&& items) {
        return make<shared_memory::ShareableList>(shared_memory::ShareableListOptions{},
                                                  std::forward<Range>(items));
    }

    /// Unlinks the blocks; processes that have them keep them. A second call does nothing.
    /// @throws std::system_error when a name could not be removed; a name that is gone is no error
    /// @throws ValueError in a forked copy
    void shutdown();

    friend std::string text_of(const SharedMemoryManager& manager);

  private:
    void swap(SharedMemoryManager& other) noexcept;

    /// Asked before anything else: in a copy, threads that were not copied may hold the locks.
    [[nodiscard]] bool is_mine() const noexcept;
    void check_mine() const;
    /// @throws ValueError when it was moved from, or in a forked copy
    void check_usable() const;

    template <class Block, class... Args>
    Block make(Args&&... args) {
        check_usable();
        return blocks_->track([&] { return Block(std::forward<Args>(args)...); });
    }

    std::shared_ptr<detail::TrackedBlocks> blocks_;
    std::uint32_t maker_ = 0;  // the fork depth of the process that made it
    std::size_t hook_ = 0;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_memory/manager.ipp"
#endif
