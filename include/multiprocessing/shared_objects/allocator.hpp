// multiprocessing/shared_objects/allocator.hpp
//
// The family's heap as containers ask for memory: an allocator whose pointers mean the same in
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

/// Memory of the family's heap for containers. Its pointers are distances from where they lie, so
/// what a container of Boost keeps in shared memory is right in each process, wherever that has
/// mapped the heap. It has no state: all allocators are equal, in all processes.
///
///     boost::container::stable_vector<int, mp::allocator<int>> v;
///
/// The standard library's containers do not take it: their nodes are linked by plain pointers.
/// @tparam T of an alignment up to 64
/// @par Processes A process killed inside a container's function loses at most what that container
/// holds.
template <class T>
class allocator {
  public:
    using value_type = T;
    using pointer = boost::interprocess::offset_ptr<T>;

    /// The allocator of other types.
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
    /// Takes the room back.
    void deallocate(const pointer& room, std::size_t) noexcept {
        detail::deallocate(const_cast<std::remove_cv_t<T>*>(room.get()));
    }
    /// Returns how many Ts there can be at most.
    [[nodiscard]] std::size_t max_size() const noexcept { return PTRDIFF_MAX / sizeof(T); }

    /// All are equal: what one has allocated, any other may take back.
    template <class U>
    friend bool operator==(const allocator&, const allocator<U>&) noexcept {
        return true;
    }
};

namespace detail {

/// The allocator of maps, sets and lists, whose nodes are linked by what it has for a void_pointer.
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
