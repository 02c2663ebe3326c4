// multiprocessing/shared_objects/allocator.hpp
//
// An allocator that gives containers memory of the family's heap. Its pointers mean the same in
// every process. Floor 4. Start at allocator. SPDX-License-Identifier: MIT
#pragma once

#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/shared_objects/heap_pointer.hpp"

namespace multiprocessing {

/// Gives containers memory of the family's heap. Each of its pointers holds the distance from
/// itself to its target. So what a Boost container keeps in shared memory is right in each process,
/// wherever that process has mapped the heap. The allocator has no state: all allocators are equal,
/// in all processes.
///
///     boost::container::stable_vector<int, mp::allocator<int>> v;
///
/// The standard library's containers cannot use it: their nodes are linked by plain pointers.
/// @tparam T of an alignment up to 64
/// @par Processes When a process is killed inside a container's function, at most the content of
/// that container is lost.
template <class T>
class allocator {
  public:
    using value_type = T;
    using pointer = boost::interprocess::offset_ptr<T>;

    /// Names the allocator of another type.
    template <class U>
    struct rebind {
        using other = allocator<U>;  ///< the allocator of a U
    };

    /// Makes an allocator.
    allocator() noexcept = default;
    /// Makes the allocator of another type. There is nothing to copy.
    template <class U>
    allocator(const allocator<U>&) noexcept {}

    /// Returns room for `count` Ts.
    /// @throws std::bad_array_new_length when no address space is that large
    /// @throws std::bad_alloc when the segment or the machine has no room
    [[nodiscard]] pointer allocate(std::size_t count) {
        static_assert(alignof(T) <= detail::block_alignment,
                      "multiprocessing: shared memory holds types of an alignment up to 64");
        if (count > max_size()) throw std::bad_array_new_length();
        return pointer(static_cast<T*>(detail::allocate(count * sizeof(T))));
    }
    /// Gives the room back to the heap.
    void deallocate(const pointer& room, std::size_t) noexcept {
        detail::deallocate(const_cast<std::remove_cv_t<T>*>(room.get()));
    }
    /// Returns the largest number of Ts that can be asked for.
    [[nodiscard]] std::size_t max_size() const noexcept { return PTRDIFF_MAX / sizeof(T); }

    /// All allocators are equal: each may deallocate what another one has allocated.
    template <class U>
    friend bool operator==(const allocator&, const allocator<U>&) noexcept {
        return true;
    }
};

namespace detail {

/// The allocator of maps, sets and lists. They link their nodes by its void_pointer.
template <class T>
class NodeAllocator : public allocator<T> {
  public:
    using void_pointer = HeapPointer<void>;
    using const_void_pointer = HeapPointer<const void>;

    template <class U>
    struct rebind {
        using other = NodeAllocator<U>;
    };

    NodeAllocator() noexcept = default;
    template <class U>
    NodeAllocator(const allocator<U>&) noexcept {}
};

}  // namespace detail
}  // namespace multiprocessing
