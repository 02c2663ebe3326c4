// multiprocessing/sharedctypes/format.hpp
//
// fmt prints v.value and a[i] as the values that they are, with the same format specifications.
// sharedctypes.hpp includes this file when fmt was included before, see synchronize/format.hpp.
// Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include "multiprocessing/sharedctypes/array.hpp"
#include "multiprocessing/sharedctypes/value.hpp"

template <class T>
struct fmt::formatter<multiprocessing::ValueAttribute<T>> : fmt::formatter<T> {
    template <class FormatContext>
    auto format(const multiprocessing::ValueAttribute<T>& value, FormatContext& context) const {
        return fmt::formatter<T>::format(value.load(), context);
    }
};

template <class T>
struct fmt::formatter<multiprocessing::detail::ElementAccess<T>> : fmt::formatter<T> {
    template <class FormatContext>
    auto format(const multiprocessing::detail::ElementAccess<T>& element,
                FormatContext& context) const {
        return fmt::formatter<T>::format(element.load(), context);
    }
};
