// multiprocessing/remote/managers/typed_proxies.hpp
//
// Proxies that know what they are of: queues, dicts, lists, locks, events, namespaces and values in
// a manager's server, with the methods that the classes of one family have here. Mirrors the proxy
// types of CPython Lib/multiprocessing/managers.py. Floor 9. Start at RemoteQueue.
// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/managers/proxy.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// Returns a timeout as Python takes it: seconds, or None.
inline std::optional<double> seconds_of(Timeout timeout) {
    if (timeout.is_forever()) return std::nullopt;
    return std::chrono::duration<double>(timeout.nanoseconds()).count();
}

}  // namespace detail

/// A queue in a manager's server: a queue.Queue of Python's, or a Queue of a server in C++.
///
///     auto queue = manager.get<mp::RemoteQueue<int>>("get_queue");
///     queue.put(1);
///
/// @par Source CPython Lib/queue.py, Queue
template <class T>
class RemoteQueue : public RemoteProxy {
  public:
    using value_type = T;

    /// Makes an empty proxy.
    RemoteQueue() = default;
    /// Says that the object is a queue.
    RemoteQueue(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteQueue from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Puts an item in.
    ///
    /// **Blocking**: while the queue is full, at most for `timeout`.
    /// @throws Full when there was no room in time. Else as RemoteProxy::call
    void put(const T& item, bool block = true, Timeout timeout = std::nullopt) const {
        call("put", item, block, detail::seconds_of(timeout));
    }
    /// Not allowed: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    void put(const T&, Seconds) const = delete;  // write put(item, true, seconds)
    /// Puts an item in if there is room now. @throws Full
    void put_nowait(const T& item) const { call("put_nowait", item); }

    /// Takes the oldest item out.
    ///
    /// **Blocking**: while the queue is empty, at most for `timeout`.
    /// @throws Empty when there was no item in time. Else as RemoteProxy::call
    /// @throws TypeError when the item is no T; it is lost then
    T get(bool block = true, Timeout timeout = std::nullopt) const {
        return call<T>("get", block, detail::seconds_of(timeout));
    }
    /// Not allowed: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    T get(Seconds) const = delete;  // write get(true, seconds)
    /// Takes the oldest item if there is one now. @throws Empty
    T get_nowait() const { return call<T>("get_nowait"); }
    /// Takes the oldest item if there is one now; returns nothing when there is none.
    std::optional<T> try_get() const {
        try {
            return get_nowait();
        } catch (const Empty&) {
            return std::nullopt;
        }
    }

    /// @{
    /// As in Queue and JoinableQueue.
    [[nodiscard]] std::size_t qsize() const { return call<std::size_t>("qsize"); }
    [[nodiscard]] bool empty() const { return call<bool>("empty"); }
    [[nodiscard]] bool full() const { return call<bool>("full"); }
    void task_done() const { call("task_done"); }
    void join() const { call("join"); }
    /// @}
};

/// A dict in a manager's server.
///
///     auto counts = manager.get<mp::RemoteDict<std::string, int>>("counts");
///     counts.set("oak", 1);
///
/// Differs from DictProxy: `+=` would be two calls, between which another client could come. So
/// there is no `d[k]`; put what must be one step into a method of a type of your own.
/// @par Source CPython Lib/multiprocessing/managers.py, DictProxy
template <class K, class V>
class RemoteDict : public RemoteProxy {
  public:
    using key_type = K;     ///< of the keys
    using mapped_type = V;  ///< of the values

