// multiprocessing/shared_objects/state.hpp
//
// The head of a shared object: its lock, whether it is frozen, and how a process that does not know
// its type destroys it. Floor 4. Start at ObjectState.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/synchronize/lock.hpp"

namespace multiprocessing::detail {

/// Calls the destructor of the object at an address.
using ContentDestroyer = void (*)(void*) noexcept;

/// How shared memory refers to the function that destroys an object: by its image and its place in
/// it. All zero: no function.
struct FunctionPlace {
    /// An offset that stands for a function which all programs have, see destroy_vector.
    static constexpr std::uint64_t of_vectors = 1;

    std::uint64_t offset;    //  0  from the image's base
    std::uint64_t build_id;  //  8  of the image, hashed
    Offset library;          // 16  a block with its path; 0: the program itself

    /// @throws RuntimeError the function is in no image @throws std::bad_alloc
    static FunctionPlace of(ContentDestroyer function);

    /// Returns the function in this process. Returns null when its image is not loaded here, or
    /// when another image is loaded under the same name. It never loads a library: the library's
    /// initialisers would run in a process that never asked for them.
    [[nodiscard]] ContentDestroyer resolved() const noexcept;
};
static_assert(sizeof(FunctionPlace) == 24);

/// The head of a shared object's block. The object itself lies behind it.
struct ObjectState : LockState {
    static constexpr ObjectKind object_kind = ObjectKind::shared_object;

    std::atomic<std::uint32_t> frozen{0};  //  0  1: nobody changes the object any more
    std::uint32_t content_at = 0;          //  4  bytes from here to the object
    FunctionPlace destroyer{};             //  8  of the object; none while it is being made

    ObjectState() noexcept : LockState(true, object_kind) {}

    /// Makes a state with room for an object. All bytes of that room are zero.
    /// @throws std::bad_alloc
    static Handle<ObjectState> make(std::size_t bytes, std::size_t alignment);

    [[nodiscard]] void* content() noexcept {
        heap().allocator().cover();  // its pointers may lead to blocks allocated since
        return reinterpret_cast<std::byte*>(this) + content_at;
    }
    [[nodiscard]] bool is_frozen() const noexcept {
        // acquire: pairs with the release in freeze(), for those who read without the lock.
        return frozen.load(std::memory_order_acquire) != 0;
    }

    /// Notes how to destroy the object. If that fails, it destroys the object now.
    /// @throws what FunctionPlace::of throws
    void set_destroyer(ContentDestroyer function);
    /// Notes that the object is a shared::vector of elements without a destructor. All such vectors
    /// lie alike in memory, so every process can destroy it, also one of Python.
    void set_vector_destroyer() noexcept { destroyer.offset = FunctionPlace::of_vectors; }

    /// Ends all changes, see Shared::freeze. @throws AbandonedError
    void freeze();

    /// Destroys the object; the last handle calls it. An object that is half changed is leaked
    /// instead, until the family ends: the process that held its lock has died, nobody has
    /// recovered the lock since, and the object's pointers may lead anywhere.
    /// @returns false when this process does not have the function that destroys it
    bool destroy() noexcept;
    /// Says whether destroy would return true.
    [[nodiscard]] bool is_destroyable_here() const noexcept;

  private:
    [[nodiscard]] bool is_half_changed() const noexcept;
};
static_assert(sizeof(ObjectState) == sizeof(LockState) + 32);

/// @throws ValueError always
[[noreturn]] void throw_frozen();
/// @throws ValueError always
[[noreturn]] void throw_not_frozen();
/// Releases the lock of an object that was frozen while this thread waited for the lock.
/// @throws ValueError always
[[noreturn, gnu::cold]] void unlock_and_throw_frozen(ObjectState& state);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_objects/state.ipp"
#endif
