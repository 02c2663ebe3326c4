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

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
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
namespace detail {

/// What is the same in all managers: the state, from its making to its shutdown by the process that
/// made it.
class ManagerLife {
  public:
    /// @throws std::bad_alloc
    ManagerLife();
    ManagerLife(ManagerLife&&) noexcept = default;
    /// Shuts its own state down and takes the other one over.
    ManagerLife& operator=(ManagerLife&& other) noexcept;
    ~ManagerLife() { shutdown(); }

    /// See BasicManager::shutdown.
    void shutdown() noexcept;
    /// @throws ValueError unless the manager is up
    void check_usable() const;
    /// Returns `<multiprocessing.managers.SyncManager state=STARTED>`, as str(manager) in Python.
    [[nodiscard]] std::string text() const;

    [[nodiscard]] const Handle<ManagerState>& state() const noexcept { return state_; }

  private:
    Handle<ManagerState> state_;
    ProcessId owner_ = self();
};

}  // namespace detail

/// Makes objects that processes share. Its dicts, lists and namespaces can be used until
/// shutdown(), or until the end of its scope in the process that made it. Its locks, queues, values
/// and arrays are those of the library, which need no manager.
///
/// Differs: there is no server process. The objects lie in shared memory. So an operation costs
/// nanoseconds, where in Python it is a round trip of microseconds, and there is no server whose
/// end would end the objects.
/// @par Source CPython Lib/multiprocessing/managers.py, SyncManager
template <class StartMethod>
class BasicManager {
  public:
    /// Makes a manager. @throws std::bad_alloc
    BasicManager() = default;
    /// Takes the manager over.
    BasicManager(BasicManager&&) noexcept = default;
    /// Shuts its own down and takes the other over.
    BasicManager& operator=(BasicManager&&) noexcept = default;

    /// Ends the manager: from now on each use of its dicts, lists and namespaces throws ValueError,
    /// in all processes. It does nothing when the manager has ended already, or in another process
    /// than the one that made it.
    void shutdown() noexcept { life_.shutdown(); }

    /// Makes a dict. K and V are picklable. @throws std::bad_alloc @throws ValueError after
    /// shutdown
    template <class K, class V>
    [[nodiscard]] DictProxy<K, V> dict() const {
        check_usable();
        return DictProxy<K, V>(life_.state());
    }
    /// The same, with entries: pairs, a map or another dict.
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

    /// Tells who has left out the types.
    template <int types = 0>
    void dict() const {
        static_assert(types != 0, "multiprocessing: a manager's dict needs the types of its keys "
                                  "and values: manager.dict<std::string, int>()");
    }

    /// Makes a list. T is picklable. @throws std::bad_alloc @throws ValueError after shutdown
    template <class T>
    [[nodiscard]] ListProxy<T> list() const {
        check_usable();
        return ListProxy<T>(life_.state());
    }
    /// The same, with items: any range or another list.
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

    /// Tells who has left out the type.
    template <int types = 0>
    void list() const {
        static_assert(types != 0, "multiprocessing: a manager's list needs the type of its items: "
                                  "manager.list<int>()");
    }

    /// Makes a namespace. @throws std::bad_alloc @throws ValueError after shutdown
    [[nodiscard]] NamespaceProxy Namespace() const {
        check_usable();
        return NamespaceProxy(
            detail::make_shared_object<detail::DictState>(life_.state().any(), true, true));
    }

    /// @{
    /// Makes what the constructor of that name makes. These are handles, which every process can
    /// hold also without a manager.
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
        check_usable();
        return BasicPool<StartMethod>(std::forward<Args>(args)...);
    }
    /// @}

    friend std::string text_of(const BasicManager& manager) { return manager.life_.text(); }

  protected:
    /// @throws ValueError unless the manager is up
    void check_usable() const { life_.check_usable(); }

  private:
    template <class Made, class... Args>
    [[nodiscard]] Made made(Args&&... args) const {
        check_usable();
        return Made(std::forward<Args>(args)...);
    }

    detail::ManagerLife life_;
};

/// A manager whose pools have the default start method.
using Manager = BasicManager<default_start_method>;

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/manager.ipp"
#endif
