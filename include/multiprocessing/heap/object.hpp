// multiprocessing/heap/object.hpp
//
// Counted objects in the segment, and their end: at once, after the forked children that may have
// inherited them, or one by one when many are destroyed with one. Floor 1. Start at drop_reference.
//
// An object without counted handles is in one of two lists. In limbo it waits for forked children,
// which may use it without having counted their handles. In the graveyard it waits to be destroyed:
// an object that dies in the destruction of another one is put there, so that a chain of any length
// needs no deep stack, and a process that is killed in between leaves the rest to the next one.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

/// What an object is, so that whichever process drops the last handle knows how to destroy it. A
/// function's address would not do: the other process may have it elsewhere.
enum class ObjectKind : std::uint8_t {
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
    static constexpr unsigned birth_bits = 48;
    /// The birth of objects to which only other objects have handles: no fork copies those.
    static constexpr std::uint64_t never_inherited = (std::uint64_t{1} << birth_bits) - 1;

    std::atomic<std::uint32_t> references{1};  //  0  handles, and in_limbo
    std::atomic<std::uint32_t> extra{0};       //  4  the derived type's, so that small ones fit in
                                               //     a cache line
    std::uint64_t nature;                      //  8  birth on the fork clock | flag << 48 |
                                               //     ObjectKind << 56
    std::atomic<std::uint64_t> remains{0};     // 16  see Remains

    /// @param flag one bit of the derived type's
    explicit SharedObject(ObjectKind kind, bool flag = false) noexcept
        : nature(std::uint64_t{flag} << birth_bits | static_cast<std::uint64_t>(kind) << 56) {}

    [[nodiscard]] ObjectKind kind() const noexcept { return static_cast<ObjectKind>(nature >> 56); }
    [[nodiscard]] bool flag() const noexcept { return (nature >> birth_bits & 1) != 0; }
    [[nodiscard]] std::uint64_t birth() const noexcept { return nature & never_inherited; }
    /// Before anybody else knows the object.
    void set_birth(std::uint64_t moment) noexcept { nature = (nature & ~never_inherited) | moment; }
};
static_assert(sizeof(SharedObject) == 24);

using Destroyer = void (*)(SharedObject&) noexcept;

/// What to do before an object's block is freed, by kind; null where there is nothing to do.
inline constinit Destroyer destroyers[static_cast<std::size_t>(ObjectKind::end_of_kinds)] = {};

inline void add_reference(SharedObject& object) noexcept {
    // relaxed: whoever adds a reference already has one, as with shared_ptr.
    object.references.fetch_add(1, std::memory_order_relaxed);
}

/// The fork epochs of the processes that live, and of those they are copies of.
class LivingEpochs {
  public:
    explicit LivingEpochs(const Family& family) noexcept : family_(family) {
        family.for_each_epoch([this](std::uint64_t epoch) {
            for (std::size_t i = 0; i < count_; ++i) {
                if (epochs_[i] == epoch) return;
            }
            is_complete_ = is_complete_ && count_ < epochs_.size();
            if (is_complete_) epochs_[count_++] = epoch;
        });
    }
    /// Returns Family::may_be_inherited, as it was when this was made.
    [[nodiscard]] bool may_be_inherited(std::uint64_t birth, std::uint64_t death) const noexcept {
        if (!is_complete_) return family_.may_be_inherited(birth, death);
        for (std::size_t i = 0; i < count_; ++i) {
            if (epochs_[i] >= birth && epochs_[i] <= death) return true;
        }
        return false;
    }

  private:
    const Family& family_;
    std::array<std::uint64_t, 64> epochs_;
    std::size_t count_ = 0;
    bool is_complete_ = true;
};

/// The two lists. The bits of an object's `remains`:
///      0 … 35   the next object of the list, in units of 64 bytes; 0 none
///     36 … 63   limbo: how long after its birth the last handle was dropped, on the fork clock;
///     the
///               highest value stands for all longer times, after which whoever lives may have it
class Remains {
  public:
    explicit Remains(Heap& heap) noexcept : heap_(heap), state_(heap.remains()) {}

