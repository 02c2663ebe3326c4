// multiprocessing/managers/manager.hpp
//
// Manager: makes dicts, lists and namespaces, and ends them all at once. Mirrors CPython
// Lib/multiprocessing/managers.py, SyncManager. Floor 6. Start at BasicManager.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <initializer_list>
#include <ranges>
#include <string>
#include <utility>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_proxy.hpp"
#include "multiprocessing/managers/namespace_proxy.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"

namespace multiprocessing {

/// Makes objects that processes share. Its dicts, lists and namespaces can be used until
/// shutdown(), at the latest until the end of its scope in the process that made it; its locks,
/// queues, values and arrays are those of the library, which need no manager.
///
/// Differs: there is no server process. The objects lie in shared memory, so an operation costs
/// nanoseconds where it is a round trip of microseconds in Python, and nothing ends with a server.
/// @par Source CPython Lib/multiprocessing/managers.py, SyncManager
template <class StartMethod>
class BasicManager {
  public:
    /// Makes a manager. @throws std::bad_alloc
    BasicManager() : state_(detail::make_shared_object<detail::ManagerState>()) {}
    /// Takes the manager over.
    BasicManager(BasicManager&&) noexcept = default;
    /// Shuts its own down and takes the other over.
    BasicManager& operator=(BasicManager&& other) noexcept {
        BasicManager(std::move(other)).swap(*this);
        return *this;
    }
    ~BasicManager() { shutdown(); }

    /// Ends the manager: from now on its dicts, lists and namespaces are a ValueError, in all
    /// processes. A second time, and in another process than the one that made it, it does nothing.
    void shutdown() noexcept {
        if (state_ && owner_ == detail::self()) {
            state_->is_down.store(1, std::memory_order_release);
        }
    }

    /// Makes a dict; K and V are picklable. @throws std::bad_alloc @throws ValueError after
    /// shutdown
    template <class K, class V>
    [[nodiscard]] DictProxy<K, V> dict() const {
        check();
        return DictProxy<K, V>(state_);
    }
    /// The same, with entries: pairs, a map, or another dict.
    template <class K, class V, std::ranges::input_range Entries>
    [[nodiscard]] DictProxy<K, V> dict(const Entries& entries) const {
        auto made = dict<K, V>();
        made.update(entries);
        return made;
    }
    /// Makes a dict of the entries listed.
    template <class K, class V>
    [[nodiscard]] DictProxy<K, V> dict(std::initializer_list<std::pair<K, V>> entries) const {
        auto made = dict<K, V>();
        made.update(entries);
        return made;
    }

    /// Makes a list; T is picklable. @throws std::bad_alloc @throws ValueError after shutdown
    template <class T>
    [[nodiscard]] ListProxy<T> list() const {
        check();
        return ListProxy<T>(state_);
    }
    /// The same, with items: any range, or another list.
    template <class T, std::ranges::input_range Items>
    [[nodiscard]] ListProxy<T> list(const Items& items) const {
        auto made = list<T>();
        made.extend(items);
        return made;
    }
    /// Makes a list of the items listed.
    template <class T>
    [[nodiscard]] ListProxy<T> list(std::initializer_list<T> items) const {
        auto made = list<T>();
        made.extend(items);
        return made;
    }

    /// Makes a namespace. @throws std::bad_alloc @throws ValueError after shutdown
    [[nodiscard]] NamespaceProxy Namespace() const {
        check();
        return NamespaceProxy(
            detail::make_shared_object<detail::DictState>(state_.any(), true, true));
    }

    /// @{
    /// Makes what the constructor of that name makes: handles that every process can hold anyway.
    /// @throws ValueError after shutdown
    [[nodiscard]] auto Lock() const { return made<multiprocessing::Lock>(); }
    [[nodiscard]] auto RLock() const { return made<multiprocessing::RLock>(); }
    [[nodiscard]] auto Semaphore(int value = 1) const {
        return made<multiprocessing::Semaphore>(value);
    }
    [[nodiscard]] auto BoundedSemaphore(int value = 1) const {
        return made<multiprocessing::BoundedSemaphore>(value);
    }
    [[nodiscard]] auto Condition() const { return made<multiprocessing::Condition>(); }
    [[nodiscard]] auto Condition(const BasicLock& lock) const {
        return made<multiprocessing::Condition>(lock);
    }
    [[nodiscard]] auto Event() const { return made<multiprocessing::Event>(); }
    template <class F = std::nullptr_t>
    [[nodiscard]] auto Barrier(int parties, F action = {}, Timeout timeout = std::nullopt) const {
        return made<multiprocessing::Barrier>(parties, std::move(action), timeout);
    }
    template <class T>
    [[nodiscard]] auto Queue(int maxsize = 0) const {
        return made<multiprocessing::Queue<T>>(maxsize);
    }
    template <class T>
    [[nodiscard]] auto JoinableQueue(int maxsize = 0) const {
        return made<multiprocessing::JoinableQueue<T>>(maxsize);
    }
    template <class T>
    [[nodiscard]] auto Value(const T& initial = T{}) const {
        return made<multiprocessing::Value<T>>(initial);
    }
    template <class T, class... Args>
    [[nodiscard]] auto Array(Args&&... args) const {
        return made<multiprocessing::Array<T>>(std::forward<Args>(args)...);
    }
    template <class T>
    [[nodiscard]] auto Array(std::initializer_list<T> items) const {
        return made<multiprocessing::Array<T>>(items);
    }
    template <class... Args>
    [[nodiscard]] auto Pool(Args&&... args) const {
        check();
        return BasicPool<StartMethod>(std::forward<Args>(args)...);
    }
    /// @}

    friend std::string text_of(const BasicManager& manager) {
        const bool is_up = manager.state_ && manager.state_->is_down.load() == 0;
        return std::string("<multiprocessing.managers.SyncManager state=") +
               (is_up ? "STARTED>" : "SHUTDOWN>");
    }

  protected:
    /// @throws ValueError unless the manager is up
    void check() const {
        if (!state_) throw ValueError("the manager was moved from");
        state_->check();
    }

  private:
    template <class Made, class... Args>
    [[nodiscard]] Made made(Args&&... args) const {
        check();
        return Made(std::forward<Args>(args)...);
    }

    void swap(BasicManager& other) noexcept {
        std::swap(state_, other.state_);
        std::swap(owner_, other.owner_);
    }

    detail::Handle<detail::ManagerState> state_;
    detail::ProcessId owner_ = detail::self();
};

/// A manager whose pools have the default start method.
using Manager = BasicManager<default_start_method>;

}  // namespace multiprocessing
