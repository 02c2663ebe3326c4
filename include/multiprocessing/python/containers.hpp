// multiprocessing/python/containers.hpp
//
// Containers, tuples, structs and alternatives as objects of Python, and the other way round. Needs
// the Gil. Floor 10. Start at take_items. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/arrays.hpp"
#include "multiprocessing/python/values.hpp"
#include "multiprocessing/reduction/types/fields.hpp"

namespace multiprocessing::detail::pythons {

// --- lists, tuples, sets ---

/// Calls `take` with each item of an object that can be walked over.
template <class Take>
void take_items(Object* object, Take take) {
    const ValueKind kind = kind_of(object);
    if (kind == ValueKind::text || kind == ValueKind::bytes || kind == ValueKind::bytearray ||
        kind == ValueKind::dict) {
        refuse(object, "a list");
    }
    const Reference iterator(api().PyObject_GetIter(object));
    if (!iterator) {
        api().PyErr_Clear();
        refuse(object, "a list");
    }
    while (const Reference item{api().PyIter_Next(iterator.get())}) take(item.get());
    if (api().PyErr_Occurred() != nullptr) throw_failure();
}

/// Returns how many items an object has, as far as that is known before the walk.
inline std::size_t known_size(Object* object) noexcept {
    const ValueKind kind = kind_of(object);
    if (kind == ValueKind::list) return static_cast<std::size_t>(api().PyList_Size(object));
    if (kind == ValueKind::tuple) return static_cast<std::size_t>(api().PyTuple_Size(object));
    return 0;
}

/// Vectors, deques, lists. They are made of all that can be walked over, texts, bytes and dicts
/// apart.
template <class T>
struct Converter<T, Way::sequence> {
    using Item = typename T::value_type;

    static Reference make(const T& value) {
        Reference list = checked(api().PyList_New(static_cast<ssize_t>(value.size())));
        ssize_t index = 0;
        for (const Item& item : value) {
            checked(api().PyList_SetItem(list.get(), index++, make_object(item).release()));
        }
        return list;
    }
    static T take(Object* object) {
        T value;
        if constexpr (is_number<Item> && requires { value.resize(1), value.data(); }) {
            if (const Numbers numbers(object);
                numbers && numbers.are<Item>() && kind_of(object) == ValueKind::reduced) {
                value.resize(numbers.size());
                numbers.copy_to(value.data());
                return value;
            }
        }
        if constexpr (requires { value.reserve(1); }) value.reserve(known_size(object));
        take_items(object, [&](Object* item) { value.push_back(take_value<Item>(item)); });
        return value;
    }
};

template <class T>
struct Converter<T, Way::set> {
    using Item = typename T::value_type;

    static Reference make(const T& value) {
        Reference set = checked(api().PySet_New(nullptr));
        for (const Item& item : value) {
            checked(api().PySet_Add(set.get(), make_object(item).get()));
        }
        return set;
    }
    static T take(Object* object) {
        T value;
        take_items(object, [&](Object* item) { value.insert(take_value<Item>(item)); });
        return value;
    }
};

// --- dicts ---

template <class T>
struct Converter<T, Way::map> {
    using Key = typename T::key_type;
    using Mapped = typename T::mapped_type;

    static Reference make(const T& value) {
        Reference dict = checked(api().PyDict_New());
        for (const auto& [key, mapped] : value) {
            const Reference name = make_object(key);
            const Reference object = make_object(mapped);
            checked(api().PyDict_SetItem(dict.get(), name.get(), object.get()));
        }
        return dict;
    }
    static T take(Object* object) {
        if (kind_of(object) != ValueKind::dict) refuse(object, "a dict");
        T value;
        ssize_t position = 0;
        Object* key = nullptr;
        Object* mapped = nullptr;
        while (api().PyDict_Next(object, &position, &key, &mapped) != 0) {
            // A conversion may run code of Python, which may change the dict.
            const Reference kept[] = {Reference::to(key), Reference::to(mapped)};
            value.insert_or_assign(take_value<Key>(key), take_value<Mapped>(mapped));
        }
        return value;
    }
};

// --- tuples, arrays, structs ---

/// Returns the items of a list or tuple that has so many.
inline std::vector<Reference> exactly(Object* object, std::size_t count) {
    const ValueKind kind = kind_of(object);
    if (kind != ValueKind::tuple && kind != ValueKind::list) refuse(object, "a tuple");
    std::vector<Reference> items;
    items.reserve(count);
    take_items(object, [&](Object* item) { items.push_back(Reference::to(item)); });
    if (items.size() != count) {
        refuse(object, "a tuple of " + std::to_string(count) + " items, not " +
                           std::to_string(items.size()) + ",");
    }
    return items;
}

template <class... Parts>
Reference make_tuple(const Parts&... parts) {
    Reference tuple = checked(api().PyTuple_New(sizeof...(Parts)));
    [[maybe_unused]] ssize_t index = 0;
    (checked(api().PyTuple_SetItem(tuple.get(), index++, make_object(parts).release())), ...);
    return tuple;
}

/// Makes a part that is there of an object. C arrays cannot be assigned.
template <class T>
void take_part(Object* object, T& part) {
    if constexpr (std::is_array_v<T>) {
        Converter<T>::load(object, part);
    } else {
        part = take_value<T>(object);
    }
}

/// Pairs and tuples.
template <class T>
struct Converter<T, Way::tuple> {
    static Reference make(const T& value) {
        return std::apply([](const auto&... parts) { return make_tuple(parts...); }, value);
    }
    static T take(Object* object) {
        const auto items = exactly(object, std::tuple_size_v<T>);
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return T{take_value<std::remove_cv_t<std::tuple_element_t<I, T>>>(items[I].get())...};
        }(std::make_index_sequence<std::tuple_size_v<T>>());
    }
};

