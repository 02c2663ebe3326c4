// multiprocessing/python/extension/managers.hpp
//
// A manager's dicts and lists in the module multiprocessing_cpp. Keys are texts, and values are
// pickles, as in a DictProxy<std::string, pickle::object> of C++. Floor 10.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/managers.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/waiting.hpp"

namespace multiprocessing::detail::pythons::extension {

// A pickle::object travels as the text that is its pickle. So these are the same containers.
using Dict = DictProxy<std::string, std::string>;
using List = ListProxy<std::string>;

template <>
struct Argument<Dict> {
    static Dict take(Object* object) { return Dict::from_shared_handle(handle_in(object)); }
};
template <>
struct Argument<List> {
    static List take(Object* object) { return List::from_shared_handle(handle_in(object)); }
};
/// A list of Python, of bytes.
template <>
struct Argument<std::vector<std::string>> {
    static std::vector<std::string> take(Object* object) {
        const ssize_t size = api().PyList_Size(object);
        raising(static_cast<int>(size < 0 ? -1 : 0));
        std::vector<std::string> texts;
        for (ssize_t i = 0; i < size; ++i) {
            texts.push_back(Argument<std::string>::take(api().PyList_GetItem(object, i)));
        }
        return texts;
    }
};

using Entry = std::pair<std::string, std::string>;

inline Reference result(const Entry& entry) {
    Reference tuple = raising(api().PyTuple_New(2));
    raising(api().PyTuple_SetItem(tuple.get(), 0, result(entry.first).release()));
    raising(api().PyTuple_SetItem(tuple.get(), 1, result(entry.second).release()));
    return tuple;
}
template <class T>
Reference result(const std::vector<T>& items) {
    Reference list = raising(api().PyList_New(static_cast<ssize_t>(items.size())));
    for (std::size_t i = 0; i < items.size(); ++i) {
        raising(
            api().PyList_SetItem(list.get(), static_cast<ssize_t>(i), result(items[i]).release()));
    }
    return list;
}

// --- the manager ---

inline Handle<ManagerState> manager_new() { return make_shared_object<ManagerState>(); }
inline void manager_shutdown(ManagerState& manager) {
    manager.is_down.store(1, std::memory_order_release);
}
inline bool manager_is_down(ManagerState& manager) {
    return manager.is_down.load(std::memory_order_acquire) != 0;
}

// --- dicts ---

inline AnyHandle dict_new(const AnyHandle& manager) {
    return Dict(Handle<ManagerState>(manager)).shared_handle();
}
inline std::optional<std::string> dict_get(Dict dict, std::string key) {
    return without_gil([&] { return dict.get(key); });
}
inline void dict_set(Dict dict, std::string key, std::string value) {
    without_gil([&] { dict.set(key, value); });
}
inline std::string dict_setdefault(Dict dict, std::string key, std::string value) {
    return without_gil([&] { return dict.setdefault(key, value); });
}
inline bool dict_erase(Dict dict, std::string key) {
    return without_gil([&] { return dict.erase(key) != 0; });
}
inline std::optional<std::string> dict_pop(Dict dict, std::string key) {
    return without_gil([&]() -> std::optional<std::string> {
        try {
            return dict.pop(key);
        } catch (const KeyError&) {
            return std::nullopt;
        }
    });
}
inline Reference dict_popitem(Dict dict) {
    return result(without_gil([&] { return dict.popitem(); }));
}
inline bool dict_contains(Dict dict, std::string key) {
    return without_gil([&] { return dict.contains(key); });
}
inline std::uint64_t dict_size(Dict dict) {
    return without_gil([&] { return dict.size(); });
}
inline void dict_clear(Dict dict) {
    without_gil([&] { dict.clear(); });
}
inline Reference dict_items(Dict dict) {
    return result(without_gil([&] { return dict.items(); }));
}
/// @param entries keys and values by turns
inline void dict_update(Dict dict, std::vector<std::string> entries) {
    std::vector<Entry> pairs;
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
        pairs.emplace_back(std::move(entries[i]), std::move(entries[i + 1]));
    }
    without_gil([&] { dict.update(pairs); });
}

// --- lists ---

inline AnyHandle list_new(const AnyHandle& manager) {
    return List(Handle<ManagerState>(manager)).shared_handle();
}
inline std::string list_at(List list, std::int64_t index) {
    return without_gil([&] { return list.at(index); });
}
inline void list_set(List list, std::int64_t index, std::string value) {
    without_gil([&] { list.set(index, value); });
}
inline void list_append(List list, std::string value) {
    without_gil([&] { list.append(value); });
}
inline std::string list_pop(List list, std::int64_t index) {
    return without_gil([&] { return list.pop(index); });
}
inline void list_erase(List list, std::int64_t index) {
    without_gil([&] { list.erase(index); });
}
inline std::uint64_t list_size(List list) {
    return without_gil([&] { return list.size(); });
}
inline Reference list_slice(List list, std::int64_t start, std::int64_t stop) {
    return result(without_gil([&] { return list.slice(start, stop); }));
}
inline void list_splice(List list, std::int64_t start, std::int64_t stop,
                        std::vector<std::string> values) {
    without_gil([&] { list.set_slice(start, stop, values); });
}

/// Calls a function of Python with the pickles of a list's items. @returns what it returns; nothing
/// for None @pre the list's lock, and not the Gil
inline std::optional<std::vector<std::string>> changed_pickles(
    ListState& state, const std::vector<std::uint64_t>& words, Object* function) {
    const UserCall call(state);
    std::vector<std::string> pickles;
    for (const std::uint64_t word : words) pickles.push_back(decode<std::string>(word));
    const Gil gil;
    const Reference items = result(pickles);
    const Reference changed =
        raising(api().PyObject_CallFunctionObjArgs(function, items.get(), nullptr));
    if (changed.get() == api().None) return std::nullopt;
    return Argument<std::vector<std::string>>::take(changed.get());
}

/// Calls a function of Python with the pickles of all items, and puts those that it returns in
/// their place, in one step. Nothing changes when it returns None. The list's lock is held
/// meanwhile: whoever waits for that does so without the global lock.
inline void list_change(ListState& state, Object* function) {
    without_gil([&] {
        std::vector<OwnedWord> words;
        std::vector<OwnedWord> old;  // dropped when the lock is released
        const ContainerLock<ListState> lock(state);
        const auto items = state.current().items();
        const std::vector<std::uint64_t> before(items.begin(), items.end());
        const auto changed = changed_pickles(state, before, function);
        if (!changed) return;
        std::vector<std::uint64_t> raw;
        for (const std::string& value : *changed) {
            words.push_back(encode(value));
            raw.push_back(words.back().get());
        }
        old.reserve(before.size());
        state.edit(0, before.size(), raw);
        for (OwnedWord& word : words) word.release();  // the list's now
        for (const std::uint64_t word : before) old.emplace_back(word, true);
    });
}

}  // namespace multiprocessing::detail::pythons::extension
