// multiprocessing/remote/managers/registry.hpp
//
// What a manager's server can make for its clients: the registered functions and types, by name.
// Mirrors BaseManager.register of CPython Lib/multiprocessing/managers.py. Floor 9. Start at
// ManagerRegistry. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/managers/exposed.hpp"
#include "multiprocessing/remote/managers/methods.hpp"

namespace multiprocessing {

/// How the objects of a registered type are called.
struct RegisterOptions {
    /// Whether several threads may be in methods of one object at the same time. Else a call waits
    /// until the one before it has returned: a method must then not wait for another method.
    bool concurrent = false;
};

namespace detail {

/// The registered names, and what makes an object of each. (A Method whose object is null.)
using ManagerRegistry = std::map<std::string, Method>;

/// Makes the value that a parameter asks for: any but a Self, which is left to the copy
/// constructor.
template <class Self>
struct AnyArgument {
    const PlacedArguments* arguments;
    std::size_t place;

    template <class Value>
        requires(!std::is_same_v<std::remove_cvref_t<Value>, Self>)
    operator Value() const {
        return argument_at<Value>(*arguments, place);
    }
};

/// How many arguments a registered type's constructor can have.
constexpr std::size_t most_arguments = 6;

template <class T, std::size_t... I>
consteval bool takes_arguments(std::index_sequence<I...>) {
    return requires { T((static_cast<void>(I), std::declval<const AnyArgument<T>&>())...); };
}
template <class T, std::size_t... I>
std::shared_ptr<T> make_of(const PlacedArguments& arguments, std::index_sequence<I...>) {
    return std::shared_ptr<T>(new T(AnyArgument<T>{&arguments, I}...));
}

/// Makes a T of as many arguments as there are. What types they must be of is known by T's
/// constructors.
template <class T, std::size_t count = 0>
std::shared_ptr<T> make_of_any(const PlacedArguments& arguments) {
    using Places = std::make_index_sequence<count>;
    if (arguments.size() == count) {
        if constexpr (takes_arguments<T>(Places())) return make_of<T>(arguments, Places());
    } else if constexpr (count < most_arguments) {
        return make_of_any<T, count + 1>(arguments);
    }
    throw TypeError(class_name_of<T>() + " cannot be made of " + std::to_string(arguments.size()) +
                    " arguments");
}

/// Makes a T of arguments of these types.
template <class T, class... Args>
std::shared_ptr<T> make_of_types(const PlacedArguments& arguments) {
    std::shared_ptr<T> made;
    const auto make = [&](Args... args) { made = std::make_shared<T>(std::move(args)...); };
    (void)call_function(make, arguments, TypeList<Args...>());
    return made;
}

/// Returns what makes objects of a registered type.
template <class T, class... Args>
Method maker_of_type(std::string name, const std::vector<NamedMethod<T>>& methods,
                     RegisterOptions options) {
    auto table = methods.empty() && Exposed<T>::known ? exposed_table<T>()
                                                      : make_table<T>(methods, options.concurrent);
    const auto make = [table](void*, const PlacedArguments& arguments) {
        std::shared_ptr<T> object;
        if constexpr (sizeof...(Args) != 0) {
            object = make_of_types<T, Args...>(arguments);
        } else {
            object = make_of_any<T>(arguments);
        }
        CallResult result;
        result.made = servant_of_pointer(std::move(object), table);
        return result;
    };
    return {std::move(name), {}, make};
}

/// Returns what gives the objects that a registered function returns.
template <class F>
Method maker_of_function(std::string name, F f, std::shared_ptr<const MethodTable> table) {
    static_assert(has_one_signature<F>,
                  "multiprocessing: a registered function needs one signature: it is not to be an "
                  "overloaded one, nor a generic lambda");
    const auto make = [f = std::move(f), table](void*, const PlacedArguments& arguments) mutable {
        const auto call = [&]<class... Args>(Args&&... args) {
            CallResult result;
            using R = std::invoke_result_t<F&, Args...>;
            result.made = servant_of<R>(std::invoke(f, std::forward<Args>(args)...), table);
            return result;
        };
        return call_function(call, arguments, parameter_list_t<F>{});
    };
    return {std::move(name), {}, make};
}

/// The type of the object that a function shares, by what the function returns.
template <class F, class... Parameters>
auto shared_type_of(TypeList<Parameters...>) ->
    typename SharedType<std::remove_cvref_t<std::invoke_result_t<F&, Parameters...>>>::type;

}  // namespace detail
}  // namespace multiprocessing
