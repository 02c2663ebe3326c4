// multiprocessing/shared_objects/heap_pointer.hpp
//
// The pointers that link the nodes of maps, sets and lists in shared memory: each is a place in the
// heap. Floor 4. Start at HeapPointer.
//
// Why not offset_ptr? It holds the distance from itself to its target, so each copy, from a node to
// a variable and back, computes a new distance. A walk down a tree does that at every step: a
// lookup in a map of 1,000 takes 1.7 times as long as with plain pointers. A place is copied as it
// is: 1.2 times.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <boost/interprocess/offset_ptr.hpp>
#include <boost/intrusive/pointer_plus_bits.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>

namespace multiprocessing::detail {

/// The address at which this process has mapped the heap. 0: nobody has asked yet. It is a copy,
/// because to ask heap() takes three loads.
inline constinit std::atomic<std::uintptr_t> known_heap_base{0};

[[gnu::cold]] std::uintptr_t look_up_heap_base();

inline std::uintptr_t heap_base() {
    // relaxed: the number alone counts, and it never changes. A forked child has the same number.
    const std::uintptr_t base = known_heap_base.load(std::memory_order_relaxed);
    return base != 0 ? base : look_up_heap_base();
}

/// A pointer that is stored as its target's place in the heap: the distance from the heap's base,
/// modulo 2^64. So it may also lead out of the heap, to a container on the stack; such a pointer is
/// of use to this process only. Null is the place 0, the heap's own head.
template <class T>
class HeapPointer {
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = T*;
    using reference = std::add_lvalue_reference_t<T>;
    using iterator_category = std::random_access_iterator_tag;

    HeapPointer() noexcept = default;
    HeapPointer(std::nullptr_t) noexcept {}
    HeapPointer(T* address) : place_(place_of(address)) {}
    template <class U>
        requires std::is_convertible_v<U*, T*>
    HeapPointer(const HeapPointer<U>& other) : place_(converted(other)) {}
    template <class U>
        requires(!std::is_convertible_v<U*, T*>)
    explicit HeapPointer(const HeapPointer<U>& other) : place_(converted(other)) {}

    // The allocator's pointers are offset_ptrs.
    template <class U>
        requires std::is_convertible_v<U*, T*>
    HeapPointer(const boost::interprocess::offset_ptr<U>& other) : HeapPointer(other.get()) {}
    template <class U>
        requires std::is_convertible_v<T*, U*>
    operator boost::interprocess::offset_ptr<U>() const {
        return boost::interprocess::offset_ptr<U>(get());
    }

    /// Returns a pointer of this kind to an object.
    template <class U>
    static HeapPointer pointer_to(U& object) {
        return HeapPointer(std::addressof(object));
    }
    template <class U>
    static HeapPointer static_cast_from(const HeapPointer<U>& other) {
        return HeapPointer(static_cast<T*>(other.get()));
    }
    template <class U>
    static HeapPointer const_cast_from(const HeapPointer<U>& other) {
        return HeapPointer(const_cast<T*>(other.get()));
    }

    [[nodiscard]] T* get() const { return place_ == 0 ? nullptr : address(); }
    T* operator->() const { return address(); }
    reference operator*() const
        requires(!std::is_void_v<T>)
    {
        return *address();
    }
    explicit operator bool() const noexcept { return place_ != 0; }
    friend bool operator==(const HeapPointer&, const HeapPointer&) = default;
    friend auto operator<=>(const HeapPointer&, const HeapPointer&) = default;

    [[nodiscard]] std::uintptr_t place() const noexcept { return place_; }
    static HeapPointer from_place(std::uintptr_t place) noexcept {
        HeapPointer pointer;
        pointer.place_ = place;
        return pointer;
    }

  private:
    template <class U>
    static std::uintptr_t converted(const HeapPointer<U>& other) {
        if constexpr (std::is_void_v<T> ||
                      std::is_same_v<std::remove_cv_t<T>, std::remove_cv_t<U>>) {
            return other.place();
        } else {
            return place_of(static_cast<T*>(other.get()));
        }
    }
    static std::uintptr_t place_of(const volatile void* address) {
        return address == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(address) - heap_base();
    }
    [[nodiscard]] T* address() const { return reinterpret_cast<T*>(heap_base() + place_); }

    std::uintptr_t place_ = 0;
};

}  // namespace multiprocessing::detail

// Boost.Intrusive keeps the colour of a tree's node in the low bits of a link, for pointers that
// have these specialisations: 24 bytes a node and not 32. The heap begins on a page, so a place has
// the same low bits as its address.
namespace boost::intrusive {

template <std::size_t alignment>
struct max_pointer_plus_bits<multiprocessing::detail::HeapPointer<void>, alignment> {
    static constexpr std::size_t value = alignment >= 4 ? 2 : alignment >= 2 ? 1 : 0;
};

template <class T, std::size_t bits>
struct pointer_plus_bits<multiprocessing::detail::HeapPointer<T>, bits> {
    using pointer = multiprocessing::detail::HeapPointer<T>;
    static constexpr std::uintptr_t mask = (std::uintptr_t{1} << bits) - 1;

    static pointer get_pointer(const pointer& link) noexcept {
        return pointer::from_place(link.place() & ~mask);
    }
    static void set_pointer(pointer& link, const pointer& to) noexcept {
        link = pointer::from_place(to.place() | (link.place() & mask));
    }
    static std::size_t get_bits(const pointer& link) noexcept { return link.place() & mask; }
    static void set_bits(pointer& link, std::size_t value) noexcept {
        link = pointer::from_place((link.place() & ~mask) | value);
    }
};

}  // namespace boost::intrusive

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_objects/heap_pointer.ipp"
#endif
