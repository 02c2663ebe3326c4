// multiprocessing/shared_objects/state.hpp
//
// The head of a shared object: its lock, whether it is frozen, and how to destroy it in a process
// that does not know its type. Floor 4. Start at ObjectState.
// SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/reduction/function_identity.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail {

/// Calls the destructor of what lies at an address.
using ContentDestroyer = void (*)(void*) noexcept;

/// A function of some image, as it lies in shared memory. All zero: none.
struct FunctionPlace {
    std::uint64_t offset;    //  0  from the image's base
    std::uint64_t build_id;  //  8  of the image, hashed
    Offset library;          // 16  a block with its path; 0: the program itself

    /// @throws RuntimeError the function is in no image @throws std::bad_alloc
    static FunctionPlace of(ContentDestroyer function) {
        const FunctionIdentity identity = identify(reinterpret_cast<const void*>(function));
        FunctionPlace place{identity.offset, identity.build_id, 0};
        if (!identity.image.empty()) {
            const std::size_t size = identity.image.size() + 1;
            void* const path = allocate(size);
            std::memcpy(path, identity.image.c_str(), size);
            place.library = heap().offset_of(path);
        }
        return place;
    }

    /// Returns the function in this process; null when its image is not loaded here, or is another
    /// one by the same name. No library is loaded for it: its initialisers would run in a process
    /// that never asked for them.
    [[nodiscard]] ContentDestroyer resolved() const noexcept {
        if (offset == 0) return nullptr;
        try {
            std::string path;
            if (library != 0) {
                path = heap().at<char>(library);
                void* const loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
                if (loaded == nullptr) return nullptr;
                ::dlclose(loaded);  // it counts
            }
            return reinterpret_cast<ContentDestroyer>(resolve({path, build_id, offset}));
        } catch (...) {
            return nullptr;
        }
    }
};
static_assert(sizeof(FunctionPlace) == 24);

/// What a shared object's block begins with; the object lies behind it.
struct ObjectState : LockState {
    static constexpr ObjectKind object_kind = ObjectKind::shared_object;

    std::atomic<std::uint32_t> frozen{0};  //  0  1: nobody changes the object any more
    std::uint32_t content_at = 0;          //  4  bytes from here to the object
    FunctionPlace destroyer{};             //  8  of the object; none while it is being made

    ObjectState() noexcept : LockState(true, object_kind) {}

    /// Makes a state with room for an object, all of whose bytes are zero. @throws std::bad_alloc
    static Handle<ObjectState> make(std::size_t bytes, std::size_t alignment) {
        const bool is_large = bytes >= 4 * system_page_size();
        auto state =
            make_with_trailing<ObjectState>(bytes + (is_large ? system_page_size() : alignment));
        // The pages of a large object are its own, so that they can be made read-only.
        state->content_at = static_cast<std::uint32_t>(place_behind_head(
            reinterpret_cast<std::uintptr_t>(state.get()), sizeof(ObjectState), bytes, alignment));
        return state;
    }

    [[nodiscard]] void* content() noexcept {
        heap().allocator().cover();  // its pointers lead to what others have allocated since
        return reinterpret_cast<std::byte*>(this) + content_at;
    }
    [[nodiscard]] bool is_frozen() const noexcept {
        // acquire: pairs with the release in Shared::freeze, for whoever reads without the lock.
        return frozen.load(std::memory_order_acquire) != 0;
    }

    /// Destroys the object, with the last handle. It is leaked instead, until the family ends, when
    /// its function is not in this process, and when it is half changed: its lock was never taken
    /// back from a holder that died, and its pointers may lead anywhere.
    void destroy() noexcept {
        if (!is_half_changed()) {
            if (const ContentDestroyer destroy_content = destroyer.resolved()) {
                destroy_content(content());
            }
        }
        if (destroyer.library != 0) deallocate(heap().at(destroyer.library));
    }

  private:
    [[nodiscard]] bool is_half_changed() const noexcept {
        if (word.is_abandoned()) return true;
        const ProcessId holder = word.holder();
        try {
            return holder && is_dead(holder, true);
        } catch (...) {
            return true;  // nobody can say
        }
    }
};
static_assert(sizeof(ObjectState) == sizeof(LockState) + 32);

[[noreturn]] inline void throw_frozen() {
    throw ValueError("the shared object is frozen: it can only be read, through frozen()");
}
[[noreturn]] inline void throw_not_frozen() {
    throw ValueError("the shared object is not frozen: call freeze() first, or read it under its "
                     "lock");
}

}  // namespace multiprocessing::detail
