// multiprocessing/heap/handle.hpp
//
// Counted handles on objects in the segment. A handle is what users copy, pass and send; the object
// lives until no process has a handle on it. Floor 1. Start at AnyHandle.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// What an object is, so that whichever process drops the last handle knows how to destroy it. A
/// function's address would not do: the other process may have it elsewhere.
enum class ObjectKind : std::uint16_t {
    plain,
    condition,
    guarded,
    queue,
    blob,
    dict,
    list,
    descriptor,
    shared_object,
    test,
    end_of_kinds
};

/// The head of every counted object; a type in the segment derives from it.
struct SharedObject {
    static constexpr std::uint32_t in_limbo = std::uint32_t{1} << 31;
    /// The birth of objects to which only other objects have handles: no fork copies those.
    static constexpr std::uint32_t never_inherited = UINT32_MAX;

    std::atomic<std::uint32_t> references{1};  //  0  handles, and in_limbo
    std::uint32_t birth = 0;                   //  4  on the family's fork clock
    std::atomic<std::uint64_t> kind_and_next;  //  8  ObjectKind << 48 | next object in limbo

    explicit SharedObject(ObjectKind kind) noexcept
        : kind_and_next(static_cast<std::uint64_t>(kind) << 48) {}

    [[nodiscard]] ObjectKind kind() const noexcept {
        return static_cast<ObjectKind>(kind_and_next.load(std::memory_order_relaxed) >> 48);
    }
};
static_assert(sizeof(SharedObject) == 16);

using Destroyer = void (*)(SharedObject&) noexcept;

/// What to do before an object's block is freed, by kind; null where there is nothing to do.
inline constinit Destroyer destroyers[static_cast<std::size_t>(ObjectKind::end_of_kinds)] = {};

inline void destroy_object(SharedObject& object) noexcept {
    if (const Destroyer destroy = destroyers[static_cast<std::size_t>(object.kind())]) {
        destroy(object);
    }
    deallocate(&object);
}

inline void add_reference(SharedObject& object) noexcept {
    // relaxed: whoever adds a reference already has one, as with shared_ptr.
    object.references.fetch_add(1, std::memory_order_relaxed);
}

/// Puts an object without handles aside until the forked children that may have inherited one are
/// gone. @pre its count is in_limbo
inline void put_in_limbo(SharedObject& object) noexcept {
    std::atomic<std::uint64_t>& limbo = heap().family().limbo();
    const std::uint64_t kind = static_cast<std::uint64_t>(object.kind()) << 48;
    std::uint64_t head = limbo.load(std::memory_order_relaxed);
    do {
        object.kind_and_next.store(kind | head, std::memory_order_relaxed);
    } while (!limbo.compare_exchange_weak(head, heap().offset_of(&object),
                                          std::memory_order_release, std::memory_order_relaxed));
}

inline void drop_reference(SharedObject& object) noexcept {
    std::uint32_t count = object.references.load(std::memory_order_relaxed);
    for (;;) {
        const bool lingers = count == 1 && heap().family().may_be_inherited(object.birth);
        const std::uint32_t next = lingers ? SharedObject::in_limbo : count - 1;
        // acq_rel: what others did before they dropped theirs happens before the destruction.
        if (!object.references.compare_exchange_weak(count, next, std::memory_order_acq_rel)) {
            continue;
        }
        if (lingers) return put_in_limbo(object);
        // With in_limbo set the count is not 0: then the object is on the list already.
        if (next == 0) destroy_object(object);
        return;
    }
}

