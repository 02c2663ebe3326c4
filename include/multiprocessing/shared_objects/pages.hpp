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
#include "multiprocessing/reduction/fields.hpp"
#include "multiprocessing/shared_objects/shareable.hpp"
#include "multiprocessing/shared_objects/state.hpp"

namespace multiprocessing::detail {

/// Containers with more elements are not walked through: looking at an object is to be quick.
inline constexpr std::size_t most_walked_elements = 64;

/// T keeps all of its elements in one block.
template <class T>
concept contiguous_container = shared_container<T> && requires(const T& container) {
    container.capacity();
    { std::addressof(*container.begin()) + container.size() };
} && !requires { typename T::hasher; };

template <class T>
void add_pages_behind(PageRanges& ranges, const T& object);

template <class Container>
void add_pages_of_block(PageRanges& ranges, const Container& container) {
    if (container.size() == 0) return;  // a block without elements is worth nothing
    const void* const block = std::addressof(*container.begin());
    const std::size_t bytes = container.size() * sizeof(typename Container::value_type);
    if (bytes < system_page_size()) return;  // also a short string, which lies in the object itself
    add_whole_pages(ranges, block, heap().allocator().usable_size(heap().offset_of(block)));
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

/// Returns the pages that wholly belong to a shared object: in its own block, and in those of the
/// vectors, strings and flat maps that it is, or has among its members.
template <class T>
PageRanges pages_of(ObjectState& state) {
    PageRanges ranges;
    const std::size_t block = heap().allocator().usable_size(heap().offset_of(&state));
    add_whole_pages(ranges, state.content(), block - state.content_at);
    add_pages_behind(ranges, *static_cast<const T*>(state.content()));
    return ranges;
}

}  // namespace multiprocessing::detail
