// multiprocessing/heap/object.hpp
//
// Counted objects in the segment, and their end. An object ends at once; or after the forked
// children that may have inherited it; or, when many die with one, one after the other. Floor 1.
// Start at drop_reference.
//
// An object without counted handles that does not end at once is in one of three lists. In limbo it
// waits for forked children, which may use it without having counted their handles. In the
// graveyard it waits to be destroyed: an object that dies in the destruction of another one is put
// there. So a chain of any length needs no deep stack, and a process that is killed in between
// leaves the rest to the next one. Abroad it waits for a process that can destroy it: the one that
// dropped the last handle runs another program, without the code for it.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// What an object is: any process may drop the last handle, and then has to destroy the object. A
/// function's address would not do for that, because it may be another one in the other process.
enum class ObjectKind : std::uint8_t {
    plain,
    condition,
    barrier,
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
    static constexpr unsigned birth_bits = 48;
    /// A flag: its pages may rest when it ends, see PageRuns::give_back, for others like it come.
    static constexpr std::uint8_t rests = 128;
    /// The birth of objects that only other objects have handles on: no fork copies those handles.
    static constexpr std::uint64_t never_inherited = (std::uint64_t{1} << birth_bits) - 1;

    std::atomic<std::uint32_t> references{1};  //  0  handles, and in_limbo
    std::atomic<std::uint32_t> extra{0};       //  4  for the derived type, so that a small one fits
                                               //     in a cache line
    std::uint64_t nature;                      //  8  birth on the fork clock | flags << 48 |
                                               //     ObjectKind << 56
    std::atomic<std::uint64_t> remains{0};     // 16  see Remains in object.ipp

    /// @param flags `rests`, and seven bits of the derived type's, which do not change
    explicit SharedObject(ObjectKind kind, std::uint8_t flags = 0) noexcept
        : nature(std::uint64_t{flags} << birth_bits | static_cast<std::uint64_t>(kind) << 56) {}

    [[nodiscard]] ObjectKind kind() const noexcept { return static_cast<ObjectKind>(nature >> 56); }
    [[nodiscard]] bool has_flag(std::uint8_t flag) const noexcept {
        return (nature >> birth_bits & flag) != 0;
    }
    [[nodiscard]] std::uint64_t birth() const noexcept { return nature & never_inherited; }
    /// Sets it, before anybody else knows the object.
    void set_birth(std::uint64_t moment) noexcept { nature = (nature & ~never_inherited) | moment; }
};
static_assert(sizeof(SharedObject) == 24);

/// How objects of a kind are destroyed.
struct Destroyer {
    /// Says whether this process can destroy an object.
    bool (*is_able)(const SharedObject&) noexcept;
    /// Destroys what an object holds, but not its block. @returns false when this process cannot
    bool (*destroy)(SharedObject&) noexcept;
};

/// What to do before an object's block is freed, by kind; null where this program does not know.
inline constinit std::atomic<const Destroyer*>
    destroyers[static_cast<std::size_t>(ObjectKind::end_of_kinds)] = {};

/// Returns what to do before this object's block is freed, or null. @pre it is not plain
inline const Destroyer* destroyer_of(const SharedObject& object) noexcept {
    // relaxed: it is a constant, which nobody has to publish.
    return destroyers[static_cast<std::size_t>(object.kind())].load(std::memory_order_relaxed);
}

/// Adds a reference to an object that is alive.
inline void add_reference(SharedObject& object) noexcept {
    // relaxed: whoever adds a reference already has one, as with shared_ptr.
    object.references.fetch_add(1, std::memory_order_relaxed);
}

/// Destroys an object that holds more than its own block.
void destroy_with_content(SharedObject& object) noexcept;

/// Destroys an object that nobody has a handle on.
inline void destroy_object(SharedObject& object) noexcept {
    if (object.kind() != ObjectKind::plain) return destroy_with_content(object);
    deallocate(&object, object.has_flag(SharedObject::rests));
}

/// Drops a reference where others may have one too, or may have inherited one.
void drop_shared_reference(SharedObject& object) noexcept;

/// Drops a reference. With the last one the object ends.
inline void drop_reference(SharedObject& object) noexcept {
    // acquire: what others did before they dropped theirs happens before the destruction.
    if (object.references.load(std::memory_order_acquire) == 1 &&
        heap().family().is_younger_than_forks(object.birth())) {
        return destroy_object(object);  // nobody else can have it
    }
    drop_shared_reference(object);
}

/// Destroys the objects in limbo that no living process can have a handle on, and those that are
/// abroad here. It is called when a child was seen to have ended.
void collect_limbo() noexcept;

/// Destroys the objects that other processes could not, if there are any new ones. It is called
/// where objects are made that only some programs can destroy: so these do not pile up.
void collect_from_abroad() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/object.ipp"
#endif
