// multiprocessing/remote/managers/methods.hpp
//
// How a C++ function becomes a method that Python can call: its arguments are made of the values
// that a request brings, and its result becomes the value of the reply. Floor 9. Start at
// NamedMethod. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/types/signature.hpp"
#include "multiprocessing/remote/managers/servant.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing {
namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// What stands in for a parameter that the caller may leave out.
template <class T>
inline constexpr bool may_be_left_out = is_optional<T>;
template <>
inline constexpr bool may_be_left_out<Timeout> = true;

/// Makes the argument of a parameter. @throws TypeError when it is missing, or of another type
template <class Parameter>
std::remove_cvref_t<Parameter> argument_at(const PlacedArguments& arguments, std::size_t place) {
    using Value = std::remove_cvref_t<Parameter>;
    if (place < arguments.size() && arguments[place] != nullptr) {
        return from_object<Value>(*arguments[place]);
    }
    if constexpr (may_be_left_out<Value>) return Value();
    throw TypeError("argument " + std::to_string(place + 1) + " is missing");
}

/// Checks that there are no more arguments than parameters. @throws TypeError
inline void check_count(const PlacedArguments& arguments, std::size_t parameters) {
    if (arguments.size() <= parameters) return;
    throw TypeError("takes " + std::to_string(parameters) + " arguments, but " +
                    std::to_string(arguments.size()) + " were given");
}

/// Makes a reply of what a function returns.
template <class R>
CallResult result_of(R&& result) {
    if constexpr (std::same_as<std::remove_cvref_t<R>, CallResult>) {
        return std::forward<R>(result);
    } else {
        CallResult written;
        written.reply = reply_of("#RETURN", result);
        return written;
    }
}

template <class F, class... Leading, class... Parameters, std::size_t... I>
CallResult call_with(F& f, const PlacedArguments& arguments, TypeList<Parameters...>,
                     std::index_sequence<I...>, Leading&... leading) {
    check_count(arguments, sizeof...(Parameters));
    // Braces, so that the first bad argument is the one that is reported.
    std::tuple<std::remove_cvref_t<Parameters>...> values{argument_at<Parameters>(arguments, I)...};
    auto call = [&]() -> decltype(auto) {
        return std::invoke(f, leading..., static_cast<Parameters&&>(std::get<I>(values))...);
    };
    if constexpr (std::is_void_v<decltype(call())>) {
        call();
        return {};
    } else {
        return result_of(call());
    }
}

/// Calls `f` with arguments of its parameters' types.
template <class F, class... Parameters, class... Leading>
CallResult call_function(F& f, const PlacedArguments& arguments, TypeList<Parameters...> list,
                         Leading&... leading) {
    return call_with(f, arguments, list, std::index_sequence_for<Parameters...>(), leading...);
}

template <class First, class... Rest>
consteval TypeList<Rest...> without_first(TypeList<First, Rest...>) {
    return {};
}

template <class F>
concept has_one_signature = !std::same_as<parameter_list_t<F>, unknown>;

}  // namespace detail

/// A method of T that clients may call, by its name: `{"add", &Adder::add}`.
///
/// Trailing parameters of type std::optional, and a Timeout, may be left out by the caller.
template <class T>
class NamedMethod {
  public:
    /// @param f          a member function of T, or a function that takes a T& first
    /// @param parameters the names of the parameters, for callers that give them by name
    template <class F>
    NamedMethod(std::string name, F f, std::vector<std::string> parameters = {})
        : method_{std::move(name), std::move(parameters), {}} {
        static_assert(detail::has_one_signature<F>,
                      "multiprocessing: a method of a manager's type needs a function with one "
                      "signature: not an overloaded one, nor a generic lambda");
        method_.body = [f](void* object, const detail::PlacedArguments& arguments) mutable {
            using Parameters = detail::parameter_list_t<F>;
            return detail::call_function(f, arguments, detail::without_first(Parameters{}),
                                         *static_cast<T*>(object));
        };
    }

    /// For the library.
    [[nodiscard]] const detail::Method& method() const noexcept { return method_; }

  private:
    detail::Method method_;
};

