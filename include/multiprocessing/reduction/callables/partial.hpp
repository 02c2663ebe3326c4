// multiprocessing/reduction/callables/partial.hpp
//
// partial: a function with its first arguments, as a value that can travel. Mirrors CPython's
// functools.partial. Floor 2. Start at partial.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/callables/arguments.hpp"
#include "multiprocessing/reduction/callables/callable.hpp"

namespace multiprocessing::detail {

template <class F, class Bound, class... Args>
inline constexpr bool partial_is_callable = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::is_invocable_v<F&,
                               decltype(pass_kept<parameter_t<std::remove_const_t<F>, I>>(
                                   std::get<I>(std::declval<Bound&>())))...,
                               Args...>;
}(std::make_index_sequence<std::tuple_size_v<std::remove_const_t<Bound>>>{});

template <class F, class Bound, class... Args>
decltype(auto) call_partial(F& function, Bound& bound, Args&&... args) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
        return std::invoke(function,
                           pass_kept<parameter_t<std::remove_const_t<F>, I>>(std::get<I>(bound))...,
                           std::forward<Args>(args)...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_const_t<Bound>>>{});
}

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// A function with its first arguments. `partial` makes it; a call gives it the other arguments.
///
/// Unlike the result of std::bind_front it can travel, because the library can see what is in it.
/// @par Source CPython Lib/functools.py, partial
template <class F, class... Bound>
class Partial {
  public:
    /// For `partial`, which makes it.
    explicit Partial(F function, Bound... bound)
        : function_(std::move(function)), bound_(std::move(bound)...) {}

    /// Calls the function with the bound arguments, which keep their values, and `args`.
    template <class... Args>
        requires(detail::partial_is_callable<const F, const std::tuple<Bound...>, Args...>)
    decltype(auto) operator()(Args&&... args) const {
        return detail::call_partial(function_, bound_, std::forward<Args>(args)...);
    }
    /// As above, for a function that changes its arguments (`int&`) or itself. Later calls see the
    /// changes.
    template <class... Args>
        requires(!detail::partial_is_callable<const F, const std::tuple<Bound...>, Args...> &&
                 detail::partial_is_callable<F, std::tuple<Bound...>, Args...>)
    decltype(auto) operator()(Args&&... args) {
        return detail::call_partial(function_, bound_, std::forward<Args>(args)...);
    }

  private:
    template <class, detail::Kind>
    friend struct detail::Pickler;

    F function_;
    std::tuple<Bound...> bound_;
};

}  // namespace multiprocessing

namespace multiprocessing::detail {

template <class F, class... Bound>
struct Pickler<Partial<F, Bound...>, Kind::partial> {
    using Type = Partial<F, Bound...>;
    using Elements = TypeList<F, Bound...>;
    static constexpr std::size_t smallest = smallest_sum(Elements{});

    static void save(OutputArchive& archive, const Type& value) {
        archive(value.function_, value.bound_);
    }
    static void load(InputArchive& archive, Type& value) { archive(value.function_, value.bound_); }
    static Type read(InputArchive& archive) {
        F function = load_value<F>(archive);
        // As a tuple, as it was saved: a tuple that travels as its bytes has the values in an order
        // of its own.
        auto bound = load_value<std::tuple<Bound...>>(archive);
        return std::apply(
            [&](Bound&... values) { return Type(std::move(function), std::move(values)...); },
            bound);
    }
};

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// Binds a function to its first arguments, which are converted to its parameter types. The result
/// can be called and bound again. It can be sent to another process when the function and the
/// arguments can.
///
///     pool.map(mp::partial(scale, 2.5), values);
///
/// @par Source CPython Lib/functools.py, partial
template <class F, class... Args>
auto partial(F&& function, Args&&... args) {
    using Arguments = detail::LeadingArgumentsOf<F, Args...>;
    static_assert(Arguments::convertible,
                  "multiprocessing: an argument of partial cannot be converted to the type of the "
                  "function's parameter");
    return [&]<class... Bound>(detail::TypeList<Bound...>) {
        return Partial<std::decay_t<F>, Bound...>(std::forward<F>(function),
                                                  static_cast<Bound>(std::forward<Args>(args))...);
    }(typename Arguments::Types{});
}

}  // namespace multiprocessing
