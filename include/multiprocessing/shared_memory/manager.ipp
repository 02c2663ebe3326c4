// multiprocessing/shared_memory/manager.ipp
//
// How a SharedMemoryManager removes the names of its blocks: see manager.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/manager.hpp"

#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/named_memory.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"

namespace multiprocessing {
namespace detail {

MULTIPROCESSING_INLINE void TrackedBlocks::unlink_all() {
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

MULTIPROCESSING_INLINE void TrackedBlocks::unlink_all_at_end() noexcept {
    try {
        unlink_all();
    } catch (const std::exception& error) {
        report_error("a SharedMemoryManager", error.what());
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void TrackedBlocks::throw_shut_down() {
    throw ValueError("the SharedMemoryManager is shut down");
}

}  // namespace detail

MULTIPROCESSING_INLINE SharedMemoryManager::SharedMemoryManager()
    : blocks_(std::make_shared<detail::TrackedBlocks>()) {
    detail::heap();  // from now on forks are counted
    maker_ = detail::fork_depth();
    // Priority 0 as in CPython. Weak: a destructor frees what the hook would keep alive.
    hook_ = detail::ExitHooks::add(0, [weak = std::weak_ptr(blocks_)] {
        if (const auto blocks = weak.lock()) blocks->unlink_all_at_end();
    });
    detail::register_exit_handler();
}

MULTIPROCESSING_INLINE SharedMemoryManager& SharedMemoryManager::operator=(
    SharedMemoryManager&& other) noexcept {
    SharedMemoryManager(std::move(other)).swap(*this);
    return *this;
}

MULTIPROCESSING_INLINE SharedMemoryManager::~SharedMemoryManager() {
    if (!blocks_ || !is_mine()) return;
    detail::ExitHooks::remove(hook_);
    blocks_->unlink_all_at_end();
}

MULTIPROCESSING_INLINE shared_memory::SharedMemory SharedMemoryManager::SharedMemory(
    shared_memory::BlockSize size) {
    return make<shared_memory::SharedMemory>(
        shared_memory::SharedMemoryOptions{.create = true, .size = size});
}

MULTIPROCESSING_INLINE shared_memory::ShareableList SharedMemoryManager::ShareableList(
    std::initializer_list<shared_memory::ShareableItem> items) {
    return make<shared_memory::ShareableList>(shared_memory::ShareableListOptions{}, items);
}

MULTIPROCESSING_INLINE void SharedMemoryManager::shutdown() {
    if (!blocks_) return;
    check_mine();
    blocks_->unlink_all();
}

MULTIPROCESSING_INLINE std::string text_of(const SharedMemoryManager& manager) {
    const bool is_up = manager.blocks_ && !manager.blocks_->is_shut_down();
    return std::string("<multiprocessing.managers.SharedMemoryManager state=") +
           (is_up ? "STARTED>" : "SHUTDOWN>");
}

MULTIPROCESSING_INLINE void SharedMemoryManager::swap(SharedMemoryManager& other) noexcept {
    std::swap(blocks_, other.blocks_);
    std::swap(maker_, other.maker_);
    std::swap(hook_, other.hook_);
}

MULTIPROCESSING_INLINE bool SharedMemoryManager::is_mine() const noexcept {
    return maker_ == detail::fork_depth();
}

MULTIPROCESSING_INLINE void SharedMemoryManager::check_mine() const {
    if (!is_mine()) {
        throw ValueError("the SharedMemoryManager belongs to the process that made it");
    }
}

MULTIPROCESSING_INLINE void SharedMemoryManager::check_usable() const {
    if (!blocks_) throw ValueError("the SharedMemoryManager was moved away");
    check_mine();
}

}  // namespace multiprocessing
