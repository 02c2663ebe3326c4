// multiprocessing/remote/pickle/pickle.hpp
//
// Python's pickles: C++ values as bytes that Python reads, and the other way round.
// Mirrors CPython Lib/pickle.py, dumps and loads, for a closed set of types. Floor 9.
// Start at dumps and loads. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/remote/pickle/object.hpp"
#include "multiprocessing/remote/pickle/parser.hpp"

namespace multiprocessing::pickle {

/// Returns a value as a pickle of protocol 4. These types travel:
///
/// | C++ | Python |
/// | --- | --- |
/// | integers and enums up to 64 bits, floating-point numbers, bool | int, float, bool |
/// | `std::nullopt`, `nullptr`, `std::monostate` | None |
/// | `std::string`, in UTF-8 | str |
/// | `std::vector<std::byte>` | bytes |
/// | vector, list, deque | list |
/// | set, unordered_set | set |
/// | map, unordered_map | dict |
/// | pair, tuple, array, aggregates (their fields in order) | tuple |
/// | optional, variant | None or the value, the alternative that it holds |
/// | `std::complex` | complex |
/// | exceptions, `std::exception_ptr` | the exception of the same name, else RuntimeError |
/// | `pickle::object` | what it holds |
/// | a class with `object to_pickle() const` and `static T from_pickle(const object&)` | what that
/// gives |
///
/// @throws ValueError for a text that is not UTF-8, and beyond 1000 levels of nested containers
/// @par Source CPython Lib/pickle.py, dumps
template <class T>
[[nodiscard]] std::string dumps(const T& value) {
    using Value = std::decay_t<const T&>;
    if constexpr (!detail::pickles::travels<Value>) {
        detail::pickles::require_travels<Value>();
        std::abort();
    } else {
        detail::pickles::Writer writer;
        detail::pickles::write_value<Value>(writer, value);
        return std::move(writer).finish();
    }
}

/// Returns the value of a pickle of protocol 2 to 5 as a T. No code is run, whatever the message
/// says. Besides the types that dumps gives, an int is taken as a floating-point number, a list as
/// a tuple and the other way round, a bytearray as bytes, and an array.array or a numpy array of
/// numbers as a vector (of vectors) of numbers. `loads<object>` takes everything that travels.
///
///     auto xs = mp::pickle::loads<std::vector<double>>(bytes);
///
/// A message may unfold to a million values, or bytes in texts, and 16 more for each of its bytes.
/// @param bytes the pickle; what follows its end is ignored
/// @throws TypeError when T does not take the value, and when a class or function is named that
/// does
///         not travel
/// @throws ValueError when an int does not fit T, and when the message is damaged, contains itself,
///         unfolds to too much, or is nested more than 1000 levels deep
/// @par Source CPython Lib/pickle.py, loads
template <class T>
[[nodiscard]] T loads(std::string_view bytes) {
    if constexpr (!detail::pickles::travels<T>) {
        detail::pickles::require_travels<T>();
        std::abort();
    } else if constexpr (std::is_same_v<T, object>) {
        auto tree = std::make_shared<const detail::pickles::OwnedTree>(std::string(bytes));
        const detail::pickles::NodeNumber root = tree->tree().root;
        return {std::move(tree), root};
    } else {
        const detail::pickles::Tree tree = detail::pickles::parse(bytes);
        return detail::pickles::Reader(tree).read<T>(tree.top());
    }
}
/// As above.
template <class T>
[[nodiscard]] T loads(std::span<const std::byte> bytes) {
    return loads<T>(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace multiprocessing::pickle
