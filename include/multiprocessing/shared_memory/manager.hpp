// multiprocessing/shared_memory/manager.hpp
//
// SharedMemoryManager: removes the names of the blocks that it made. Mirrors CPython
// Lib/multiprocessing/managers.py, SharedMemoryManager, without its server process. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "multiprocessing/detail/named_memory.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"

namespace multiprocessing {
namespace detail {

/// The names of the blocks that a manager made and is to remove.
class TrackedBlocks {
  public:
    /// Makes a block and notes its name. @param make returns the block
    /// @throws ValueError after unlink_all @throws std::system_error as SharedMemory
    template <class Make>
    auto track(Make make) {
        const std::lock_guard guard(mutex_);
        if (shut_down_) throw ValueError("the SharedMemoryManager is shut down");
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
    /// @throws std::system_error of the first that could not be removed, when all were tried
    void unlink_all() {
        const std::lock_guard guard(mutex_);
        shut_down_ = true;
        std::exception_ptr first;
        for (const std::string& name : std::exchange(names_, {})) {
            try {
                unlink_named_memory(name);
            } catch (const std::system_error& error) {
                const bool user_was_faster = error.code() == std::errc::no_such_file_or_directory;
                if (!user_was_faster && !first) first = std::current_exception();
            }
        }
        if (first) std::rethrow_exception(first);
    }

    /// Returns whether unlink_all has been called. It takes no lock: it is for printing.
    [[nodiscard]] bool is_shut_down() const noexcept { return shut_down_; }

    /// The same where nobody is left who could be told of an error.
    void unlink_all_at_end() noexcept {
        try {
            unlink_all();
        } catch (const std::exception& error) {
            report_error("a SharedMemoryManager", error.what());
        }
    }

  private:
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
/// When the process is killed nobody is left to do that: its blocks stay in /dev/shm until somebody
/// removes them, as all named memory does by request. (CPython has two further processes for it,
/// which can be killed as well.) For memory that never stays take Array or RawArray.
/// @par Processes The blocks are for all; the manager is for the threads of the process that made
/// it. A forked copy of it removes nothing, and its use is a ValueError
/// @par Source CPython Lib/multiprocessing/managers.py, SharedMemoryManager
class SharedMemoryManager {
  public:
    SharedMemoryManager() : blocks_(std::make_shared<detail::TrackedBlocks>()) {
        detail::heap();  // from now on forks are counted
        maker_ = detail::fork_depth();
        // Priority 0 as in CPython. Weak: what the hook would keep alive is freed by a destructor.
        hook_ = detail::ExitHooks::add(0, [weak = std::weak_ptr(blocks_)] {
            if (const auto blocks = weak.lock()) blocks->unlink_all_at_end();
        });
        detail::register_exit_handler();
    }
    /// What was moved from is shut down.
    SharedMemoryManager(SharedMemoryManager&&) noexcept = default;
    /// Shuts its own down and takes the other over.
    SharedMemoryManager& operator=(SharedMemoryManager&& other) noexcept {
        SharedMemoryManager(std::move(other)).swap(*this);
        return *this;
    }
    ~SharedMemoryManager() {
        if (!blocks_ || !is_mine()) return;
        detail::ExitHooks::remove(hook_);
        blocks_->unlink_all_at_end();
    }

    /// Makes a block of `size` bytes. @throws ValueError after shutdown, or when the size is not
    /// positive @throws std::system_error ENOSPC, ENOMEM, EMFILE
    [[nodiscard]] shared_memory::SharedMemory SharedMemory(shared_memory::BlockSize size) {
        return make<shared_memory::SharedMemory>(
            shared_memory::SharedMemoryOptions{.create = true, .size = size});
    }

    /// Makes a list. @throws as SharedMemory, and as the list's constructor
    [[nodiscard]] shared_memory::ShareableList ShareableList(
        std::initializer_list<shared_memory::ShareableItem> items) {
        return make<shared_memory::ShareableList>(shared_memory::ShareableListOptions{}, items);
    }
    /// Makes a list of the items of a range.
    template <detail::range_of_items Range>
    [[nodiscard]] shared_memory::ShareableList ShareableList(Range&& items) {
        return make<shared_memory::ShareableList>(shared_memory::ShareableListOptions{},
                                                  std::forward<Range>(items));
    }

    /// Unlinks the blocks; those who have them keep them. A second call does nothing.
    /// @throws std::system_error when a name could not be removed; a name that is gone is no error
    /// @throws ValueError in a forked copy
    void shutdown() {
        if (!blocks_) return;
        check_mine();
        blocks_->unlink_all();
    }

    friend std::string text_of(const SharedMemoryManager& manager) {
        const bool is_up = manager.blocks_ && !manager.blocks_->is_shut_down();
        return std::string("<multiprocessing.managers.SharedMemoryManager state=") +
               (is_up ? "STARTED>" : "SHUTDOWN>");
    }

  private:
    void swap(SharedMemoryManager& other) noexcept {
        std::swap(blocks_, other.blocks_);
        std::swap(maker_, other.maker_);
        std::swap(hook_, other.hook_);
    }

    // The first thing asked: in a copy the locks may be held by threads that were not copied.
    [[nodiscard]] bool is_mine() const noexcept { return maker_ == detail::fork_depth(); }
    void check_mine() const {
        if (!is_mine()) {
            throw ValueError("the SharedMemoryManager belongs to the process that made it");
        }
    }

    template <class Block, class... Args>
    Block make(Args&&... args) {
        if (!blocks_) throw ValueError("the SharedMemoryManager was moved away");
        check_mine();
        return blocks_->track([&] { return Block(std::forward<Args>(args)...); });
    }

    std::shared_ptr<detail::TrackedBlocks> blocks_;
    std::uint32_t maker_ = 0;  // at which depth of forks it was made
    std::size_t hook_ = 0;
};

}  // namespace multiprocessing
