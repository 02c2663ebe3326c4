// multiprocessing/reduction/types/kind.hpp
//
// What kind of type a type is for the archives. The kind decides how its values travel. Floor 2.
// Start at Kind. The ways themselves are in pickler.hpp, containers.hpp, products.hpp,
// pointers.hpp, cereal_types.hpp and function_identity.hpp. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/untyped.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/reduction/types/signature.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing {

/// Set it to true for a trivially copyable class of yours whose bytes are its value in every
/// process of the family: no pointer, no reference, nothing that only this process knows. You need
/// it only where the library cannot see the fields (private ones, a union, a base class).
///
///     template <> inline constexpr bool multiprocessing::bitwise_picklable<Color> = true;
template <class T>
inline constexpr bool bitwise_picklable = false;
template <>
inline constexpr bool bitwise_picklable<detail::Untyped> = true;

}  // namespace multiprocessing

namespace multiprocessing::detail {

/// How a value travels.
enum class Kind {
    unsupported,
    handle,           // its place in the family's heap
    self_archiving,   // by its own functions for these archives
    bitwise,          // its bytes
    function,         // which function it points to
    member_function,  // the same
    partial,          // its function and its arguments
    cereal,           // by the type's own cereal functions
    c_array,
    contiguous,  // a vector or string of bitwise elements: one memcpy
    sequence,    // other vectors, deque, list
    bool_vector,
    forward_list,
    associative,  // maps and sets
    adaptor,      // queue, stack, priority_queue
    valarray,
    array,
    tuple,  // pair too
    optional,
    variant,
    expected,
    unique_ptr,
    shared_ptr,
    weak_ptr,
    path,
    error_code,
    aggregate  // field by field
};

/// T is a public handle on an object in the family's heap.
template <class T>
concept handle_type = requires(const T& handle, AnyHandle any) {
    { handle.shared_handle() } -> std::same_as<const AnyHandle&>;
    { T::from_shared_handle(std::move(any)) } -> std::same_as<T>;
};

/// T is a class of the library that is more than such a handle, as Connection is. It writes itself
/// to an archive and makes itself from one.
template <class T>
concept self_archiving = requires(const T& value, OutputArchive& output, InputArchive& input) {
    { value.archive_to(output) } -> std::same_as<void>;
    { T::from_archive(input) } -> std::same_as<T>;
};

/// T has cereal functions for both directions.
template <class T>
concept cereal_type =
    std::is_class_v<T> && cereal::traits::is_output_serializable<T, OutputArchive>::value &&
    cereal::traits::is_input_serializable<T, InputArchive>::value;

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UnsignedInt128;

template <class T>
inline constexpr bool is_number = std::is_arithmetic_v<T> || std::is_enum_v<T> ||
                                  std::is_same_v<T, Int128> || std::is_same_v<T, UnsignedInt128>;

template <class T>
consteval Kind kind_of();

/// How values of type T travel.
template <class T>
inline constexpr Kind kind = kind_of<std::remove_cv_t<T>>();

template <class T>
inline constexpr bool bitwise = kind<T> == Kind::bitwise;

template <class... Ts>
consteval bool all_bitwise(TypeList<Ts...>) {
    return (bitwise<Ts> && ...);
}

template <template <class...> class Template, class... Ts>
consteval TypeList<Ts...> arguments_of(const Template<Ts...>*) {
    return {};
}
/// The type arguments of a tuple, pair or variant.
template <class T>
using ArgumentsOf = decltype(arguments_of(static_cast<const T*>(nullptr)));

/// Copying a T is copying its bytes. A pair or tuple is not "trivially copyable", because its
/// assignment is not trivial, but its copy constructor may be.
template <class T>
inline constexpr bool copies_like_bytes =
    std::is_trivially_copy_constructible_v<T> && std::is_trivially_destructible_v<T>;

/// Says whether T is one of the classes of namespace std (or below it) that are known to have their
/// value in their bytes. @pre T is trivially copyable
template <class T>
consteval bool is_bitwise_standard_class() {
    // In <chrono> only the time zones have pointers.
    return is_standard<T>("complex<") || is_standard<T>("bitset<") ||
           (is_standard<T>("chrono::") && !is_standard<T>("chrono::zoned") &&
            !is_standard<T>("chrono::time_zone")) ||
           is_standard<T>("strong_ordering") || is_standard<T>("weak_ordering") ||
           is_standard<T>("partial_ordering") || is_standard<T>("thread::id");
}

/// Says how a smart pointer travels. When it points to a polymorphic class, the object may be of a
/// derived class. Only cereal's registration (<cereal/types/polymorphic.hpp>) can know which.
template <class T>
consteval Kind kind_of_pointer(Kind plain) {
    using Object = typename T::element_type;
    if constexpr (std::is_void_v<Object> || std::is_array_v<Object>) {
        return Kind::unsupported;
    } else if constexpr (std::is_polymorphic_v<Object> && !std::is_final_v<Object>) {
        return cereal_type<T> ? Kind::cereal : Kind::unsupported;
    } else {
        return plain;
    }
}

/// The kinds of the standard library's own templates.
template <class T>
consteval Kind kind_of_library_class() {
    if constexpr (!is_library_type<T>() || is_standard<T>("basic_string_view<") ||
                  is_standard<T>("span<") || is_standard<T>("initializer_list<")) {
        return Kind::unsupported;
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<")) {
        return copies_like_bytes<T> && all_bitwise(ArgumentsOf<T>{}) ? Kind::bitwise : Kind::tuple;
    } else if constexpr (is_standard<T>("array<")) {
        return bitwise<typename T::value_type> ? Kind::bitwise : Kind::array;
    } else if constexpr (is_standard<T>("optional<")) {
        return std::is_trivially_copyable_v<T> && bitwise<typename T::value_type> ? Kind::bitwise
                                                                                  : Kind::optional;
    } else if constexpr (is_standard<T>("variant<")) {
        return std::is_trivially_copyable_v<T> && all_bitwise(ArgumentsOf<T>{}) ? Kind::bitwise
                                                                                : Kind::variant;
    } else if constexpr (is_standard<T>("expected<")) {
        return Kind::expected;
    } else if constexpr (is_standard<T>("unique_ptr<")) {
        using Owner = std::unique_ptr<typename T::element_type>;  // not an array, no deleter
        return std::is_same_v<T, Owner> ? kind_of_pointer<T>(Kind::unique_ptr) : Kind::unsupported;
    } else if constexpr (is_standard<T>("shared_ptr<")) {
        // A shared_ptr to an array does not know how long that is.
        using Owner = std::shared_ptr<typename T::element_type>;
        return std::is_same_v<T, Owner> ? kind_of_pointer<T>(Kind::shared_ptr) : Kind::unsupported;
    } else if constexpr (is_standard<T>("weak_ptr<")) {
        using Observer = std::weak_ptr<typename T::element_type>;
        return std::is_same_v<T, Observer> ? kind_of_pointer<T>(Kind::weak_ptr) : Kind::unsupported;
    } else if constexpr (is_standard<T>("filesystem::") && type_name<T>().ends_with("::path")) {
        return Kind::path;
    } else if constexpr (is_standard<T>("error_code") || is_standard<T>("error_condition")) {
        return Kind::error_code;
    } else if constexpr (is_standard<T>("valarray<")) {
        return Kind::valarray;
    } else if constexpr (is_standard<T>("queue<") || is_standard<T>("stack<") ||
                         is_standard<T>("priority_queue<")) {
        return Kind::adaptor;
    } else if constexpr (std::is_trivially_copyable_v<T> && is_bitwise_standard_class<T>()) {
        return Kind::bitwise;
    } else if constexpr (!requires(T& c) {
                             typename T::value_type;
                             c.clear();
                             c.begin();
                         }) {
        return Kind::unsupported;
    } else if constexpr (requires(T& c) { c.before_begin(); }) {
        return Kind::forward_list;
    } else if constexpr (requires { typename T::key_type; }) {
        return Kind::associative;
    } else if constexpr (requires(T& c) { c.flip(); }) {
        return Kind::bool_vector;
    } else if constexpr (requires(T& c) {
                             c.data();
                             c.resize(c.size());
                         }) {
        // assign() needs copy assignment, which structs with const fields do not have. A vector of
        // them is filled one by one.
        return bitwise<typename T::value_type> && std::is_copy_assignable_v<typename T::value_type>
                   ? Kind::contiguous
                   : Kind::sequence;
    } else if constexpr (requires(T& c) {
                             c.push_back(*c.begin());
                             c.back();
                         }) {
        return Kind::sequence;
    } else if constexpr (requires(T& c) {
                             c.back();
                             c.size();
                             c.pop_back();
                         }) {
        return Kind::sequence;  // of elements that can only be moved
    } else {
        return Kind::unsupported;
    }
}

/// A type that cannot be copied or moved (an atomic, a mutex) is not a value.
template <class T>
concept trivial_value = std::is_trivially_copyable_v<T> &&
                        (std::is_copy_constructible_v<T> || std::is_move_constructible_v<T>);

/// Says whether T is a struct whose bytes are its value. It does not look at the fields of a struct
/// that cannot be copied as bytes, because they may lead back to it (a Tree has a vector<Tree>).
template <class T>
consteval bool is_bitwise_struct() {
    if constexpr (!trivial_value<T>) {
        return false;
    } else if constexpr (reflectable<T>) {
        return all_bitwise(FieldTypes<T>{});
    } else {
        return false;
    }
}

template <class T>
consteval Kind kind_of_class() {
    if constexpr (handle_type<T>) {
        return Kind::handle;
    } else if constexpr (self_archiving<T>) {
        return Kind::self_archiving;
    } else if constexpr (PartialParts<T>::is_partial) {
        return Kind::partial;
    } else if constexpr (bitwise_picklable<T>) {
        static_assert(std::is_trivially_copyable_v<T>,
                      "multiprocessing: bitwise_picklable<T> is true for a T that is not trivially "
                      "copyable");
        return Kind::bitwise;
    } else if constexpr (kind_of_library_class<T>() != Kind::unsupported) {
        return kind_of_library_class<T>();
    } else if constexpr (cereal_type<T>) {
        // This comes before the bytes. An author who writes the functions has a reason (the number
        // of an interned symbol is worth nothing in another process).
        return Kind::cereal;
    } else if constexpr (std::is_empty_v<T> && trivial_value<T>) {
        return Kind::bitwise;  // a lambda without captures, std::less<>, std::monostate
    } else if constexpr (is_bitwise_struct<T>()) {
        return Kind::bitwise;
    } else if constexpr (reflectable<T>) {
        return has_bit_fields<T> ? Kind::unsupported : Kind::aggregate;
    } else {
        return Kind::unsupported;
    }
}

template <class T>
consteval Kind kind_of() {
    if constexpr (is_number<T> || std::is_member_object_pointer_v<T> || std::is_null_pointer_v<T>) {
        return Kind::bitwise;
    } else if constexpr (std::is_pointer_v<T>) {
        return std::is_function_v<std::remove_pointer_t<T>> ? Kind::function : Kind::unsupported;
    } else if constexpr (std::is_member_function_pointer_v<T>) {
        return Kind::member_function;
    } else if constexpr (std::is_bounded_array_v<T>) {
        return bitwise<std::remove_extent_t<T>> ? Kind::bitwise : Kind::c_array;
    } else if constexpr (std::is_union_v<T>) {
        return bitwise_picklable<T> ? Kind::bitwise : Kind::unsupported;
    } else if constexpr (std::is_class_v<T>) {
        return kind_of_class<T>();
    } else {
        return Kind::unsupported;  // references, void, functions
    }
}

}  // namespace multiprocessing::detail