    /// Notes that the last counted handle is being dropped. Before the count says so.
    static void note_death(SharedObject& object, std::uint64_t now) noexcept {
        const std::uint64_t age = now - object.birth();
        const std::uint64_t longest = ~std::uint64_t{0} >> place_bits;
        const std::uint64_t noted = (age < longest ? age : longest) << place_bits;
        std::uint64_t link = object.remains.load(std::memory_order_relaxed);
        // It only grows, when an heir has passed a handle on that is dropped later.
        while ((link & ~place_mask) < noted &&
               !object.remains.compare_exchange_weak(link, (link & place_mask) | noted)) {
        }
    }

    /// Puts an object without counted handles aside. @pre its count is in_limbo, its death noted
    void put_in_limbo(SharedObject& object) noexcept { push(state_.limbo, object); }
    /// Puts an object aside that is to be destroyed.
    void put_in_graveyard(SharedObject& object) noexcept { push(state_.graveyard, object); }

    [[nodiscard]] bool has_limbo() const noexcept {
        return state_.limbo.load(std::memory_order_relaxed) != 0;
    }
    [[nodiscard]] bool has_graveyard() const noexcept {
        return state_.graveyard.load(std::memory_order_relaxed) != 0;
    }

    /// Takes one object out of the graveyard; null when there is none.
    SharedObject* take_from_graveyard() noexcept {
        const Guard guard(state_.lock);
        Offset first = state_.graveyard.load(std::memory_order_acquire);
        while (first != 0) {
            // Others only push, so an object that is still the first one has its old link.
            if (state_.graveyard.compare_exchange_weak(first, next_of(*at(first))))
                return at(first);
        }
        return nullptr;
    }

    /// Moves the objects in limbo that no living process can use to the graveyard.
    void sort_limbo() noexcept {
        const Guard guard(state_.lock);
        const LivingEpochs living(heap_.family());
        SharedObject* before = nullptr;
        for (Offset place = state_.limbo.load(std::memory_order_acquire); place != 0;) {
            SharedObject& object = *at(place);
            const Offset next = next_of(object);
            if (may_be_used(object, living)) {
                before = &object;
            } else {
                unlink(object, before);
                put_in_graveyard(object);
            }
            place = next;
        }
    }

  private:
    static constexpr unsigned place_bits = 36;
    static constexpr std::uint64_t place_mask = (std::uint64_t{1} << place_bits) - 1;

    /// Holds a lock that has nothing to repair: each change under it is one store.
    struct Guard : RobustLock {
        explicit Guard(RobustMutex& mutex) noexcept : RobustLock(mutex, [] {}) {}
    };

    [[nodiscard]] SharedObject* at(Offset place) const noexcept {
        return heap_.at<SharedObject>(place);
    }
    static Offset next_of(const SharedObject& object) noexcept {
        return (object.remains.load(std::memory_order_relaxed) & place_mask) * block_alignment;
    }
    static void set_next(SharedObject& object, Offset next) noexcept {
        std::uint64_t link = object.remains.load(std::memory_order_relaxed);
        while (!object.remains.compare_exchange_weak(
            link, (link & ~place_mask) | next / block_alignment)) {
        }
    }

    void push(std::atomic<Offset>& list, SharedObject& object) noexcept {
        Offset first = list.load(std::memory_order_relaxed);
        do {
            set_next(object, first);
            // release: pairs with the acquire of who walks the list.
        } while (!list.compare_exchange_weak(first, heap_.offset_of(&object),
                                             std::memory_order_release, std::memory_order_relaxed));
    }

