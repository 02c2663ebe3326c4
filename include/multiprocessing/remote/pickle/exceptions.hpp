// multiprocessing/remote/pickle/exceptions.hpp
//
// How exceptions reach Python and come from there: each as the type of the same name, where both
// sides have it. Floor 9. Start at read_exception, and at the table in exceptions.ipp.
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <type_traits>

#include "multiprocessing/remote/pickle/codec.hpp"
#include "multiprocessing/remote/pickle/order.hpp"

namespace multiprocessing::detail::pickles {

/// Writes an exception. One that Python has no type for is a RuntimeError there, whose text begins
/// with the name of its type.
void write_exception(Writer& writer, const std::exception& error);
void write_exception(Writer& writer, const std::exception_ptr& error);

/// Says whether a value is an exception.
bool is_exception(const Place& place) noexcept;

/// Returns the exception that a value is: a RemoteError, where C++ has none of the type.
/// @pre is_exception(place)
std::exception_ptr read_exception(const Place& place);

template <class T>
struct Codec<T, Way::exception> {
    using Elements = TypeList<>;

    static void write(Writer& writer, const T& value) { write_exception(writer, value); }
    static T read(Reader& reader, const Node& node) {
        const Place place{reader.tree(), node};
        if (!is_exception(place)) reader.refuse(node, "an exception");
        if constexpr (std::is_same_v<T, std::exception_ptr>) {
            return read_exception(place);
        } else {
            try {
                std::rethrow_exception(read_exception(place));
            } catch (const T& error) {
                return error;
            } catch (...) {
                reader.refuse(node, "another exception");
            }
        }
    }
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/exceptions.ipp"