namespace detail {

/// The methods of a type of the library's. Specialisations are in exposed.hpp. Their methods() are
/// templates, so that a program compiles those that it uses.
template <class T>
struct Exposed {
    static constexpr bool known = false;
};

/// Returns the unqualified name of T: Adder of app::Adder.
template <class T>
std::string class_name_of() {
    std::string_view name = type_name<T>();
    const std::size_t arguments = name.find('<');
    const std::size_t colons = name.substr(0, arguments).rfind("::");
    if (colons != name.npos) name.remove_prefix(colons + 2);
    return std::string(name.substr(0, name.find('<')));
}

/// Makes the table of a type.
template <class T>
std::shared_ptr<const MethodTable> make_table(const std::vector<NamedMethod<T>>& methods,
                                              bool concurrent) {
    auto table = std::make_shared<MethodTable>();
    table->class_name = class_name_of<T>();
    table->concurrent = concurrent;
    for (const NamedMethod<T>& method : methods) table->methods.push_back(method.method());
    if constexpr (travels_to_python<T>) {
        table->value = [](const void* object) { return to_object(*static_cast<const T*>(object)); };
        table->text = [](const void* object) {
            return repr_of(to_object(*static_cast<const T*>(object)));
        };
    }
    if constexpr (requires { Exposed<T>::value(std::declval<const T&>()); }) {
        table->value = [](const void* object) {
            return Exposed<T>::value(*static_cast<const T*>(object));
        };
        table->text = [](const void* object) {
            return repr_of(Exposed<T>::value(*static_cast<const T*>(object)));
        };
    }
    if constexpr (has_text<T>) {
        table->text = [](const void* object) { return text_of(*static_cast<const T*>(object)); };
    }
    return table;
}

/// Returns the table of a type of the library's.
template <class T>
std::shared_ptr<const MethodTable> exposed_table() {
    if constexpr (Exposed<T>::known) {
        constexpr bool alone = requires { requires Exposed<T>::one_at_a_time; };
        return make_table<T>(Exposed<T>::methods(), !alone);
    } else {
        return make_table<T>({}, false);
    }
}

/// Returns by what an object is known to be the same: for a handle, what it is a handle on.
template <class T>
const void* identity_of(const T& object) {
    if constexpr (requires { object.shared_handle().object(); }) {
        return object.shared_handle().object();
    } else {
        return static_cast<const void*>(std::addressof(object));
    }
}

template <class T>
inline constexpr bool is_shared_pointer = false;
template <class T>
inline constexpr bool is_shared_pointer<std::shared_ptr<T>> = true;

/// Makes a servant of an object that others may have too.
template <class T>
std::shared_ptr<Servant> servant_of_pointer(std::shared_ptr<T> object,
                                            std::shared_ptr<const MethodTable> table) {
    if (object == nullptr) throw ValueError("a registered function has returned a null pointer");
    const void* const identity = identity_of(*object);
    return std::make_shared<Servant>(std::move(object), identity, std::move(table));
}

/// Makes a servant of what a registered function returns: a reference or a std::shared_ptr is the
/// object itself, a handle is the object that it is a handle on, and a value is a new object.
template <class R>
std::shared_ptr<Servant> servant_of(R&& result, std::shared_ptr<const MethodTable> table) {
    using T = std::remove_cvref_t<R>;
    if constexpr (is_shared_pointer<T>) {
        return servant_of_pointer(std::forward<R>(result), std::move(table));
    } else if constexpr (std::is_lvalue_reference_v<R> &&
                         !requires { result.shared_handle().object(); }) {
        static_assert(!std::is_const_v<std::remove_reference_t<R>>,
                      "multiprocessing: the object that a manager is to share is const");
        const auto keep = [](T*) {};  // it is the program's
        return servant_of_pointer(std::shared_ptr<T>(std::addressof(result), keep),
                                  std::move(table));
    } else {
        return servant_of_pointer(std::make_shared<T>(std::forward<R>(result)), std::move(table));
    }
}

/// The type that a registered function shares.
template <class R>
struct SharedType {
    using type = R;
};
template <class T>
struct SharedType<std::shared_ptr<T>> {
    using type = T;
};

}  // namespace detail
}  // namespace multiprocessing
