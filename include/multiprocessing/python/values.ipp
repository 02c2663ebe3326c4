// multiprocessing/python/values.ipp
//
// Objects without their C++ types, see values.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/values.hpp"

#include <limits>
#include <string>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pythons {

/// Returns the kind of a type that the flags do not tell.
inline ValueKind kind_of_other(Object* type) noexcept {
    const Api& python = api();
    if (type == python.bool_type) return ValueKind::boolean;
    if (python.PyType_IsSubtype(type, python.float_type) != 0) return ValueKind::real;
    if (python.PyType_IsSubtype(type, python.set_type) != 0) return ValueKind::set;
    if (python.PyType_IsSubtype(type, python.frozenset_type) != 0) return ValueKind::frozenset;
    if (python.PyType_IsSubtype(type, python.bytearray_type) != 0) return ValueKind::bytearray;
    if (python.PyType_IsSubtype(type, python.complex_type) != 0) return ValueKind::complex;
    return ValueKind::reduced;
}

inline ValueKind kind_of(Object* object) noexcept {
    if (object == api().None) return ValueKind::none;
    const Reference type(api().PyObject_Type(object));
    const unsigned long flags = api().PyType_GetFlags(type.get());
    if ((flags & int_subclass) != 0) {
        return type.get() == api().bool_type ? ValueKind::boolean : ValueKind::integer;
    }
    if ((flags & list_subclass) != 0) return ValueKind::list;
    if ((flags & tuple_subclass) != 0) return ValueKind::tuple;
    if ((flags & str_subclass) != 0) return ValueKind::text;
    if ((flags & bytes_subclass) != 0) return ValueKind::bytes;
    if ((flags & dict_subclass) != 0) return ValueKind::dict;
    return kind_of_other(type.get());
}

/// Returns the name of an object's type.
inline std::string type_name_of(Object* object) {
    const Reference type(api().PyObject_Type(object));
    const Reference name(api().PyObject_GetAttrString(type.get(), "__name__"));
    if (!name) api().PyErr_Clear();
    return name ? std::string(view_text(name.get())) : "an object";
}

inline void refuse(Object* object, std::string_view wanted) {
    throw TypeError("Python's function returned a value of type " + type_name_of(object) +
                    " where " + std::string(wanted) + " is asked for");
}

inline Reference make_text(std::string_view text) {
    Object* const made =
        api().PyUnicode_FromStringAndSize(text.data(), static_cast<ssize_t>(text.size()));
    if (made == nullptr) {
        api().PyErr_Clear();
        if (!pickles::is_utf8(text)) {
            throw ValueError(
                "a text for Python must be UTF-8; send bytes as std::vector<std::byte>");
        }
        throw std::bad_alloc();
    }
    return Reference(made);
}

inline Reference make_bytes(std::string_view bytes) {
    return checked(
        api().PyBytes_FromStringAndSize(bytes.data(), static_cast<ssize_t>(bytes.size())));
}

inline Reference make_of_pickle(std::string_view bytes) {
    const Reference message = make_bytes(bytes);
    return checked(call_object(interpreter().of_pickle, message.get()));
}

inline std::string to_pickle(Object* object) {
    const Reference message = checked(call_object(interpreter().to_pickle, object));
    return std::string(view_bytes(message.get()));
}

/// Returns an object as an int of Python: itself, or what a number of numpy stands for.
inline Reference index_of(Object* object) {
    Object* const index = api().PyNumber_Index(object);
    if (index == nullptr) {
        api().PyErr_Clear();
        refuse(object, "an int");
    }
    return Reference(index);
}

[[noreturn, gnu::cold]] inline void throw_too_large(std::size_t bits, std::string_view sign) {
    throw ValueError("Python's function returned an int that does not fit into " +
                     std::to_string(bits) + " bits" + std::string(sign));
}

inline std::int64_t to_signed(Object* object, std::size_t bits) {
    const Reference index = index_of(object);
    const long long value = api().PyLong_AsLongLong(index.get());
    const bool failed = value == -1 && api().PyErr_Occurred() != nullptr;
    if (failed) api().PyErr_Clear();
    const auto largest = std::numeric_limits<std::int64_t>::max() >> (64 - bits);
    if (failed || value > largest || value < -largest - 1) throw_too_large(bits, "");
    return value;
}

inline std::uint64_t to_unsigned(Object* object, std::size_t bits) {
    const Reference index = index_of(object);
    const unsigned long long value = api().PyLong_AsUnsignedLongLong(index.get());
    const bool failed =
        value == static_cast<unsigned long long>(-1) && api().PyErr_Occurred() != nullptr;
    if (failed) api().PyErr_Clear();
    const auto largest = std::numeric_limits<std::uint64_t>::max() >> (64 - bits);
    if (failed || value > largest) throw_too_large(bits, " without a sign");
    return value;
}

/// Says whether an object is a complex number, of Python or of numpy. Numpy's can be made a float,
/// which is its real part.
inline bool is_complex(Object* object) {
    const Reference type(api().PyObject_Type(object));
    if (type.get() == api().float_type || (api().PyType_GetFlags(type.get()) & int_subclass) != 0 ||
        api().PyType_IsSubtype(type.get(), api().float_type) != 0) {
        return false;
    }
    return kind_of(object) == ValueKind::complex || type_name_of(object).starts_with("complex");
}

inline double to_double(Object* object) {
    if (is_complex(object)) refuse(object, "a float");
    const double value = api().PyFloat_AsDouble(object);
    if (value != -1 || api().PyErr_Occurred() == nullptr) return value;
    api().PyErr_Clear();
    // Only an int may be too large. A text is no number, and others have no __float__.
    if (kind_of(object) == ValueKind::integer) throw_too_large(64, " of a double");
    refuse(object, "a float");
}

inline bool to_bool(Object* object) {
    if (object == api().True) return true;
    if (object == api().False) return false;
    const std::string type = type_name_of(object);
    if (type != "bool_" && type != "bool") refuse(object, "a bool");  // numpy's
    const int value = api().PyObject_IsTrue(object);
    checked(value);
    return value != 0;
}

inline std::string_view view_text(Object* object) {
    if (kind_of(object) != ValueKind::text) refuse(object, "a str");
    ssize_t size = 0;
    const char* const text = api().PyUnicode_AsUTF8AndSize(object, &size);
    if (text == nullptr) throw_failure();  // it has halves of characters
    return {text, static_cast<std::size_t>(size)};
}

inline std::string_view view_bytes(Object* object) {
    const ValueKind kind = kind_of(object);
    if (kind == ValueKind::bytearray) {
        return {api().PyByteArray_AsString(object),
                static_cast<std::size_t>(api().PyByteArray_Size(object))};
    }
    if (kind != ValueKind::bytes) refuse(object, "bytes");
    char* bytes = nullptr;
    ssize_t size = 0;
    checked(api().PyBytes_AsStringAndSize(object, &bytes, &size));
    return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace multiprocessing::detail::pythons
