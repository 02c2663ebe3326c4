// multiprocessing/remote/connection/pickler.hpp
//
// The connections of a Listener and a Client: their objects are pickles. Floor 9. Start at
// Pickling. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

namespace multiprocessing::detail {

/// How a T is pickled. Connection::send and recv find it by the function below.
template <class T>
struct Pickling {
    static constexpr bool can_pickle = pickles::travels<T>;

    static std::string dumps(const T& object) { return pickle::dumps(object); }
    static T loads(const std::string& message) { return pickle::loads<T>(message); }
};

/// The answer where this header is included: see connection/pickling.hpp.
template <class T>
Pickling<T> pickling_of(PicklingQuery<T>);

/// Makes a connection that speaks CPython's wire.
inline Connection python_connection(Descriptor socket) {
    return {out_of_the_way(std::move(socket)), {true, true, true, Wire::python}};
}

}  // namespace multiprocessing::detail