    /// Makes an empty proxy.
    RemoteDict() = default;
    /// Says that the object is a dict.
    RemoteDict(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteDict from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Returns the value of a key. @throws KeyError
    [[nodiscard]] V at(const K& key) const { return call<V>("__getitem__", key); }
    /// Returns the value of a key, or nothing.
    [[nodiscard]] std::optional<V> get(const K& key) const {
        return call<std::optional<V>>("get", key);
    }
    /// Returns the value of a key, or `otherwise`.
    [[nodiscard]] V get(const K& key, const V& otherwise) const {
        return call<V>("get", key, otherwise);
    }
    /// Sets the value of a key.
    void set(const K& key, const V& value) const { call("__setitem__", key, value); }
    /// Returns the value of a key. When there is none, sets it to `value` first.
    V setdefault(const K& key, const V& value) const { return call<V>("setdefault", key, value); }
    /// Says whether the key is there.
    [[nodiscard]] bool contains(const K& key) const { return call<bool>("__contains__", key); }
    /// Takes an entry out. @throws KeyError
    void erase(const K& key) const { call("__delitem__", key); }
    /// Takes an entry out and returns its value. @throws KeyError
    V pop(const K& key) const { return call<V>("pop", key); }
    /// The same, or returns `otherwise`.
    V pop(const K& key, const V& otherwise) const { return call<V>("pop", key, otherwise); }
    /// Takes the latest entry out. @throws KeyError
    std::pair<K, V> popitem() const { return call<std::pair<K, V>>("popitem"); }
    /// Sets the values of many keys.
    void update(const std::map<K, V>& entries) const { call("update", entries); }
    /// Takes all entries out.
    void clear() const { call("clear"); }

    /// @{
    /// Return how many entries there are, and whether there are none.
    [[nodiscard]] std::size_t size() const { return call<std::size_t>("__len__"); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// @}

    /// Returns a copy of all entries.
    [[nodiscard]] std::map<K, V> to_map() const { return call<std::map<K, V>>("copy"); }
    /// Returns the entries in the order of their insertion.
    [[nodiscard]] std::vector<std::pair<K, V>> items() const {
        return entries_of(call<pickle::object>("copy"));
    }
    /// Returns the keys in the order of their insertion.
    [[nodiscard]] std::vector<K> keys() const {
        std::vector<K> keys;
        for (auto& entry : items()) keys.push_back(std::move(entry.first));
        return keys;
    }
    /// Returns the values in the order of their insertion.
    [[nodiscard]] std::vector<V> values() const {
        std::vector<V> values;
        for (auto& entry : items()) values.push_back(std::move(entry.second));
        return values;
    }

  private:
    // Not by items(): Python before 3.13 sends its views as lists only where a manager asks for it.
    static std::vector<std::pair<K, V>> entries_of(const pickle::object& dict) {
        std::vector<std::pair<K, V>> entries;
        for (const auto& [key, value] : dict.dict_items()) {
            entries.emplace_back(key.template get<K>(), value.template get<V>());
        }
        return entries;
    }
};

/// A list in a manager's server.
/// @par Source CPython Lib/multiprocessing/managers.py, ListProxy
template <class T>
class RemoteList : public RemoteProxy {
  public:
    using value_type = T;

    /// Makes an empty proxy.
    RemoteList() = default;
    /// Says that the object is a list.
    RemoteList(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteList from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Returns an item; -1 is the last. @throws IndexError
    [[nodiscard]] T at(std::ptrdiff_t index) const { return call<T>("__getitem__", index); }
    /// Returns an item. @throws IndexError
    [[nodiscard]] T operator[](std::ptrdiff_t index) const { return at(index); }
    /// Changes an item. @throws IndexError
    void set(std::ptrdiff_t index, const T& value) const { call("__setitem__", index, value); }
    /// Returns the items from `start` to before `stop`; bounds are clipped as in Python.
    [[nodiscard]] std::vector<T> slice(std::ptrdiff_t start, std::ptrdiff_t stop) const {
        const auto bounds =
            pickle::object::call(pickle::object::global("builtins", "slice"),
                                 {pickle::object(start), pickle::object(stop), pickle::object()});
        return call<std::vector<T>>("__getitem__", bounds);
    }

    /// @{
    /// As in ListProxy.
    void append(const T& value) const { call("append", value); }
    void extend(const std::vector<T>& items) const { call("extend", items); }
    void insert(std::ptrdiff_t index, const T& value) const { call("insert", index, value); }
    T pop(std::ptrdiff_t index = -1) const { return call<T>("pop", index); }
    void erase(std::ptrdiff_t index) const { call("__delitem__", index); }
    void remove(const T& value) const { call("remove", value); }
    [[nodiscard]] std::size_t index(const T& value) const {
        return call<std::size_t>("index", value);
    }
    [[nodiscard]] std::size_t count(const T& value) const {
        return call<std::size_t>("count", value);
    }
    [[nodiscard]] bool contains(const T& value) const { return call<bool>("__contains__", value); }
    void reverse() const { call("reverse"); }
    void sort() const { call("sort"); }
    [[nodiscard]] std::size_t size() const { return call<std::size_t>("__len__"); }
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// @}

    /// Returns a copy of all items.
    [[nodiscard]] std::vector<T> to_vector() const {
        return slice(0, (std::numeric_limits<std::ptrdiff_t>::max)());
    }
};

/// A Lock, RLock or semaphore in a manager's server. It is a standard lockable.
///
/// An RLock of a server in Python belongs to this thread's connection: release it in the same
/// thread.
/// @par Source CPython Lib/multiprocessing/managers.py, AcquirerProxy
class RemoteLock : public RemoteProxy {
  public:
    /// Makes an empty proxy.
    RemoteLock() = default;
    /// Says that the object is a lock.
    RemoteLock(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteLock from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Acquires the lock.
    ///
    /// **Blocking**: while another one has it, at most for `timeout`.
    /// @param block false: do not wait, whatever the timeout
    /// @returns whether it was acquired
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        // Python refuses a timeout for a lock that is not waited for, and None for one that is.
        if (!block) return call<bool>("acquire", false);
        const auto seconds = detail::seconds_of(timeout);
        return seconds ? call<bool>("acquire", true, *seconds) : call<bool>("acquire");
    }
    /// Not allowed: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)
    /// Releases the lock.
    void release() const { call("release"); }

    /// @{
    /// For std::scoped_lock and std::unique_lock.
    void lock() const { (void)acquire(); }
    bool try_lock() const { return acquire(false); }
    void unlock() const { release(); }
    /// @}
};

/// An Event in a manager's server.
/// @par Source CPython Lib/multiprocessing/managers.py, EventProxy
class RemoteEvent : public RemoteProxy {
  public:
    /// Makes an empty proxy.
    RemoteEvent() = default;
    /// Says that the object is an event.
    RemoteEvent(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteEvent from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// @{
    /// As in Event.
    [[nodiscard]] bool is_set() const { return call<bool>("is_set"); }
    void set() const { call("set"); }
    void clear() const { call("clear"); }
    bool wait(Timeout timeout = std::nullopt) const {
        return call<bool>("wait", detail::seconds_of(timeout));
    }
    /// @}
};

/// Named values in a manager's server.
/// @par Source CPython Lib/multiprocessing/managers.py, NamespaceProxy
class RemoteNamespace : public RemoteProxy {
    template <class Call>
    static auto of_name(const std::string& name, Call call) {
        try {
            return call();
        } catch (const RemoteError& error) {
            if (error.type_name() != "AttributeError") throw;
            throw KeyError("the namespace has no attribute '" + name + "'");
        }
    }

  public:
    /// Makes an empty proxy.
    RemoteNamespace() = default;
    /// Says that the object is a namespace.
    RemoteNamespace(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteNamespace from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Sets a value.
    template <class T>
    void set(const std::string& name, const T& value) const {
        call("__setattr__", name, value);
    }
    /// Returns a value. @throws KeyError when there is none of that name
    template <class T>
    [[nodiscard]] T get(const std::string& name) const {
        return of_name(name, [&] { return call<T>("__getattribute__", name); });
    }
    /// Says whether the attribute is there.
    [[nodiscard]] bool has(const std::string& name) const {
        try {
            (void)get<pickle::object>(name);
            return true;
        } catch (const KeyError&) {
            return false;
        }
    }
    /// Takes a value out. @throws KeyError when there is none of that name
    void del(const std::string& name) const {
        of_name(name, [&] { call("__delattr__", name); });
    }
};

/// One value in a manager's server: a Value of Python's or of a server in C++.
/// @par Source CPython Lib/multiprocessing/managers.py, ValueProxy
template <class T>
class RemoteValue : public RemoteProxy {
  public:
    using value_type = T;

    /// Makes an empty proxy.
    RemoteValue() = default;
    /// Says that the object is a value.
    RemoteValue(RemoteProxy proxy) noexcept : RemoteProxy(std::move(proxy)) {}
    /// As in RemoteProxy.
    static RemoteValue from_pickle(const pickle::object& value) {
        return RemoteProxy::from_pickle(value);
    }

    /// Returns the value.
    [[nodiscard]] T get() const { return call<T>("get"); }
    /// Changes the value.
    void set(const T& value) const { call("set", value); }
};

}  // namespace multiprocessing
