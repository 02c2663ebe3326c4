// multiprocessing/managers/format.hpp
//
// fmt prints d[k] and l[i] as the values that they are, and the proxies in the way of Python's
// repr. managers.hpp includes this file when fmt was included before, see synchronize/format.hpp.
// Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <string>

#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_proxy.hpp"
#include "multiprocessing/managers/namespace_proxy.hpp"

template <class K, class V>
struct fmt::formatter<multiprocessing::detail::DictElement<K, V>> : fmt::formatter<V> {
    template <class FormatContext>
    auto format(const multiprocessing::detail::DictElement<K, V>& element,
                FormatContext& context) const {
        return fmt::formatter<V>::format(element.load(), context);
    }
};

template <class T>
struct fmt::formatter<multiprocessing::detail::ListElement<T>> : fmt::formatter<T> {
    template <class FormatContext>
    auto format(const multiprocessing::detail::ListElement<T>& element,
                FormatContext& context) const {
        return fmt::formatter<T>::format(element.load(), context);
    }
};
