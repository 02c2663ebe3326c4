// multiprocessing/sharedctypes/element.hpp
//
// The elements of an Array, and the iterators over them. Each access takes the array's lock.
// Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstddef>
#include <iterator>
#include <utility>

#include "multiprocessing/sharedctypes/access.hpp"
#include "multiprocessing/synchronize/lock.hpp"

namespace multiprocessing::detail {

/// What `a[i]` is: an element, which is read and written under the array's lock. It refers to the
/// Array object that gave it.
template <class T>
class ElementAccess : public LockedAccess<ElementAccess<T>, T> {
  public:
    ElementAccess(AnyLock& lock, T& object) noexcept : lock_(&lock), object_(&object) {}
    ElementAccess(const ElementAccess&) = default;

    // const, because the writable ranges of C++20 demand it of a proxy.
    const ElementAccess& operator=(const T& value) const {
        this->store(value);
        return *this;
    }
    const ElementAccess& operator=(const ElementAccess& other) const {
        return *this = other.load();
    }

    [[nodiscard]] AnyLock& lock() const noexcept { return *lock_; }
    [[nodiscard]] T& object() const noexcept { return *object_; }

    friend void swap(const ElementAccess& a, const ElementAccess& b) {
        const T old = a.load();
        a.store(b.load());
        b.store(old);
    }

  private:
    AnyLock* lock_;
    T* object_;
};

/// Walks over an array. Each access to an element takes the lock.
template <class T>
class ElementIterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using reference = ElementAccess<T>;
    using pointer = void;
    using iterator_concept = std::random_access_iterator_tag;
    // As of std::vector<bool>: the reference is a proxy, but algorithms need random access.
    using iterator_category = std::random_access_iterator_tag;

    ElementIterator() = default;
    ElementIterator(AnyLock& lock, T* place) noexcept : lock_(&lock), place_(place) {}

    reference operator*() const noexcept { return {*lock_, *place_}; }
    reference operator[](difference_type n) const noexcept { return {*lock_, place_[n]}; }
    ElementIterator& operator++() noexcept { return *this += 1; }
    ElementIterator& operator--() noexcept { return *this += -1; }
    ElementIterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
    ElementIterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
    ElementIterator& operator+=(difference_type n) noexcept {
        place_ += n;
        return *this;
    }
    ElementIterator& operator-=(difference_type n) noexcept { return *this += -n; }
    friend ElementIterator operator+(ElementIterator at, difference_type n) noexcept {
        return at += n;
    }
    friend ElementIterator operator+(difference_type n, ElementIterator at) noexcept {
        return at += n;
    }
    friend ElementIterator operator-(ElementIterator at, difference_type n) noexcept {
        return at -= n;
    }
    friend difference_type operator-(ElementIterator a, ElementIterator b) noexcept {
        return a.place_ - b.place_;
    }
    friend bool operator==(ElementIterator a, ElementIterator b) noexcept {
        return a.place_ == b.place_;
    }
    friend std::strong_ordering operator<=>(ElementIterator a, ElementIterator b) noexcept {
        return a.place_ <=> b.place_;
    }
    friend T iter_move(ElementIterator at) { return (*at).load(); }
    friend void iter_swap(ElementIterator a, ElementIterator b) { swap(*a, *b); }

  private:
    AnyLock* lock_ = nullptr;
    T* place_ = nullptr;
};

}  // namespace multiprocessing::detail
