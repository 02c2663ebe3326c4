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
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/managers.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/items.hpp"
#include "multiprocessing/python/extension/waiting.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

namespace multiprocessing::detail::pythons::extension {

// An Item travels as a pickle::object does. So these are the same containers.
using Dict = DictProxy<std::string, Item>;
using List = ListProxy<Item>;

template <>
struct Argument<Dict> {
    static Dict take(Object* object) { return Dict::from_shared_handle(handle_in(object)); }
};
template <>
struct Argument<List> {
    static List take(Object* object) { return List::from_shared_handle(handle_in(object)); }
};
/// A list of Python.
template <class T>
struct Argument<std::vector<T>> {
    static std::vector<T> take(Object* object) {
        const ssize_t size = api().PyList_Size(object);
        raising(static_cast<int>(size < 0 ? -1 : 0));
        std::vector<T> items;
        for (ssize_t i = 0; i < size; ++i) {
            items.push_back(Argument<T>::take(api().PyList_GetItem(object, i)));
        }
        return items;
    }
};

using Entry = std::pair<std::string, Item>;

inline Reference result(const Entry& entry) {
    Reference tuple = raising(api().PyTuple_New(2));
    raising(api().PyTuple_SetItem(tuple.get(), 0, result(entry.first).release()));
    raising(api().PyTuple_SetItem(tuple.get(), 1, result(entry.second).release()));
    return tuple;
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
inline std::optional<Item> dict_get(Dict dict, std::string key) {
    return without_gil([&] { return dict.get(key); });
}
inline void dict_set(Dict dict, std::string key, Item value) {
    without_gil([&] { dict.set(key, value); });
}
inline Item dict_setdefault(Dict dict, std::string key, Item value) {
    return without_gil([&] { return dict.setdefault(key, value); });
}
inline bool dict_erase(Dict dict, std::string key) {
    return without_gil([&] { return dict.erase(key) != 0; });
}
inline std::optional<Item> dict_pop(Dict dict, std::string key) {
    return without_gil([&]() -> std::optional<Item> {
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
/// @param values as many as keys
inline void dict_update(Dict dict, std::vector<std::string> keys, std::vector<Item> values) {
    std::vector<Entry> pairs;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        pairs.emplace_back(std::move(keys[i]), std::move(values.at(i)));
    }
    without_gil([&] { dict.update(pairs); });
}

// --- namespaces ---

template <>
struct Argument<NamespaceProxy> {
    static NamespaceProxy take(Object* object) {
        return NamespaceProxy::from_shared_handle(handle_in(object));
    }
};

inline AnyHandle namespace_new(const AnyHandle& manager) {
    return NamespaceProxy(make_shared_object<DictState>(manager, true, true)).shared_handle();
}
/// Sets a value, which C++ gets as a pickle::object.
inline void namespace_set(NamespaceProxy space, std::string name, Item value) {
    without_gil([&] {
        PayloadBuilder builder(sizeof(Blob));
        builder.archive()(type_fingerprint<pickle::object>(),
                          std::string(type_name<pickle::object>()), value);
        space.store(name, {heap().offset_of(&Blob::make(builder)), true});
    });
}
/// Returns what a value of C++ is in Python, if it is one of these types.
template <class... Types>
std::optional<Item> item_of_value(std::uint64_t fingerprint, InputArchive& archive) {
    std::optional<Item> item;
    const auto take_if_it_is = [&]<class T>(std::type_identity<T>) {
        if (fingerprint == type_fingerprint<T>()) {
            item = Item{pickle::dumps(archive.read<T>()), {}};
        }
        return item.has_value();
    };
    static_cast<void>((take_if_it_is(std::type_identity<Types>()) || ...));
    return item;
}
/// @throws KeyError when there is none of that name @throws TypeError for a value of C++ of a type
/// that Python does not have
inline Item namespace_get(NamespaceProxy space, std::string name) {
    return without_gil([&] {
        const OwnedWord word = space.read(name);
        PayloadReader reader(heap().at<Blob>(word.get())->payload());
        reader.archive().keep_message();
        const auto fingerprint = reader.archive().read<std::uint64_t>();
        const auto type = reader.archive().read<std::string>();
        if (fingerprint == type_fingerprint<pickle::object>()) return reader.archive().read<Item>();
        auto item =
            item_of_value<bool, int, unsigned, long, unsigned long, long long, unsigned long long,
                          float, double, std::string, std::vector<int>, std::vector<double>,
                          std::vector<std::string>>(fingerprint, reader.archive());
        if (item) return std::move(*item);
        throw TypeError("the value \"" + name + "\" is of the type " + type +
                        " of C++; set it as a mp::pickle::object there");
    });
}
inline bool namespace_has(NamespaceProxy space, std::string name) {
    return without_gil([&] { return space.has(name); });
}
inline void namespace_del(NamespaceProxy space, std::string name) {
    without_gil([&] { space.del(name); });
}
inline Reference namespace_names(NamespaceProxy space) {
    return result(without_gil([&] { return space.names(); }));
}

// --- lists ---

inline AnyHandle list_new(const AnyHandle& manager) {
    return List(Handle<ManagerState>(manager)).shared_handle();
}
inline Item list_at(List list, std::int64_t index) {
    return without_gil([&] { return list.at(index); });
}
inline void list_set(List list, std::int64_t index, Item value) {
    without_gil([&] { list.set(index, value); });
}
inline void list_append(List list, Item value) {
    without_gil([&] { list.append(value); });
}
inline Item list_pop(List list, std::int64_t index) {
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
                        std::vector<Item> values) {
    without_gil([&] { list.set_slice(start, stop, values); });
}

/// Calls a function of Python with the pickles of a list's items. @returns what it returns; nothing
/// for None @pre the list's lock, and not the Gil
inline std::optional<std::vector<Item>> changed_pickles(ListState& state,
                                                        const std::vector<std::uint64_t>& words,
                                                        Object* function) {
    const UserCall call(state);
    std::vector<Item> pickles;
    for (const std::uint64_t word : words) pickles.push_back(decode<Item>(word));
    const Gil gil;
    const Reference items = result(pickles);
    const Reference changed = raising(call_object(function, items.get()));
    if (changed.get() == api().None) return std::nullopt;
    return Argument<std::vector<Item>>::take(changed.get());
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
        for (const Item& value : *changed) {
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
