// multiprocessing/connection/pickling.hpp
//
// Where pickles come in. Objects go as pickles through a connection that a Listener or a Client has
// made. Only a file that includes remote.hpp knows how to write one: there, send<T> and recv<T>
// find the overload of `pickling_of` that remote.hpp declares, elsewhere the one below. What is
// found is an argument of their templates. So the two are different functions, and a program may
// have files of both kinds. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// What a file without remote.hpp knows of pickles.
struct NoPickling {};

/// The question how a T is pickled. An answer has `static constexpr bool can_pickle` and the
/// functions `static std::string dumps(const T&)` and `static T loads(const std::string&)`.
template <class T>
struct PicklingQuery {};

NoPickling pickling_of(...);

/// The answer where this is used: argument-dependent lookup finds what is declared there.
template <class T>
using PicklingOf = decltype(pickling_of(PicklingQuery<T>()));

/// Says whether T can be pickled, as far as this file knows.
template <class Pickling>
consteval bool can_pickle() {
    if constexpr (std::is_same_v<Pickling, NoPickling>) {
        return false;
    } else {
        return Pickling::can_pickle;
    }
}

/// Where an object was to go through a connection as a pickle: throws the error that tells why it
/// cannot. @param done "sent" or "received"
[[noreturn, gnu::cold]] void throw_not_pickled(std::string_view type, const char* done,
                                               bool remote_is_included);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/pickling.ipp"
#endif
