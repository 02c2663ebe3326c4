// multiprocessing/sharedctypes/access.hpp
//
// What v.value and a[i] are: they read and write the shared object under its lock. Every operator
// is one step: no other process comes in between. Floor 4. Start at AccessOperators.
// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <concepts>
#include <iosfwd>
#include <optional>
#include <type_traits>
#include <utility>

#include "multiprocessing/sharedctypes/guard.hpp"

namespace multiprocessing::detail {

/// The operators of a proxy. Derived has `load()` and `change(f)`. The latter calls f on the value
/// in one step and returns the new value.
///
/// The compound assignments return the new value, as std::atomic does. They return no reference,
/// because its use would be a second access.
template <class Derived, class T>
class AccessOperators {
  public:
    using accessed_type = T;

    operator T() const { return load(); }

    // The cast is for all types alike: a short plus a short is an int, and wraps on its way back as
    // it does in C.
    template <class U>
    T operator+=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a + other); }
    {
        return change([&](T& a) { a = static_cast<T>(a + other); });
    }
    template <class U>
    T operator-=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a - other); }
    {
        return change([&](T& a) { a = static_cast<T>(a - other); });
    }
    template <class U>
    T operator*=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a * other); }
    {
        return change([&](T& a) { a = static_cast<T>(a * other); });
    }
    template <class U>
    T operator/=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a / other); }
    {
        return change([&](T& a) { a = static_cast<T>(a / other); });
    }
    template <class U>
    T operator%=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a % other); }
    {
        return change([&](T& a) { a = static_cast<T>(a % other); });
    }
    template <class U>
    T operator&=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a & other); }
    {
        return change([&](T& a) { a = static_cast<T>(a & other); });
    }
    template <class U>
    T operator|=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a | other); }
    {
        return change([&](T& a) { a = static_cast<T>(a | other); });
    }
    template <class U>
    T operator^=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a ^ other); }
    {
        return change([&](T& a) { a = static_cast<T>(a ^ other); });
    }
    template <class U>
    T operator<<=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a << other); }
    {
        return change([&](T& a) { a = static_cast<T>(a << other); });
    }
    template <class U>
    T operator>>=(const U& other) const
        requires requires(const T& a) { static_cast<T>(a >> other); }
    {
        return change([&](T& a) { a = static_cast<T>(a >> other); });
    }

    T operator++() const
        requires requires(T& a) { ++a; }
    {
        return change([](T& a) { ++a; });
    }
    T operator--() const
        requires requires(T& a) { --a; }
    {
        return change([](T& a) { --a; });
    }
    T operator++(int) const
        requires requires(T& a) { ++a; }
    {
        std::optional<T> before;
        change([&](T& a) { before = a++; });
        return std::move(*before);
    }
    T operator--(int) const
        requires requires(T& a) { --a; }
    {
        std::optional<T> before;
        change([&](T& a) { before = a--; });
        return std::move(*before);
    }

    // Numbers are converted, and compared by the built-in operators. The operators of a class may
    // be found only through the class itself, so they are forwarded.
    friend bool operator==(const Derived& a, const T& b)
        requires std::is_class_v<T> && std::equality_comparable<T>
    {
        return a.load() == b;
    }
    friend bool operator==(const Derived& a, const Derived& b)
        requires std::is_class_v<T> && std::equality_comparable<T>
    {
        return a.load() == b.load();
    }
    friend auto operator<=>(const Derived& a, const T& b)
        requires std::is_class_v<T> && std::three_way_comparable<T>
    {
        return a.load() <=> b;
    }

    template <class Char, class Traits>
    friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& stream,
                                                        const Derived& access)
        requires requires(const T& value) { stream << value; }
    {
        return stream << access.load();
    }

  protected:
    AccessOperators() = default;
    AccessOperators(const AccessOperators&) = default;
    AccessOperators& operator=(const AccessOperators&) = default;
    ~AccessOperators() = default;

    [[nodiscard]] const Derived& derived() const noexcept {
        return static_cast<const Derived&>(*this);
    }

  private:
    [[nodiscard]] T load() const { return derived().load(); }
    template <class Change>
    T change(Change change) const {
        return derived().change(std::move(change));
    }
};

/// A proxy of an object that a lock guards. Derived has `lock()` and `object()`, a T&.
template <class Derived, class T>
class LockedAccess : public AccessOperators<Derived, T> {
  public:
    /// Returns the value, read under the lock. @throws AbandonedError as acquire
    [[nodiscard]] T load() const {
        const LockHolder holder(this->derived().lock());
        return this->derived().object();
    }
    /// Writes the value under the lock. @throws AbandonedError as acquire
    void store(const T& value) const {
        const LockHolder holder(this->derived().lock());
        this->derived().object() = value;
    }

    /// Changes the value under the lock. @returns the new value
    template <class Change>
    T change(Change change) const {
        const LockHolder holder(this->derived().lock());
        T& object = this->derived().object();
        change(object);
        return object;
    }

  protected:
    LockedAccess() = default;
    LockedAccess(const LockedAccess&) = default;
    LockedAccess& operator=(const LockedAccess&) = default;
    ~LockedAccess() = default;
};

/// Gives access to the fields of a shared struct. It holds the lock until the end of the
/// expression.
template <class T>
class LockedPointer {
  public:
    LockedPointer(const BasicLock& lock, T* object) : holder_(lock), object_(object) {}
    T* operator->() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }

  private:
    LockHolder holder_;
    T* object_;
};

}  // namespace multiprocessing::detail
