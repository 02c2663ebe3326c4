// multiprocessing/synchronize/trailing.hpp
//
// Shared objects that have an array behind them, in the same block. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/handle.hpp"

namespace multiprocessing::detail {

/// Makes a T in the family's heap with `bytes` zero bytes behind it. In a large block only the
/// pages that are touched take memory. @throws std::bad_alloc
template <class T, class... Args>
Handle<T> make_with_trailing(std::size_t bytes, Args&&... args) {
    static_assert(std::is_base_of_v<SharedObject, T> &&
                  std::is_nothrow_constructible_v<T, Args...>);
    make_destroyable<T>();
    if (bytes > SIZE_MAX - sizeof(T)) throw std::bad_alloc();
    prepare_ledger();
    T* const object = new (allocate_zeroed(sizeof(T) + bytes)) T(std::forward<Args>(args)...);
    object->set_birth(heap().family().fork_clock());
    return Handle<T>(Adopted{}, *object);
}

}  // namespace multiprocessing::detail
