// multiprocessing/remote/managers/object_containers.ipp
//
// What Python's dict and list do: see object_containers.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/object_containers.hpp"

#include <algorithm>
#include <iterator>

#include "multiprocessing/remote/managers/errors.hpp"

namespace multiprocessing::detail {

inline bool ObjectDict::contains(const pickle::object& key) const {
    check_hashable(key);
    return places_.contains(key);
}

inline std::optional<pickle::object> ObjectDict::get(const pickle::object& key) const {
    check_hashable(key);
    const auto found = places_.find(key);
    if (found == places_.end()) return std::nullopt;
    return found->second->second;
}

inline pickle::object ObjectDict::at(const pickle::object& key) const {
    auto found = get(key);
    if (!found) throw KeyError(repr_of(key));
    return std::move(*found);
}

inline void ObjectDict::set(const pickle::object& key, const pickle::object& value) {
    check_hashable(key);
    if (const auto found = places_.find(key); found != places_.end()) {
        found->second->second = value;
        return;
    }
    entries_.emplace_back(key, value);
    places_.emplace(key, std::prev(entries_.end()));
}

inline std::optional<pickle::object> ObjectDict::take(const pickle::object& key) {
    check_hashable(key);
    const auto found = places_.find(key);
    if (found == places_.end()) return std::nullopt;
    pickle::object value = std::move(found->second->second);
    entries_.erase(found->second);
    places_.erase(found);
    return value;
}

inline std::pair<pickle::object, pickle::object> ObjectDict::popitem() {
    if (entries_.empty()) throw KeyError("'popitem(): dictionary is empty'");
    auto entry = entries_.back();
    (void)take(entry.first);
    return entry;
}

inline void ObjectDict::update(const pickle::object& items) {
    for (const auto& [key, value] : pairs_of(items)) set(key, value);
}

inline void ObjectDict::clear() {
    places_.clear();
    entries_.clear();
}

inline Objects ObjectDict::keys() const {
    Objects keys;
    for (const auto& entry : entries_) keys.push_back(entry.first);
    return keys;
}

inline Objects ObjectDict::values() const {
    Objects values;
    for (const auto& entry : entries_) values.push_back(entry.second);
    return values;
}

inline std::size_t ObjectList::place(std::int64_t index, const char* what) const {
    const auto size = static_cast<std::int64_t>(items_.size());
    const std::int64_t from_start = index < 0 ? index + size : index;
    if (from_start < 0 || from_start >= size) {
        throw IndexError(std::string(what) + " index out of range");
    }
    return static_cast<std::size_t>(from_start);
}

inline pickle::object ObjectList::get(const pickle::object& index) const {
    if (is_slice(index)) return to_object(items_of_slice(items_, index));
    return items_[place(from_object<std::int64_t>(index), "list")];
}

inline void ObjectList::set(const pickle::object& index, const pickle::object& value) {
    if (!is_slice(index)) {
        items_[place(from_object<std::int64_t>(index), "list assignment")] = value;
        return;
    }
    const SliceRange range = range_of_slice(index, items_.size());
    const Objects fresh = items_of(value);
    if (range.step == 1) {
        const auto first = items_.begin() + range.start;
        const auto at = items_.erase(first, first + static_cast<std::ptrdiff_t>(range.count));
        items_.insert(at, fresh.begin(), fresh.end());
        return;
    }
    if (fresh.size() != range.count) {
        throw ValueError("attempt to assign sequence of size " + std::to_string(fresh.size()) +
                         " to extended slice of size " + std::to_string(range.count));
    }
    for (std::size_t i = 0; i < range.count; ++i) items_[range.at(i)] = fresh[i];
}

inline void ObjectList::erase(const pickle::object& index) {
    if (!is_slice(index)) {
        const auto at = place(from_object<std::int64_t>(index), "list assignment");
        items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(at));
        return;
    }
    const SliceRange range = range_of_slice(index, items_.size());
    std::vector<bool> out(items_.size());
    for (std::size_t i = 0; i < range.count; ++i) out[range.at(i)] = true;
    Objects rest;
    for (std::size_t i = 0; i < items_.size(); ++i) {
        if (!out[i]) rest.push_back(std::move(items_[i]));
    }
    items_ = std::move(rest);
}

