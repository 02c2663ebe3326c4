// multiprocessing/python/arrays.hpp
//
// Arrays of numbers: what Python has in numpy arrays, array.array and memoryviews is copied as a
// whole; memory of C++ is seen by Python where it is. Needs the Gil. Floor 10. Start at Numbers and
// make_view. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

#include "multiprocessing/python/values.hpp"

namespace multiprocessing::detail::pythons {

template <class T>
inline constexpr bool is_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool> &&
                                  !std::is_same_v<T, long double> && !std::is_same_v<T, wchar_t>;

/// The type of numbers of size and kind: 'i' signed, 'u' unsigned, 'f' floating, 'b' bool, 0 other.
struct NumberType {
    char kind = 0;
    std::size_t size = 0;

    bool operator==(const NumberType&) const = default;
};
template <class T>
inline constexpr NumberType number_type{std::is_floating_point_v<T> ? 'f'
                                        : std::is_signed_v<T>       ? 'i'
                                                                    : 'u',
                                        sizeof(T)};

/// The letter that Python's module struct has for a number.
template <class T>
consteval char format_of() {
    if constexpr (std::is_floating_point_v<T>) {
        return sizeof(T) == 8 ? 'd' : 'f';
    } else {
        constexpr char letter = sizeof(T) == 8   ? 'q'
                                : sizeof(T) == 4 ? 'i'
                                : sizeof(T) == 2 ? 'h'
                                                 : 'b';
        return std::is_signed_v<T> ? letter : static_cast<char>(letter - 'a' + 'A');
    }
}

/// The numbers of an object that gives access to its memory, in one dimension.
class Numbers {
  public:
    /// Looks at an object. It has none when it does not give access, or not in one dimension, or to
    /// other things than numbers of this machine.
    explicit Numbers(Object* object) noexcept;
    Numbers(const Numbers&) = delete;
    Numbers& operator=(const Numbers&) = delete;
    ~Numbers();

    explicit operator bool() const noexcept { return type_.kind != 0; }
    [[nodiscard]] NumberType type() const noexcept { return type_; }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(buffer_.shape[0]);
    }

    /// Says whether all of them can be T's without loss of their kind: no floats as integers.
    template <class T>
    [[nodiscard]] bool are() const noexcept {
        return type_ == number_type<T> || (std::is_floating_point_v<T> && type_.kind == 'f');
    }
    /// Copies them all. @pre are<T>(), and there is room for size()
    template <class T>
    void copy_to(T* target) const noexcept {
        const auto* from = static_cast<const std::byte*>(buffer_.buf);
        if (type_ == number_type<T> && buffer_.strides[0] == ssize_t{sizeof(T)}) {
            if (size() != 0) std::memcpy(target, from, size() * sizeof(T));
            return;
        }
        for (std::size_t i = 0; i < size(); ++i, from += buffer_.strides[0]) {
            target[i] = type_ == number_type<T>       ? number_at<T>(from)
                        : type_.size == sizeof(float) ? static_cast<T>(number_at<float>(from))
                                                      : static_cast<T>(number_at<double>(from));
        }
    }

  private:
    template <class T>
    static T number_at(const std::byte* place) noexcept {
        T number;
        std::memcpy(&number, place, sizeof(T));
        return number;
    }

    Buffer buffer_{};
    NumberType type_;
};

/// Returns a memoryview of memory. The view, and all that is made of it, keep the memory's owner.
/// @param format the letter of the elements' type
Reference make_view(std::span<const std::byte> memory, char format, bool read_only,
                    std::shared_ptr<const void> owner);

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/arrays.ipp"
