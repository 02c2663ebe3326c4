// multiprocessing/heap/handle.hpp
//
// Counted handles on objects in the segment. A handle is what users copy, pass and send; the object
// lives until no process has a handle on it. Floor 1. Start at AnyHandle.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/ledger.hpp"
#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// Says that a new handle does not count.
struct Borrowed {};

/// Says that a new handle takes over a count.
struct Adopted {};

/// A counted handle on an object of any kind, or none. Each handle counts for itself, and is noted
/// in the process's ledger.
///
/// @par Processes A forked child has copies of its parent's handles, which nobody has counted. Such
/// a copy knows that by its fork depth, and drops no count. The object lives on for as long as such
/// a child does (see limbo in object.hpp).
class AnyHandle {
  public:
    AnyHandle() = default;

    /// Takes over the one reference that a new object comes with.
    AnyHandle(Adopted, SharedObject& object) noexcept : AnyHandle(object, note_handle(object)) {}

    /// Takes a new reference on the object at `offset`, which the caller knows to be alive.
    static AnyHandle from_offset(Offset offset) noexcept {
        if (offset == 0) return {};
        auto& object = *heap().at<SharedObject>(offset);
        return {object, take_reference(object)};
    }

    AnyHandle(const AnyHandle& other) noexcept : object_(other.object_), fork_depth_(fork_depth()) {
        if (object_ != nullptr) place_ = take_reference(*object_);
    }
    AnyHandle(AnyHandle&& other) noexcept
        : object_(other.object_), fork_depth_(other.fork_depth_), place_(other.place_) {
        if (place_ == LedgerPlace::borrowed) [[unlikely]] {
            // It may live longer than the one it was borrowed from.
            object_ = nullptr;
            AnyHandle(other).swap(*this);
        } else {
            other.object_ = nullptr;
        }
    }
    AnyHandle& operator=(const AnyHandle& other) noexcept {
        AnyHandle(other).swap(*this);
        return *this;
    }
    AnyHandle& operator=(AnyHandle&& other) noexcept {
        AnyHandle(std::move(other)).swap(*this);
        return *this;
    }
    ~AnyHandle() {
        if (object_ == nullptr || fork_depth_ != fork_depth()) return;
        if (place_ == LedgerPlace::borrowed) return;
        erase_handle(place_, *object_);
        drop_reference(*object_);
    }

    /// Makes a handle that does not count. It lies beside `owner` and goes with it. Copies of it
    /// count, and so does what it is moved to.
    AnyHandle(Borrowed, const AnyHandle& owner) noexcept
        : object_(owner.object_), fork_depth_(owner.fork_depth_), place_(LedgerPlace::borrowed) {}

    [[nodiscard]] SharedObject* object() const noexcept { return object_; }
    [[nodiscard]] Offset offset() const noexcept {
        return object_ == nullptr ? 0 : heap().offset_of(object_);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
    friend bool operator==(const AnyHandle& a, const AnyHandle& b) noexcept {
        return a.object_ == b.object_;
    }

  private:
    void swap(AnyHandle& other) noexcept {
        std::swap(object_, other.object_);
        std::swap(fork_depth_, other.fork_depth_);
        std::swap(place_, other.place_);
    }

    AnyHandle(SharedObject& object, LedgerPlace place) noexcept
        : object_(&object), fork_depth_(fork_depth()), place_(place) {}

    SharedObject* object_ = nullptr;
    std::uint32_t fork_depth_ = 0;
    LedgerPlace place_ = LedgerPlace::nowhere;
};

/// Throws the error of an empty handle that is used.
[[noreturn, gnu::cold]] void throw_empty_handle();

/// A counted handle on a T, which derives from SharedObject.
template <class T>
class Handle {
  public:
    Handle() = default;
    explicit Handle(AnyHandle any) noexcept : any_(std::move(any)) {}
    Handle(Borrowed borrowed, const AnyHandle& owner) noexcept : any_(borrowed, owner) {}
    /// Takes over the one reference that a new object comes with.
    Handle(Adopted adopted, T& object) noexcept : any_(adopted, object) {}

    [[nodiscard]] T* get() const noexcept { return static_cast<T*>(any_.object()); }
    /// @throws ValueError when there is none: it was moved from, or never had one
    T& operator*() const {
        if (!any_) [[unlikely]]
            throw_empty_handle();
        return *get();
    }
    T* operator->() const { return &**this; }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(any_); }
    [[nodiscard]] const AnyHandle& any() const noexcept { return any_; }
    friend bool operator==(const Handle&, const Handle&) = default;

  private:
    AnyHandle any_;
};

/// An object that holds more than its own block.
template <class T>
concept destroyed_object = requires(T& object) {
    T::object_kind;
    object.destroy();
};

/// How to destroy a T. If only some programs can, T says so by is_destroyable_here(), and its
/// destroy() returns whether it has.
template <destroyed_object T>
inline constexpr Destroyer destroyer_for{
    [](const SharedObject& object) noexcept {
        if constexpr (requires(const T& t) { t.is_destroyable_here(); }) {
            return static_cast<const T&>(object).is_destroyable_here();
        }
        return true;
    },
    [](SharedObject& object) noexcept {
        T& own = static_cast<T&>(object);
        if constexpr (std::is_void_v<decltype(own.destroy())>) {
            own.destroy();
            return true;
        } else {
            return own.destroy();
        }
    }};

/// Notes how to destroy a T.
template <destroyed_object T>
void note_destroyer() noexcept {
    std::atomic<const Destroyer*>& known = destroyers[static_cast<std::size_t>(T::object_kind)];
    if (known.load(std::memory_order_relaxed) != &destroyer_for<T>) [[unlikely]]
        known.store(&destroyer_for<T>, std::memory_order_relaxed);
}

/// Notes it before the program's main, in each program that can make a T: any process of the family
/// may drop the last handle. Other programs need not compile it.
template <destroyed_object T>
inline const bool is_destroyable = (note_destroyer<T>(), true);

/// Sees to it that a T which is about to be made is destroyed, also where another file's
/// initializers make it before is_destroyable is initialized.
template <class T>
void make_destroyable() noexcept {
    if constexpr (destroyed_object<T>) {
        (void)is_destroyable<T>;
        note_destroyer<T>();
    }
}

/// Makes a T in the family's heap. @throws std::bad_alloc, and what T's constructor throws
template <class T, class... Args>
Handle<T> make_shared_object(Args&&... args) {
    static_assert(std::is_base_of_v<SharedObject, T> && alignof(T) <= block_alignment);
    make_destroyable<T>();
    prepare_ledger();
    void* const block = allocate(sizeof(T));
    try {
        T* const object = new (block) T(std::forward<Args>(args)...);
        object->set_birth(heap().family().fork_clock());
        return Handle<T>(Adopted{}, *object);
    } catch (...) {
        deallocate(block);
        throw;
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/handle.ipp"
#endif