inline pickle::object ObjectList::pop(std::int64_t index) {
    if (items_.empty()) throw IndexError("pop from empty list");
    const auto at = items_.begin() + static_cast<std::ptrdiff_t>(place(index, "pop"));
    pickle::object item = std::move(*at);
    items_.erase(at);
    return item;
}

inline void ObjectList::insert(std::int64_t index, const pickle::object& value) {
    const auto size = static_cast<std::int64_t>(items_.size());
    if (index < 0) index = std::max<std::int64_t>(index + size, 0);
    items_.insert(items_.begin() + std::min(index, size), value);
}

inline std::int64_t ObjectList::index(const pickle::object& value, std::int64_t start,
                                      std::int64_t stop) const {
    const auto size = static_cast<std::int64_t>(items_.size());
    if (start < 0) start = std::max<std::int64_t>(start + size, 0);
    if (stop < 0) stop += size;
    for (std::int64_t i = start; i < std::min(stop, size); ++i) {
        if (are_equal(items_[static_cast<std::size_t>(i)], value)) return i;
    }
    throw ValueError(repr_of(value) + " is not in list");
}

inline std::int64_t ObjectList::count(const pickle::object& value) const {
    return std::ranges::count_if(items_, [&](const auto& item) { return are_equal(item, value); });
}

inline Objects ObjectList::times(std::int64_t n) const {
    if (n > 0 && items_.size() > Objects().max_size() / static_cast<std::size_t>(n)) {
        throw ValueError("the list would be too long");
    }
    Objects all;
    for (std::int64_t i = 0; i < n; ++i) all.insert(all.end(), items_.begin(), items_.end());
    return all;
}

inline void ObjectList::sort(bool reverse) {
    Objects sorted = items_;  // an item that has no order with another changes nothing
    // As Python: of equal items the order stays, also in reverse.
    std::ranges::stable_sort(sorted, [&](const pickle::object& a, const pickle::object& b) {
        return reverse ? is_less(b, a) : is_less(a, b);
    });
    items_ = std::move(sorted);
}

inline pickle::object ObjectNamespace::get(const std::string& name) const {
    for (const auto& [known, value] : values_) {
        if (known == name) return value;
    }
    throw_attribute_error("Namespace", name);
}

inline void ObjectNamespace::set(const std::string& name, const pickle::object& value) {
    for (auto& [known, old] : values_) {
        if (known == name) {
            old = value;
            return;
        }
    }
    values_.emplace_back(name, value);
}

inline void ObjectNamespace::erase(const std::string& name) {
    if (std::erase_if(values_, [&](const auto& value) { return value.first == name; }) == 0) {
        throw_attribute_error("Namespace", name);
    }
}

inline std::string ObjectNamespace::text() const {
    std::vector<std::string> parts;
    for (const auto& [name, value] : values_) {
        if (!name.starts_with('_')) parts.push_back(name + "=" + repr_of(value));
    }
    std::ranges::sort(parts);
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return "Namespace(" + text + ")";
}

template <class Self>
std::vector<NamedMethod<Self>> Exposed<ObjectDict>::methods() {
    using Object = pickle::object;
    const auto pop = [](Self& dict, const Object& key, std::optional<Object> otherwise) {
        if (auto value = dict.take(key)) return std::move(*value);
        if (!otherwise) throw KeyError(repr_of(key));
        return std::move(*otherwise);
    };
    const auto setdefault = [](Self& dict, const Object& key, std::optional<Object> otherwise) {
        if (!dict.contains(key)) dict.set(key, std::move(otherwise).value_or(Object()));
        return dict.at(key);
    };
    const auto get = [](Self& dict, const Object& key, std::optional<Object> otherwise) {
        auto value = dict.get(key);
        return value ? std::move(*value) : std::move(otherwise).value_or(Object());
    };
    return {{"__contains__", [](Self& dict, const Object& key) { return dict.contains(key); }},
            {"__delitem__",
             [](Self& dict, const Object& key) {
                 if (!dict.take(key)) throw KeyError(repr_of(key));
             }},
            {"__getitem__", [](Self& dict, const Object& key) { return dict.at(key); }},
            {"__iter__", [](Self& dict) { return iterator_over(dict.keys()); }},
            {"__len__", [](Self& dict) { return static_cast<std::int64_t>(dict.size()); }},
            {"__setitem__",
             [](Self& dict, const Object& key, const Object& value) { dict.set(key, value); }},
            {"clear", [](Self& dict) { dict.clear(); }},
            {"copy", [](Self& dict) { return value(dict); }},
            {"get", get, {"key", "default"}},
            {"items", [](Self& dict) { return dict.items(); }},
            {"keys", [](Self& dict) { return dict.keys(); }},
            {"pop", pop, {"key", "default"}},
            {"popitem", [](Self& dict) { return dict.popitem(); }},
            {"setdefault", setdefault, {"key", "default"}},
            {"update", [](Self& dict, const Object& items) { dict.update(items); }},
            {"values", [](Self& dict) { return dict.values(); }}};
}