    /// The heirs first, the count then: who has passed a handle on and ended has left it counted.
    static bool may_be_used(const SharedObject& object, const LivingEpochs& living) noexcept {
        const auto age = [&] {
            return object.remains.load(std::memory_order_acquire) >> place_bits;
        };
        const std::uint64_t noted = age();
        const bool is_endless = noted == ~std::uint64_t{0} >> place_bits;
        const std::uint64_t death = is_endless ? UINT64_MAX : object.birth() + noted;
        return living.may_be_inherited(object.birth(), death) ||
               object.references.load(std::memory_order_acquire) != SharedObject::in_limbo ||
               age() != noted;
    }

    /// @param before the object before it in limbo; null when it was the first one
    void unlink(SharedObject& object, SharedObject* before) noexcept {
        Offset first = heap_.offset_of(&object);
        if (before == nullptr) {
            if (state_.limbo.compare_exchange_strong(first, next_of(object))) return;
            // Others have been pushed before it.
            before = at(first);
            while (at(next_of(*before)) != &object) before = at(next_of(*before));
        }
        set_next(*before, next_of(object));
    }

    Heap& heap_;
    RemainsState& state_;
};

/// Whether this thread is in the destruction of an object.
inline constinit thread_local bool is_destroying = false;

/// Destroys what is in the graveyard, one object after the other, and what dies with it.
[[gnu::noinline]] inline void clear_graveyard() noexcept {
    is_destroying = true;
    Remains remains(heap());
    while (SharedObject* const object = remains.take_from_graveyard()) {
        const Destroyer destroy = destroyers[static_cast<std::size_t>(object->kind())];
        if (destroy != nullptr) destroy(*object);
        deallocate(object);
    }
    is_destroying = false;
}

/// Destroys an object that holds more than its own block.
[[gnu::noinline]] inline void destroy_content(SharedObject& object, Destroyer destroy) noexcept {
    if (is_destroying) return Remains(heap()).put_in_graveyard(object);
    is_destroying = true;
    destroy(object);
    is_destroying = false;
    deallocate(&object);
    if (Remains(heap()).has_graveyard()) clear_graveyard();
}

inline void destroy_object(SharedObject& object) noexcept {
    const Destroyer destroy = destroyers[static_cast<std::size_t>(object.kind())];
    if (destroy != nullptr) return destroy_content(object, destroy);
    deallocate(&object);
}

/// Drops a reference that others may have besides, or inherit.
[[gnu::noinline]] inline void drop_shared_reference(SharedObject& object) noexcept {
    std::uint32_t count = object.references.load(std::memory_order_acquire);
    for (;;) {
        std::uint32_t next = count - 1;
        bool lingers = false;
        if ((next & ~SharedObject::in_limbo) == 0) {
            Family& family = heap().family();
            const std::uint64_t now = family.fork_clock();
            const bool waits = (count & SharedObject::in_limbo) != 0;
            lingers = !waits && family.may_be_inherited(object.birth(), now);
            if (!waits && !lingers) return destroy_object(object);  // nobody else can have it
            Remains::note_death(object, now);
            next = SharedObject::in_limbo;
        }
        // acq_rel: as above; and what was noted is there before the count says so.
        if (object.references.compare_exchange_weak(count, next, std::memory_order_acq_rel,
                                                    std::memory_order_acquire)) {
            if (lingers) Remains(heap()).put_in_limbo(object);
            return;
        }
    }
}

inline void drop_reference(SharedObject& object) noexcept {
    // acquire: what others did before they dropped theirs happens before the destruction.
    if (object.references.load(std::memory_order_acquire) == 1 &&
        heap().family().is_younger_than_forks(object.birth())) {
        return destroy_object(object);  // nobody else can have it
    }
    drop_shared_reference(object);
}

/// Destroys the objects in limbo that no living process can have a handle on. Called when a child
/// was seen to have ended.
inline void collect_limbo() noexcept {
    Remains remains(heap());
    if (remains.has_limbo()) remains.sort_limbo();
    if (remains.has_graveyard() && !is_destroying) clear_graveyard();
}

}  // namespace multiprocessing::detail
