// multiprocessing/shared_objects/pages.hpp
//
// Which pages hold nothing but parts of one object. Floor 4. Start at pages_of.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>

#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/shared_objects/shareable.hpp"
#include "multiprocessing/shared_objects/state.hpp"

namespace multiprocessing::detail {

/// pages_of does not walk through containers with more elements than this: it must be quick.
inline constexpr std::size_t most_walked_elements = 64;

/// T keeps all of its elements in one block.
template <class T>
concept contiguous_container = shared_container<T> && requires(const T& container) {
    container.capacity();
    { std::addressof(*container.begin()) + container.size() };
} && !requires { typename T::hasher; };

/// Adds the pages of a container's block, which begins with `bytes` bytes of elements.
void add_pages_of_block(PageRanges& ranges, const void* block, std::size_t bytes);

template <class Container>
void add_pages_of_block(PageRanges& ranges, const Container& container) {
    if (container.size() == 0) return;  // nothing in the block is worth protecting
    add_pages_of_block(ranges, std::addressof(*container.begin()),
                       container.size() * sizeof(typename Container::value_type));
}

/// Adds the pages of the blocks that an object points to.
template <class T>
void add_pages_behind(PageRanges& ranges, const T& object) {
    if constexpr (shared_container<T>) {
        if constexpr (contiguous_container<T>) add_pages_of_block(ranges, object);
        if constexpr (!bitwise<typename T::value_type>) {
            if (object.size() > most_walked_elements) return;
            for (const auto& element : object) add_pages_behind(ranges, element);
        }
    } else if constexpr (bitwise<T> || std::is_array_v<T> || is_plain_atomic<T>) {
        return;
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<")) {
        std::apply([&](const auto&... parts) { (add_pages_behind(ranges, parts), ...); }, object);
    } else if constexpr (is_standard<T>("optional<")) {
        if (object) add_pages_behind(ranges, *object);
    } else if constexpr (!is_library_type<T>() && reflectable<T>) {
        visit_fields(object,
                     [&](const auto&... fields) { (add_pages_behind(ranges, fields), ...); });
    }
}

/// Returns the pages of a shared object's own block that hold nothing but the object.
PageRanges pages_of_own_block(ObjectState& state);

/// Returns the pages that belong to a shared object alone. They lie in its own block, and in the
/// blocks of the vectors, strings and flat maps that it is or has among its members.
template <class T>
PageRanges pages_of(ObjectState& state) {
    PageRanges ranges = pages_of_own_block(state);
    add_pages_behind(ranges, *static_cast<const T*>(state.content()));
    return ranges;
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_objects/pages.ipp"
#endif
