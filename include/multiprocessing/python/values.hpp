// multiprocessing/python/values.hpp
//
// Values of C++ as objects of Python, and the other way round: the types that travel as pickles
// (remote/pickle/codec.hpp), as the same objects, but made directly. Here are those without parts;
// see containers.hpp and arrays.hpp for the others. All of it needs the Gil. Floor 10. Start at
// Converter. SPDX-License-Identifier: MIT
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/python/error.hpp"
#include "multiprocessing/python/interpreter.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

namespace multiprocessing::detail::pythons {

using pickles::ValueKind;
using pickles::Way;

// --- objects without their C++ types ---

/// Returns what an object is; `reduced` for one of another class.
ValueKind kind_of(Object* object) noexcept;

/// Throws the TypeError for an object that is no `wanted`.
[[noreturn, gnu::cold]] void refuse(Object* object, std::string_view wanted);

/// @{
/// Makes an object. @throws ValueError for a text that is not UTF-8 @throws std::bad_alloc
Reference make_text(std::string_view text);
Reference make_bytes(std::string_view bytes);
/// Makes any object, of the bytes of a pickle.
Reference make_of_pickle(std::string_view bytes);
/// @}

/// @{
/// Returns what an object holds.
/// @throws TypeError when it holds no such thing
/// @throws ValueError when an int does not fit
std::int64_t to_signed(Object* object, std::size_t bits);
std::uint64_t to_unsigned(Object* object, std::size_t bits);
double to_double(Object* object);
bool to_bool(Object* object);
/// Returns the text or the bytes in an object, as long as it lives.
std::string_view view_text(Object* object);
std::string_view view_bytes(Object* object);
/// Returns any object as a pickle.
std::string to_pickle(Object* object);
/// @}

// --- with their C++ types ---

/// How values of type T are converted. Each specialisation has
///   - `Reference make(const T&)`, which returns a new object;
///   - `T take(Object*)`, which throws a TypeError for an object that is no T.
///
/// This one is for what is not made directly: pickle::object, exceptions, a class with functions
/// of its own for pickles.
template <class T, Way = pickles::way_of<T>()>
struct Converter {
    static Reference make(const T& value) { return make_of_pickle(pickle::dumps(value)); }
    static T take(Object* object) { return pickle::loads<T>(to_pickle(object)); }
};

template <class T>
Reference make_object(const T& value) {
    return Converter<std::remove_cv_t<T>>::make(value);
}
template <class T>
T take_value(Object* object) {
    return Converter<T>::take(object);
}

template <class T>
struct Converter<T, Way::none> {
    static Reference make(const T&) { return Reference::to(api().None); }
    static T take(Object* object) {
        if (object != api().None) refuse(object, "None");
        if constexpr (std::is_same_v<T, std::nullopt_t>) {
            return std::nullopt;
        } else {
            return T{};
        }
    }
};

template <>
struct Converter<bool, Way::boolean> {
    static Reference make(bool value) { return Reference::to(value ? api().True : api().False); }
    static bool take(Object* object) { return to_bool(object); }
};

/// Integers, and enums as their values.
template <class T>
struct Converter<T, Way::integer> {
    static Reference make(T value) {
        if constexpr (std::is_enum_v<T>) {
            return make_object(static_cast<std::underlying_type_t<T>>(value));
        } else if constexpr (std::is_signed_v<T>) {
            return checked(api().PyLong_FromLongLong(value));
        } else {
            return checked(api().PyLong_FromUnsignedLongLong(value));
        }
    }
    static T take(Object* object) {
        if constexpr (std::is_enum_v<T>) {
            return static_cast<T>(take_value<std::underlying_type_t<T>>(object));
        } else if constexpr (std::is_signed_v<T>) {
            return static_cast<T>(to_signed(object, 8 * sizeof(T)));
        } else {
            return static_cast<T>(to_unsigned(object, 8 * sizeof(T)));
        }
    }
};

template <class T>
struct Converter<T, Way::real> {
    static Reference make(T value) {
        return checked(api().PyFloat_FromDouble(static_cast<double>(value)));
    }
    static T take(Object* object) { return static_cast<T>(to_double(object)); }
};

template <class T>
struct Converter<T, Way::complex> {
    static Reference make(const T& value) {
        return checked(api().PyComplex_FromDoubles(static_cast<double>(value.real()),
                                                   static_cast<double>(value.imag())));
    }
    static T take(Object* object) {
        using Real = typename T::value_type;
        if (kind_of(object) == ValueKind::complex) {
            return {static_cast<Real>(api().PyComplex_RealAsDouble(object)),
                    static_cast<Real>(api().PyComplex_ImagAsDouble(object))};
        }
        return {static_cast<Real>(to_double(object)), Real{}};
    }
};

template <class T>
struct Converter<T, Way::text> {
    static Reference make(std::string_view value) { return make_text(value); }
    static T take(Object* object) {
        static_assert(std::is_same_v<T, std::string>,
                      "multiprocessing: a text of Python comes as a std::string: a string_view or "
                      "a const char* would outlive the object");
        return T(view_text(object));
    }
};

/// Containers of std::byte.
template <class T>
struct Converter<T, Way::bytes> {
    static Reference make(const T& value) {
        return make_bytes({reinterpret_cast<const char*>(value.data()), value.size()});
    }
    static T take(Object* object) {
        const std::string_view bytes = view_bytes(object);
        T value(bytes.size());
        if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
        return value;
    }
};

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/values.ipp"
