// multiprocessing/reduction/picklers/pickler.hpp
//
// The archives' dispatch. Each kind of type has a Pickler, which takes its values apart and puts
// them together. This file has the dispatch and the kinds without elements. Floor 2. Start at
// Pickler.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/error_category.hpp"
#include "multiprocessing/reduction/picklers/plain_variants.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

/// How values of type T travel. Each specialisation has
///   - `Elements`: the types on which T depends, which must be able to travel too;
///   - `smallest`: how many bytes a value takes at least;
///   - `save(archive, value)` and `load(archive, value)`;
///   - `read(archive)`, which makes a new T, where T may lack a default constructor.
template <class T, Kind = kind<T>>
struct Pickler;

/// Ends the compilation when T cannot travel, and tells the reason.
template <class T>
constexpr void require_picklable();

template <class T>
void save_by_cereal(OutputArchive& archive, const T& constant);
template <class T>
void load_by_cereal(InputArchive& archive, T& value);

/// Writes a value. Not called save, which cereal would take for a user's function.
template <class T>
void pickle(OutputArchive& archive, const T& value) {
    if constexpr (kind<T> != Kind::unsupported) {
        Pickler<T>::save(archive, value);
    } else if constexpr (std::is_class_v<T> &&
                         cereal::traits::is_output_serializable<T, OutputArchive>::value) {
        save_by_cereal(archive, value);  // cereal's own wrappers work in one direction only
    } else {
        require_picklable<T>();
    }
}

/// Reads into a value.
template <class T>
void unpickle(InputArchive& archive, T& value) {
    if constexpr (kind<T> != Kind::unsupported) {
        Pickler<std::remove_cv_t<T>>::load(archive, value);
    } else if constexpr (std::is_class_v<T> &&
                         cereal::traits::is_input_serializable<T, InputArchive>::value) {
        load_by_cereal(archive, value);
    } else {
        require_picklable<T>();
    }
}

template <class T>
concept has_own_read = requires(InputArchive& archive) {
    { Pickler<T>::read(archive) } -> std::same_as<T>;
};

/// Makes a T. Its default constructor may be private, where `friend class cereal::access;` allows
/// the use. Whether it does cannot be asked at compile time. So the name of this function says in
/// the compiler's error what is missing.
template <class T>
std::unique_ptr<T> this_type_needs_a_default_constructor() {
    return std::unique_ptr<T>(cereal::access::construct<T>());
}

/// Makes a T from what the archive has.
template <class T>
T load_value(InputArchive& archive) {
    if constexpr (kind<T> == Kind::unsupported) {
        require_picklable<T>();
        std::abort();
    } else if constexpr (has_own_read<T>) {
        return Pickler<T>::read(archive);
    } else if constexpr (std::is_default_constructible_v<T>) {
        T value{};
        unpickle(archive, value);
        return value;
    } else {
        const auto value = this_type_needs_a_default_constructor<T>();
        unpickle(archive, *value);
        return std::move(*value);
    }
}

template <class T>
void OutputArchive::process(const T& value) {
    detail::pickle(*this, value);
}
template <class T>
void InputArchive::process(T& value) {
    detail::unpickle(*this, value);
}
template <class T>
T InputArchive::read() {
    return detail::load_value<T>(*this);
}
template <class T>
void InputArchive::process_base(T& base) {
    if constexpr (bitwise<T>) {
        // Not all sizeof(T) bytes belong to the base: its padding may hold fields of the derived
        // class.
        base = detail::load_value<T>(*this);
    } else {
        detail::unpickle(*this, base);
    }
}

template <class T>
struct Pickler<T, Kind::bitwise> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = std::is_empty_v<T> ? 0 : sizeof(T);

    static void save(OutputArchive& archive, const T& value) {
        if constexpr (smallest != 0) archive.write(&value, sizeof(T));
    }
    static void load(InputArchive& archive, T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            value = *archive.take(1) != std::byte{0};  // a bool must be 0 or 1; the byte may not be
        } else if constexpr (smallest != 0) {
            archive.read_into(const_cast<void*>(static_cast<const volatile void*>(&value)),
                              sizeof(T));
            check_plain_variants(const_cast<const std::remove_volatile_t<T>&>(value));
        }
    }
    static auto read(InputArchive& archive)  // auto: T may be an array, which cannot be returned
        requires(!std::is_array_v<T> && !std::is_default_constructible_v<T>)
    {
        // Not bit_cast: a std::pair is not formally trivially copyable.
        alignas(T) std::byte bytes[sizeof(T)]{};
        if constexpr (smallest != 0) archive.read_into(bytes, sizeof(T));
        const T& value = *std::launder(reinterpret_cast<const T*>(bytes));
        check_plain_variants(value);
        return value;
    }
};

template <class T>
struct Pickler<T, Kind::handle> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.write_handle(value.shared_handle());
    }
    static void load(InputArchive& archive, T& value) { value = read(archive); }
    static T read(InputArchive& archive) { return T::from_shared_handle(archive.read_handle()); }
};

template <class T>
struct Pickler<T, Kind::self_archiving> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = 1;

    static void save(OutputArchive& archive, const T& value) { value.archive_to(archive); }
    static void load(InputArchive& archive, T& value) { value = read(archive); }
    static T read(InputArchive& archive) { return T::from_archive(archive); }
};

template <class T>
struct Pickler<T, Kind::path> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        detail::pickle(archive, value.native());
    }
    static void load(InputArchive& archive, T& value) {
        value = detail::load_value<typename T::string_type>(archive);
    }
};

/// An error_code or error_condition. The address of its category means something to this process
/// only, so that the category travels by its name.
template <class T>
struct Pickler<T, Kind::error_code> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t) + sizeof(int);

    static void save(OutputArchive& archive, const T& value) {
        const std::string category = value.category().name();
        find_category(category);  // better an error here than in the receiver
        archive(category, value.value());
    }
    static void load(InputArchive& archive, T& value) {
        const auto category = detail::load_value<std::string>(archive);
        value.assign(detail::load_value<int>(archive), find_category(category));
    }
};

}  // namespace multiprocessing::detail