template <class Self>
std::vector<NamedMethod<Self>> Exposed<ObjectList>::methods() {
    using Object = pickle::object;
    using Index = std::int64_t;
    const auto contains = [](Self& list, const Object& value) { return list.count(value) > 0; };
    const auto plus = [](Self& list, const Object& other) {
        Objects all = list.items();
        for (Object& item : items_of(other)) all.push_back(std::move(item));
        return all;
    };
    const auto extend = [](Self& list, const Object& other) {
        for (Object& item : items_of(other)) list.items().push_back(std::move(item));
    };
    const auto reversed = [](Self& list) {
        return Objects(list.items().rbegin(), list.items().rend());
    };
    const auto index = [](Self& list, const Object& value, std::optional<Index> start,
                          std::optional<Index> stop) {
        return list.index(value, start.value_or(0), stop.value_or(INT64_MAX));
    };
    const auto times = [](Self& list, Index n) { return list.times(n); };
    return {
        {"__add__", plus},
        {"__contains__", contains},
        {"__delitem__", [](Self& list, const Object& at) { list.erase(at); }},
        {"__getitem__", [](Self& list, const Object& at) { return list.get(at); }},
        {"__imul__", [](Self& list, Index n) { list.items() = list.times(n); }},
        {"__len__", [](Self& list) { return static_cast<Index>(list.items().size()); }},
        {"__mul__", times},
        {"__reversed__", reversed},
        {"__rmul__", times},
        {"__setitem__", [](Self& list, const Object& at, const Object& x) { list.set(at, x); }},
        {"append", [](Self& list, const Object& value) { list.items().push_back(value); }},
        {"clear", [](Self& list) { list.items().clear(); }},
        {"count", [](Self& list, const Object& value) { return list.count(value); }},
        {"extend", extend},
        {"index", index},
        {"insert", [](Self& list, Index at, const Object& value) { list.insert(at, value); }},
        {"pop", [](Self& list, std::optional<Index> at) { return list.pop(at.value_or(-1)); }},
        {"remove",
         [](Self& list, const Object& value) { (void)list.pop(list.index(value, 0, INT64_MAX)); }},
        {"reverse", [](Self& list) { std::ranges::reverse(list.items()); }},
        {"sort",
         [](Self& list, std::optional<bool> reverse) { list.sort(reverse.value_or(false)); },
         {"reverse"}}};
}

template <class Self>
std::vector<NamedMethod<Self>> Exposed<ObjectNamespace>::methods() {
    return {
        {"__getattribute__", [](Self& space, const std::string& name) { return space.get(name); }},
        {"__setattr__", [](Self& space, const std::string& name,
                           const pickle::object& value) { space.set(name, value); }},
        {"__delattr__", [](Self& space, const std::string& name) { space.erase(name); }}};
}

template <class Self>
std::vector<NamedMethod<Self>> Exposed<ObjectValue>::methods() {
    return {{"get", [](Self& self) { return self.value; }},
            {"set", [](Self& self, const pickle::object& value) { self.value = value; }}};
}

template <class Self>
std::vector<NamedMethod<Self>> Exposed<ObjectArray>::methods() {
    using Object = pickle::object;
    return {
        {"__len__",
         [](Self& array) { return static_cast<std::int64_t>(array.list.items().size()); }},
        {"__getitem__", [](Self& array, const Object& at) { return array.list.get(at); }},
        {"__setitem__", [](Self& array, const Object& at, const Object& value) {
             if (is_slice(at) && items_of(value).size() != items_of(array.list.get(at)).size()) {
                 throw ValueError("an array keeps its length");
             }
             array.list.set(at, value);
         }}};
}

}  // namespace multiprocessing::detail
