// multiprocessing/connection/read_array.hpp
//
// Reads bytes from a stream straight into a string or vector that is made for them. Floor 4.
// Start at read_array. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <version>

#include "multiprocessing/connection/byte_stream.hpp"

namespace multiprocessing::detail {

#if defined(__cpp_lib_string_resize_and_overwrite)

/// Makes a string as long as that. Its bytes are whatever the memory holds: they are to be written.
inline void resize_unwritten(std::string& text, std::size_t size) {
    text.resize_and_overwrite(size, [](char*, std::size_t whole) { return whole; });
}
inline constexpr bool can_resize_unwritten = true;

#elif defined(__GLIBCXX__) && _GLIBCXX_USE_CXX11_ABI

/// Sets the length of a string within its capacity. C++20 has no name for that. libstdc++ has one
/// since GCC 5, but it is private; an explicit instantiation may name it ([temp.spec.general]/6),
/// as folly's resizeWithoutInitialization does.
inline void set_length_of(std::string& text, std::size_t size);
template <void (std::string::*set_length)(std::size_t)>
struct StringLength {
    friend inline void set_length_of(std::string& text, std::size_t size) {
        (text.*set_length)(size);
    }
};
template struct StringLength<&std::string::_M_set_length>;

/// Makes a string as long as that. Its bytes are whatever the memory holds: they are to be written.
inline void resize_unwritten(std::string& text, std::size_t size) {
    text.reserve(size);
    set_length_of(text, size);
}
inline constexpr bool can_resize_unwritten = true;

#else

inline void resize_unwritten(std::string& text, std::size_t size) { text.resize(size); }
inline constexpr bool can_resize_unwritten = false;

#endif

/// Reads so many elements, whose first bytes were read before. Memory is taken at once, before
/// anything is read, but touched as the bytes arrive: a peer that announces gigabytes and sends
/// none has cost nothing.
/// @throws std::bad_alloc @throws std::system_error ECONNRESET
template <class Array>
Array read_array(ByteStream stream, std::size_t count, std::span<const std::byte> beginning = {}) {
    constexpr std::size_t item_size = sizeof(typename Array::value_type);
    Array array;
    if (count > array.max_size()) throw std::bad_alloc();
    array.reserve(count);
    const auto begin = [&](std::size_t size) {
        if constexpr (std::is_same_v<Array, std::string>) {
            resize_unwritten(array, size);
        } else {
            array.resize(size);
        }
        if (!beginning.empty()) std::memcpy(array.data(), beginning.data(), beginning.size());
    };
    if constexpr (std::is_same_v<Array, std::string> && can_resize_unwritten) {
        begin(count);
        read_rest(stream, std::as_writable_bytes(std::span(array)).subspan(beginning.size()));
        return array;
    } else {
        // When a step is overwritten, the zeros that resize wrote are still in the nearest cache.
        constexpr std::size_t step = (64 << 10) / item_size + 1;
        const auto at_most_all = [count](std::size_t size) { return size < count ? size : count; };
        begin(at_most_all(beginning.size() / item_size + step));
        for (std::size_t filled = beginning.size();;) {
            const auto bytes = std::as_writable_bytes(std::span(array));
            read_rest(stream, bytes.subspan(filled));
            if (array.size() == count) return array;
            filled = bytes.size();
            array.resize(at_most_all(array.size() + step));
        }
    }
}

}  // namespace multiprocessing::detail