/// std::array and C arrays.
template <class T>
struct Converter<T, Way::array> {
    static Reference make(const T& value) {
        Reference tuple = checked(api().PyTuple_New(static_cast<ssize_t>(std::size(value))));
        ssize_t index = 0;
        for (const auto& item : value) {
            checked(api().PyTuple_SetItem(tuple.get(), index++, make_object(item).release()));
        }
        return tuple;
    }
    static void load(Object* object, T& value) {
        const auto items = exactly(object, std::size(value));
        for (std::size_t i = 0; i < items.size(); ++i) take_part(items[i].get(), value[i]);
    }
    static auto take(Object* object)
        requires(!std::is_array_v<T>)
    {
        T value{};
        load(object, value);
        return value;
    }
};

/// Says whether an object is of a class that Python's dataclasses.dataclass has made.
inline bool is_dataclass(Object* object) noexcept {
    const Reference type(api().PyObject_Type(object));
    const Reference fields(api().PyObject_GetAttrString(type.get(), "__dataclass_fields__"));
    if (!fields) api().PyErr_Clear();
    return static_cast<bool>(fields);
}

/// Structs, as tuples of their fields. They are made of tuples, named ones too, and of dataclasses.
template <class T>
struct Converter<T, Way::aggregate> {
    static Reference make(const T& value) {
        return visit_fields(value, [](const auto&... fields) { return make_tuple(fields...); });
    }
    static T take(Object* object) {
        if (kind_of(object) != ValueKind::reduced || !is_dataclass(object)) {
            return take_tuple(object);
        }
        return take_tuple(checked(call_object(interpreter().fields, object)).get());
    }

  private:
    static T take_tuple(Object* object) {
        const auto items = exactly(object, Fields<T>::count);
        if constexpr (std::is_default_constructible_v<T> && std::is_move_assignable_v<T>) {
            T value{};
            [[maybe_unused]] std::size_t index = 0;
            visit_fields(value,
                         [&](auto&... fields) { (take_part(items[index++].get(), fields), ...); });
            return value;
        } else {
            return take_parts(items, FieldTypes<T>{}, std::make_index_sequence<Fields<T>::count>());
        }
    }
    template <class... Parts, std::size_t... I>
    static T take_parts(const std::vector<Reference>& items, TypeList<Parts...>,
                        std::index_sequence<I...>) {
        return T{take_value<std::remove_cv_t<Parts>>(items[I].get())...};
    }
};

// --- alternatives ---

template <class T>
struct Converter<T, Way::optional> {
    static Reference make(const T& value) {
        return value ? make_object(*value) : Reference::to(api().None);
    }
    static T take(Object* object) {
        if (object == api().None) return std::nullopt;
        return take_value<typename T::value_type>(object);
    }
};

/// A variant takes the first alternative that takes the object.
template <class T>
struct Converter<T, Way::variant> {
    static Reference make(const T& value) {
        return std::visit([](const auto& held) { return make_object(held); }, value);
    }
    static T take(Object* object) {
        const ValueKind kind = kind_of(object);
        const bool is_struct = kind == ValueKind::reduced && is_dataclass(object);
        return take_from<0>(object, is_struct ? ValueKind::tuple : kind);
    }

  private:
    template <std::size_t I>
    static T take_from(Object* object, ValueKind kind) {
        if constexpr (I == std::variant_size_v<T>) {
            refuse(object, "another type");
        } else {
            using Alternative = std::variant_alternative_t<I, T>;
            if (pickles::may_take<Alternative>(kind)) {
                try {
                    return T(std::in_place_index<I>, take_value<Alternative>(object));
                } catch (const TypeError&) {
                } catch (const ValueError&) {  // an int that does not fit
                }
            }
            return take_from<I + 1>(object, kind);
        }
    }
};

}  // namespace multiprocessing::detail::pythons
