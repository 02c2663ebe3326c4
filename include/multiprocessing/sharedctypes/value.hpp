// multiprocessing/sharedctypes/value.hpp
//
// Value: an object in shared memory with its lock; RawValue: one without. Mirrors CPython
// Lib/multiprocessing/sharedctypes.py, Value and RawValue. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/sharedctypes/access.hpp"
#include "multiprocessing/sharedctypes/content.hpp"
#include "multiprocessing/sharedctypes/guard.hpp"
#include "multiprocessing/synchronize/lock.hpp"

namespace multiprocessing {

template <class T>
class Value;

/// What `v.value` is: the shared object itself. It converts to a T, can be assigned to, and has the
/// operators of T. Each of them is one step under the lock. It cannot be copied, because `auto x =
/// v.value;` would not be a copy of the value. Write `int x = v.value;`.
template <class T>
class ValueAttribute : public detail::LockedAccess<ValueAttribute<T>, T> {
  public:
    /// Writes the value under the lock. @returns what was written
    T operator=(const T& value) const {
        this->store(value);
        return value;
    }
    /// Writes the other's value, which it reads under the other's lock.
    T operator=(const ValueAttribute& other) const { return *this = other.load(); }

    /// For the library: the lock, and the object without it.
    [[nodiscard]] AnyLock& lock() const { return handle_.lock(); }
    /// For the library: the object, which the caller has locked.
    [[nodiscard]] T& object() const { return *handle_.elements(); }

  private:
    friend class Value<T>;

    explicit ValueAttribute(detail::GuardedHandle<T> handle) : handle_(std::move(handle)) {}
    // Compilers show this line for `auto x = v.value;`.
    ValueAttribute(const ValueAttribute&) = default;  // to read it: int x = v.value; without auto

    detail::GuardedHandle<T> handle_;
};

/// An object of a trivially copyable type in shared memory, with a lock; a handle.
///
///     mp::Value<int> v(0);          v.value += 1;   int x = v.value;
///     mp::Value<Point> p({1, 2});   p->x = 3;
///
/// Every access takes the lock. `+=`, `++` and the like are one access each. To do several in one
/// step, hold the lock: `std::scoped_lock guard(v.get_lock());`. v.value can still be used inside,
/// unless you gave it a Lock, which cannot be acquired twice.
///
/// @par Processes When a process dies inside an access, or with the lock held, every later access
/// throws AbandonedError until v.get_lock().recover() is called.
/// @par Source CPython Lib/multiprocessing/sharedctypes.py, Value. Differs: there `+=` is not
/// atomic
template <class T>
class Value {
  public:
    using value_type = T;

    /// Makes a new value with a lock of its own, an RLock. @throws std::bad_alloc
    explicit Value(const T& initial = T{})
        : value(detail::GuardedHandle<T>(1, detail::AnyHandle())) {
        construct(initial);
    }

    /// Makes a new value that `lock` guards. @throws std::bad_alloc
    Value(const T& initial, const BasicLock& lock)
        : value(detail::GuardedHandle<T>(1, lock.shared_handle())) {
        construct(initial);
    }
    /// @{
    /// Not allowed: Python's typecode is the type here.
    template <detail::string_literal Code>
    Value(Code&&, const T&) = delete;  // Value<int> v(0), or Value<mp::typecode<'i'>>
    template <std::same_as<char> Code>
    Value(Code, const T&) = delete;  // Value<int> v(0), or Value<mp::typecode<'i'>>
    /// @}

    /// Another handle on the same value.
    Value(const Value&) = default;
    /// Lets go of its own value and becomes another handle on the other's.
    Value& operator=(const Value& other) {  // to change the value itself, assign to `value`
        value.handle_ = other.value.handle_;
        return *this;
    }
    ~Value() = default;

    /// The value.
    ValueAttribute<T> value;

    /// Gives access to a field, with the lock held for the whole expression.
    detail::LockedPointer<T> operator->() const { return {value.lock(), &value.object()}; }

    /// Returns the lock; copies of it are handles on the same lock.
    [[nodiscard]] AnyLock& get_lock() const { return value.lock(); }
    /// Returns the object itself: the lock is not taken.
    [[nodiscard]] T& get_obj() const { return value.object(); }

    /// Acquires the value's lock, see BasicLock::acquire.
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return get_lock().acquire(block, timeout);
    }
    /// Does not compile: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)
    /// Releases the value's lock, see BasicLock::release.
    void release() const { get_lock().release(); }

    /// Two handles are equal when they are handles on the same object.
    friend bool operator==(const Value& a, const Value& b) noexcept {
        return a.shared_handle() == b.shared_handle();
    }

    friend std::string text_of(const Value& shared) {
        return "<Synchronized wrapper for " + detail::shared_value_text(shared.get_obj()) + ">";
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept {
        return value.handle_.any();
    }
    /// For the library: makes a value of a handle that has arrived.
    static Value from_shared_handle(detail::AnyHandle handle) { return Value(std::move(handle)); }

  private:
    void construct(const T& initial) const {
        if constexpr (std::is_copy_constructible_v<T>) {
            std::construct_at(&value.object(), initial);
        }
    }
    explicit Value(detail::AnyHandle handle) : value(detail::GuardedHandle<T>(std::move(handle))) {}
};

/// Does not compile: Python's typecode is the type here, as in Value<int>.
template <detail::string_literal Code, class T>
Value(Code&&, const T&) -> Value<T>;

namespace detail {

template <class T>
struct RawValueState : SharedObject {
    T value;

    explicit RawValueState(const T& initial) noexcept
        : SharedObject(ObjectKind::plain), value(initial) {}
};

}  // namespace detail

/// An object of a trivially copyable type in shared memory, without a lock; a handle.
/// @par Source CPython Lib/multiprocessing/sharedctypes.py, RawValue
template <class T>
class RawValue {
  public:
    using value_type = T;

    /// Makes a new value. @throws std::bad_alloc
    explicit RawValue(const T& initial = T{}) : RawValue(make(initial)) {}

    /// Another handle on the same value.
    RawValue(const RawValue&) = default;
    /// Lets go of its own value and becomes another handle on the other's.
    RawValue& operator=(const RawValue& other) {  // a reference cannot be changed, only made anew
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, other);
        }
        return *this;
    }
    ~RawValue() = default;

  private:
    detail::Handle<detail::RawValueState<T>> handle_;  // before the reference that it gives

  public:
    /// The value itself.
    T& value;

    /// Two handles are equal when they are handles on the same value.
    friend bool operator==(const RawValue& a, const RawValue& b) noexcept {
        return a.handle_ == b.handle_;
    }

    friend std::string text_of(const RawValue& shared) {
        return detail::shared_value_text(shared.value);
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: makes a value of a handle that has arrived.
    static RawValue from_shared_handle(detail::AnyHandle handle) {
        return RawValue(detail::Handle<detail::RawValueState<T>>(std::move(handle)));
    }

  private:
    explicit RawValue(detail::Handle<detail::RawValueState<T>> handle) noexcept
        : handle_(std::move(handle)), value(handle_->value) {}

    static detail::Handle<detail::RawValueState<T>> make(const T& initial) {
        static_cast<void>(sizeof(detail::CannotBeShared<T>));
        return detail::make_shared_object<detail::RawValueState<T>>(initial);
    }
};

}  // namespace multiprocessing