/// Destroys the objects in limbo that no living process can have a handle on. Called when a child
/// was seen to have ended.
inline void collect_limbo() {
    Family& family = heap().family();
    if (family.limbo().load(std::memory_order_relaxed) == 0) return;
    family.release_dead_orphans();
    // The whole list at once: a process killed in here leaks the rest until the family ends.
    Offset offset = family.limbo().exchange(0, std::memory_order_acquire);
    while (offset != 0) {
        auto& object = *heap().at<SharedObject>(offset);
        offset = object.kind_and_next.load(std::memory_order_relaxed) & ((1ull << 48) - 1);
        const bool unused =
            object.references.load(std::memory_order_acquire) == SharedObject::in_limbo;
        if (unused && !family.may_be_inherited(object.birth)) {
            destroy_object(object);
        } else {
            put_in_limbo(object);
        }
    }
}

/// A counted handle on an object of any kind, or none.
///
/// @par Processes A forked child has copies of its parent's handles that it never counted. They
/// know it by their fork depth: they do not drop what they did not take, and the object lives on
/// for as long as such a child does (see limbo).
class AnyHandle {
  public:
    AnyHandle() = default;

    /// Takes over the one reference that a new object comes with.
    static AnyHandle adopt(SharedObject& object) noexcept { return AnyHandle(&object); }

    /// Takes a new reference on the object at `offset`, which the caller knows to be alive.
    static AnyHandle from_offset(Offset offset) noexcept {
        if (offset == 0) return {};
        auto* const object = heap().at<SharedObject>(offset);
        add_reference(*object);
        return AnyHandle(object);
    }

    AnyHandle(const AnyHandle& other) noexcept : object_(other.object_), fork_depth_(fork_depth()) {
        if (object_ != nullptr) add_reference(*object_);
    }
    AnyHandle(AnyHandle&& other) noexcept
        : object_(std::exchange(other.object_, nullptr)), fork_depth_(other.fork_depth_) {}
    AnyHandle& operator=(AnyHandle other) noexcept {
        std::swap(object_, other.object_);
        std::swap(fork_depth_, other.fork_depth_);
        return *this;
    }
    ~AnyHandle() {
        if (object_ != nullptr && fork_depth_ == fork_depth()) drop_reference(*object_);
    }

    [[nodiscard]] SharedObject* object() const noexcept { return object_; }
    [[nodiscard]] Offset offset() const noexcept {
        return object_ == nullptr ? 0 : heap().offset_of(object_);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
    friend bool operator==(const AnyHandle& a, const AnyHandle& b) noexcept {
        return a.object_ == b.object_;
    }

  private:
    explicit AnyHandle(SharedObject* object) noexcept
        : object_(object), fork_depth_(fork_depth()) {}

    SharedObject* object_ = nullptr;
    std::uint32_t fork_depth_ = 0;
};

/// A counted handle on a T, which derives from SharedObject.
template <class T>
class Handle {
  public:
    Handle() = default;
    explicit Handle(AnyHandle any) noexcept : any_(std::move(any)) {}

    [[nodiscard]] T* get() const noexcept { return static_cast<T*>(any_.object()); }
    T& operator*() const noexcept { return *get(); }
    T* operator->() const noexcept { return get(); }
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

/// Notes how to destroy a T before the program's main, in each program that can make one: whichever
/// of the family's processes drops the last handle. Others need not compile it.
template <destroyed_object T>
inline const bool is_destroyable = [] {
    destroyers[static_cast<std::size_t>(T::object_kind)] = [](SharedObject& object) noexcept {
        static_cast<T&>(object).destroy();
    };
    return true;
}();

/// Makes a T in the family's heap. @throws std::bad_alloc, and what T's constructor throws
template <class T, class... Args>
Handle<T> make_shared_object(Args&&... args) {
    static_assert(std::is_base_of_v<SharedObject, T> && alignof(T) <= block_alignment);
    if constexpr (destroyed_object<T>) (void)is_destroyable<T>;
    void* const block = allocate(sizeof(T));
    try {
        T* const object = new (block) T(std::forward<Args>(args)...);
        object->birth = heap().family().birth();
        return Handle<T>(AnyHandle::adopt(*object));
    } catch (...) {
        deallocate(block);
        throw;
    }
}

}  // namespace multiprocessing::detail
