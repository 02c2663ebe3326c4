// multiprocessing/remote/managers/exposed.hpp
//
// The methods of the library's own handles, for functions that a manager's server has registered:
// what Python's threading and queue call the same methods, with the same parameters. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/managers.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/remote/managers/caller.hpp"
#include "multiprocessing/remote/managers/methods.hpp"
#include "multiprocessing/remote/managers/object_iterator.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/synchronize.hpp"

namespace multiprocessing::detail {

template <>
struct Exposed<ObjectIterator> {
    static constexpr bool known = true;
    template <class Self = ObjectIterator>
    static std::vector<NamedMethod<Self>> methods() {
        return {{"__next__", [](Self& iterator) { return iterator.next(); }},
                {"close", [](Self& iterator) { iterator.close(); }}};
    }
};

/// Makes the reply of a method that returns an iterator over a copy of the items.
inline CallResult iterator_over(std::vector<pickle::object> items) {
    CallResult result;
    result.made = servant_of_pointer(std::make_shared<ObjectIterator>(std::move(items)),
                                     exposed_table<ObjectIterator>());
    result.made_type = "Iterator";
    return result;
}

/// Takes an item in the place of a caller. @throws Empty, ShutDown, CallerGone
template <class Queue>
typename Queue::value_type get_for_caller(Queue& queue, bool block, Timeout timeout) {
    if (!block) return queue.get(false);
    std::optional<typename Queue::value_type> item;
    const bool got = wait_for_caller(timeout, [&](Timeout slice) {
        try {
            item.emplace(queue.get(true, slice));
        } catch (const Empty&) {
        }
        return item.has_value();
    });
    if (!got) throw Empty();
    return std::move(*item);
}

/// Puts an item in in the place of a caller. @throws Full, ShutDown, CallerGone
template <class Queue>
void put_for_caller(Queue& queue, const typename Queue::value_type& item, bool block,
                    Timeout timeout) {
    if (!block) return queue.put(item, false);
    const bool put = wait_for_caller(timeout, [&](Timeout slice) {
        try {
            queue.put(item, true, slice);
        } catch (const Full&) {
            return false;
        }
        return true;
    });
    if (!put) throw Full();
}

/// What Queue and JoinableQueue have in common.
template <class Queue>
std::vector<NamedMethod<Queue>> methods_of_queue() {
    using T = typename Queue::value_type;
    const auto get = [](Queue& queue, bool block, Timeout timeout) {
        CallResult result;
        T item = get_for_caller(queue, block, timeout);
        result.reply = reply_of("#RETURN", item);
        // The last of the queue is better than lost.
        result.undo = [queue, item = std::move(item)] { queue.put(item); };
        return result;
    };
    return {{"put",
             [](Queue& queue, const T& item, std::optional<bool> block, Timeout timeout) {
                 put_for_caller(queue, item, block.value_or(true), timeout);
             },
             {"item", "block", "timeout"}},
            {"get",
             [get](Queue& queue, std::optional<bool> block, Timeout timeout) {
                 return get(queue, block.value_or(true), timeout);
             },
             {"block", "timeout"}},
            {"put_nowait", [](Queue& queue, const T& item) { queue.put(item, false); }, {"item"}},
            {"get_nowait", [get](Queue& queue) { return get(queue, false, 0); }},
            {"qsize", [](Queue& queue) { return static_cast<std::int64_t>(queue.qsize()); }},
            {"empty", [](Queue& queue) { return queue.empty(); }},
            {"full", [](Queue& queue) { return queue.full(); }},
            {"shutdown",
             [](Queue& queue, std::optional<bool> immediate) {
                 queue.shutdown(immediate.value_or(false));
             },
             {"immediate"}}};
}

template <class T>
struct Exposed<Queue<T>> {
    static constexpr bool known = true;
    static auto methods() { return methods_of_queue<Queue<T>>(); }
};

template <class T>
struct Exposed<JoinableQueue<T>> {
    static constexpr bool known = true;
    static auto methods() {
        using Self = JoinableQueue<T>;
        auto methods = methods_of_queue<Self>();
        methods.push_back({"task_done", [](Self& queue) { queue.task_done(); }});
        methods.push_back({"join", [](Self& queue) {
                               (void)wait_for_caller(std::nullopt, [&](Timeout slice) {
                                   try {
                                       queue.join(slice);
                                   } catch (const TimeoutError&) {
                                       return false;
                                   }
                                   return true;
                               });
                           }});
        return methods;
    }
};

/// The locks that belong to a thread: they are released by the one that has acquired them.
template <class Lock>
inline constexpr bool is_of_thread = std::is_same_v<Lock, RLock> || std::is_same_v<Lock, Condition>;

/// What everything has that can be acquired.
template <class Lock>
std::vector<NamedMethod<Lock>> methods_of_lock() {
    const auto acquire = [](Lock& lock, bool blocking, Timeout timeout) {
        if (!blocking) return lock.acquire(false);
        return wait_for_caller(timeout, [&](Timeout slice) { return lock.acquire(true, slice); });
    };
    return {{"acquire",
             [acquire](Lock& lock, std::optional<bool> blocking, Timeout timeout) {
                 CallResult result;
                 const bool acquired = acquire(lock, blocking.value_or(true), timeout);
                 result.reply = reply_of("#RETURN", acquired);
                 if (!acquired) return result;
                 result.undo = Caller::note_acquired(identity_of(lock), is_of_thread<Lock>,
                                                     [lock]() mutable { lock.release(); });
                 return result;
             },
             {"blocking", "timeout"}},
            {"release", [](Lock& lock) {
                 lock.release();
                 Caller::note_released(identity_of(lock), is_of_thread<Lock>);
             }}};
}

template <>
struct Exposed<Lock> {
    static constexpr bool known = true;
    template <class Self = Lock>
    static std::vector<NamedMethod<Self>> methods() {
        auto methods = methods_of_lock<Self>();
        methods.push_back({"locked", [](Self& lock) { return lock.locked(); }});
        return methods;
    }
};
template <>
struct Exposed<RLock> {
    static constexpr bool known = true;
    template <class Self = RLock>
    static std::vector<NamedMethod<Self>> methods() {
        return methods_of_lock<Self>();
    }
};
template <>
struct Exposed<Semaphore> {
    static constexpr bool known = true;
    template <class Self = Semaphore>
    static std::vector<NamedMethod<Self>> methods() {
        return methods_of_lock<Self>();
    }
};
template <>
struct Exposed<BoundedSemaphore> {
    static constexpr bool known = true;
    template <class Self = BoundedSemaphore>
    static std::vector<NamedMethod<Self>> methods() {
        return methods_of_lock<Self>();
    }
};

/// Waits at a condition in the place of a caller. A notification that reaches it when the caller
/// has gone is given to another who waits.
inline CallResult wait_for_notification(Condition& condition, Timeout timeout) {
    const bool notified = condition.wait_in_place(Caller::has_gone, timeout);
    const auto give_on = [condition, notified] {
        if (notified) condition.notify();  // the lock is still this thread's
    };
    if (Caller::has_gone()) {
        give_on();
        throw CallerGone();
    }
    CallResult result;
    result.reply = reply_of("#RETURN", notified);
    if (notified) result.undo = give_on;
    return result;
}

template <>
struct Exposed<Condition> {
    static constexpr bool known = true;
    template <class Self = Condition>
    static std::vector<NamedMethod<Self>> methods() {
        auto methods = methods_of_lock<Self>();
        methods.push_back({"wait", wait_for_notification, {"timeout"}});
        methods.push_back(
            {"notify",
             [](Self& condition, std::optional<int> n) { condition.notify(n.value_or(1)); },
             {"n"}});
        methods.push_back({"notify_all", [](Self& condition) { condition.notify_all(); }});
        return methods;
    }
};

template <>
struct Exposed<Event> {
    static constexpr bool known = true;
    template <class Self = Event>
    static std::vector<NamedMethod<Self>> methods() {
        return {{"is_set", [](Self& event) { return event.is_set(); }},
                {"set", [](Self& event) { event.set(); }},
                {"clear", [](Self& event) { event.clear(); }},
                {"wait",
                 [](Self& event, Timeout timeout) {
                     return wait_for_caller(timeout,
                                            [&](Timeout slice) { return event.wait(slice); });
                 },
                 {"timeout"}}};
    }
};

template <>
struct Exposed<Barrier> {
    static constexpr bool known = true;
    template <class Self = Barrier>
    static std::vector<NamedMethod<Self>> methods() {
        return {{"wait",
                 [](Self& barrier, Timeout timeout) {
                     return barrier.wait_in_place(Caller::has_gone, timeout);
                 },
                 {"timeout"}},
                {"abort", [](Self& barrier) { barrier.abort(); }},
                {"reset", [](Self& barrier) { barrier.reset(); }},
                {"__getattribute__", [](Self& barrier, const std::string& name) {
                     if (name == "parties") return to_object(barrier.parties());
                     if (name == "n_waiting") return to_object(barrier.n_waiting());
                     if (name == "broken") return to_object(barrier.broken());
                     throw_attribute_error("Barrier", name);
                 }}};
    }
};

template <class T>
struct Exposed<Value<T>> {
    static constexpr bool known = true;
    static std::vector<NamedMethod<Value<T>>> methods() {
        return {{"get", [](Value<T>& value) { return T(value.value); }},
                {"set", [](Value<T>& value, const T& x) { value.value = x; }, {"value"}}};
    }
};

template <class K, class V>
struct Exposed<DictProxy<K, V>> {
    static constexpr bool known = true;
    using Dict = DictProxy<K, V>;
    static pickle::object value(const Dict& dict) { return dict_object(dict.items()); }
    static std::vector<NamedMethod<Dict>> methods() {
        const auto pop = [](Dict& dict, const K& key, std::optional<pickle::object> otherwise) {
            try {
                return to_object(dict.pop(key));
            } catch (const KeyError&) {
                if (!otherwise) throw;
                return std::move(*otherwise);
            }
        };
        const auto get = [](Dict& dict, const K& key, std::optional<pickle::object> otherwise) {
            const std::optional<V> found = dict.get(key);
            return found ? to_object(*found) : std::move(otherwise).value_or(pickle::object());
        };
        return {
            {"__contains__", [](Dict& dict, const K& key) { return dict.contains(key); }},
            {"__delitem__", [](Dict& dict, const K& key) { (void)dict.pop(key); }},
            {"__getitem__", [](Dict& dict, const K& key) { return dict.at(key); }},
            {"__iter__",
             [](Dict& dict) { return iterator_over(items_of(to_object(dict.keys()))); }},
            {"__len__", [](Dict& dict) { return static_cast<std::int64_t>(dict.size()); }},
            {"__setitem__", [](Dict& dict, const K& key, const V& item) { dict.set(key, item); }},
            {"clear", [](Dict& dict) { dict.clear(); }},
            {"copy", [](Dict& dict) { return value(dict); }},
            {"get", get, {"key", "default"}},
            {"items", [](Dict& dict) { return dict.items(); }},
            {"keys", [](Dict& dict) { return dict.keys(); }},
            {"pop", pop, {"key", "default"}},
            {"popitem", [](Dict& dict) { return dict.popitem(); }},
            {"setdefault",
             [](Dict& dict, const K& key, const V& item) { return dict.setdefault(key, item); }},
            {"update", [](Dict& dict, const std::map<K, V>& items) { dict.update(items); }},
            {"values", [](Dict& dict) { return dict.values(); }}};
    }
};

template <class T>
struct Exposed<ListProxy<T>> {
    static constexpr bool known = true;
    using List = ListProxy<T>;
    static pickle::object value(const List& list) { return to_object(list.to_vector()); }
    static std::vector<NamedMethod<List>> methods() {
        using Index = std::int64_t;
        // An index, or a slice.
        const auto get_item = [](List& list, const pickle::object& index) {
            if (!is_slice(index)) return to_object(list.at(from_object<Index>(index)));
            return to_object(items_of_slice(list.to_vector(), index));
        };
        return {
            {"__contains__", [](List& list, const T& item) { return list.contains(item); }},
            {"__delitem__", [](List& list, Index index) { list.erase(index); }},
            {"__getitem__", get_item},
            {"__len__", [](List& list) { return static_cast<Index>(list.size()); }},
            {"__setitem__", [](List& list, Index index, const T& item) { list.set(index, item); }},
            {"append", [](List& list, const T& item) { list.append(item); }},
            {"count", [](List& list, const T& x) { return static_cast<Index>(list.count(x)); }},
            {"extend", [](List& list, const std::vector<T>& items) { list.extend(items); }},
            {"index", [](List& list, const T& x) { return static_cast<Index>(list.index(x)); }},
            {"insert", [](List& list, Index index, const T& item) { list.insert(index, item); }},
            {"pop",
             [](List& list, std::optional<Index> index) { return list.pop(index.value_or(-1)); }},
            {"remove", [](List& list, const T& item) { list.remove(item); }},
            {"reverse", [](List& list) { list.reverse(); }},
            {"sort", [](List& list) { list.sort(); }}};
    }
};

}  // namespace multiprocessing::detail
