// multiprocessing/heap/object.ipp
//
// Limbo, the graveyard and what is abroad, and how objects are destroyed: see object.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/object.hpp"

#include <array>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// The fork epochs of the processes that live, and of those they are copies of. Unless they are
/// many, they are looked up once for all objects.
class LivingEpochs {
  public:
    explicit LivingEpochs(const Family& family) noexcept : family_(family) {
        is_complete_ = !family.any_epoch([this](std::uint64_t epoch) {
            for (std::size_t i = 0; i < count_; ++i) {
                if (epochs_[i] == epoch) return false;
            }
            if (count_ == epochs_.size()) return true;
            epochs_[count_++] = epoch;
            return false;
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
    bool is_complete_;
};

/// The three lists. The bits of an object's `remains`:
///      0 … 35   the next object of the list, in units of 64 bytes; 0 none
///     36 … 63   limbo: how long after its birth the last handle was dropped, on the fork clock.
///               The highest value stands for all longer times: then any process may have it
class Remains {
  public:
    explicit Remains(Heap& heap) noexcept : heap_(heap), state_(heap.remains()) {}

    /// Notes that the last counted handle is being dropped. It must be noted before the count says
    /// so.
    static void note_death(SharedObject& object, std::uint64_t now) noexcept {
        const std::uint64_t age = now - object.birth();
        const std::uint64_t longest = ~std::uint64_t{0} >> place_bits;
        const std::uint64_t noted = (age < longest ? age : longest) << place_bits;
        std::uint64_t link = object.remains.load(std::memory_order_relaxed);
        // It only grows: when a child that has inherited it passes a handle on, that is dropped
        // later.
        while ((link & ~place_mask) < noted &&
               !object.remains.compare_exchange_weak(link, (link & place_mask) | noted)) {
        }
    }

    /// Puts an object without counted handles aside. @pre its count is in_limbo, its death noted
    void put_in_limbo(SharedObject& object) noexcept { push(state_.limbo, object); }
    /// Puts an object aside that is to be destroyed.
    void put_in_graveyard(SharedObject& object) noexcept { push(state_.graveyard, object); }
    /// Puts an object aside that this process cannot destroy.
    void put_abroad(SharedObject& object) noexcept { push(state_.abroad, object); }

    [[nodiscard]] bool has_limbo() const noexcept {
        return state_.limbo.load(std::memory_order_relaxed) != 0;
    }
    [[nodiscard]] bool has_graveyard() const noexcept {
        return state_.graveyard.load(std::memory_order_relaxed) != 0;
    }
    /// Returns the object that was put abroad last; 0 when there is none.
    [[nodiscard]] Offset last_abroad() const noexcept {
        return state_.abroad.load(std::memory_order_relaxed);
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
        static_cast<void>(sort(state_.limbo, [&](const SharedObject& object) {
            return !may_be_used(object, living);
        }));
    }
    /// Moves the objects abroad that this process can destroy to the graveyard.
    /// @returns what last_abroad is then, if nothing comes meanwhile
    Offset sort_abroad() noexcept {
        const Guard guard(state_.lock);
        return sort(state_.abroad, [](const SharedObject& object) {
            const Destroyer* const destroyer = destroyer_of(object);
            return destroyer != nullptr && destroyer->is_able(object);
        });
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
            // release: pairs with the acquire in take_from_graveyard and sort.
        } while (!list.compare_exchange_weak(first, heap_.offset_of(&object),
                                             std::memory_order_release, std::memory_order_relaxed));
    }

    /// Returns whether a living process may use an object that is in limbo. It looks at the
    /// children that may have inherited it first and at the count then: a child that has passed a
    /// handle on and ended has left it counted.
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

    /// Moves objects of a list to the graveyard. @pre the lock @returns the first that stays, or 0
    template <class Predicate>
    Offset sort(std::atomic<Offset>& list, Predicate is_to_be_destroyed) noexcept {
        SharedObject* first = nullptr;
        SharedObject* before = nullptr;
        for (Offset place = list.load(std::memory_order_acquire); place != 0;) {
            SharedObject& object = *at(place);
            const Offset next = next_of(object);
            if (is_to_be_destroyed(object)) {
                unlink(list, object, before);
                put_in_graveyard(object);
            } else {
                before = &object;
                if (first == nullptr) first = &object;
            }
            place = next;
        }
        return first == nullptr ? 0 : heap_.offset_of(first);
    }

    /// @param before the object before it in the list; null when it was the first one
    void unlink(std::atomic<Offset>& list, SharedObject& object, SharedObject* before) noexcept {
        Offset first = heap_.offset_of(&object);
        if (before == nullptr) {
            if (list.compare_exchange_strong(first, next_of(object))) return;
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

/// The object that last was abroad when this process had found none that it can destroy.
inline constinit std::atomic<Offset> known_abroad{0};

/// Destroys an object, or leaves it to a process that can. @returns whether it was destroyed
MULTIPROCESSING_INLINE bool end_object(SharedObject& object) noexcept {
    if (object.kind() != ObjectKind::plain) {
        const Destroyer* const destroyer = destroyer_of(object);
        if (destroyer == nullptr || !destroyer->destroy(object)) {
            Remains(heap()).put_abroad(object);
            return false;
        }
    }
    deallocate(&object);
    return true;
}

/// Destroys what is in the graveyard, one object after the other, and what dies with it.
[[gnu::noinline]] MULTIPROCESSING_INLINE void clear_graveyard() noexcept {
    is_destroying = true;
    Remains remains(heap());
    while (SharedObject* const object = remains.take_from_graveyard()) (void)end_object(*object);
    is_destroying = false;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void destroy_with_content(SharedObject& object) noexcept {
    if (is_destroying) return Remains(heap()).put_in_graveyard(object);
    is_destroying = true;
    const bool is_destroyed = end_object(object);
    is_destroying = false;
    // A process that leaves many abroad must not walk along them each time.
    if (is_destroyed) collect_from_abroad();
    if (Remains(heap()).has_graveyard()) clear_graveyard();
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void drop_shared_reference(SharedObject& object) noexcept {
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
        // acq_rel: as in drop_reference; and what was noted is there before the count says so.
        if (object.references.compare_exchange_weak(count, next, std::memory_order_acq_rel,
                                                    std::memory_order_acquire)) {
            if (lingers) Remains(heap()).put_in_limbo(object);
            return;
        }
    }
}

MULTIPROCESSING_INLINE void collect_limbo() noexcept {
    Remains remains(heap());
    if (remains.has_limbo()) remains.sort_limbo();
    if (remains.last_abroad() != 0) known_abroad.store(remains.sort_abroad());
    if (remains.has_graveyard() && !is_destroying) clear_graveyard();
}

MULTIPROCESSING_INLINE void collect_from_abroad() noexcept {
    Remains remains(heap());
    const Offset last = remains.last_abroad();
    // Whether there is one that this process has not looked at. It can be mistaken, where the
    // memory of one that is gone is another's now: then collect_limbo finds that one.
    if (last == 0 || last == known_abroad.load(std::memory_order_relaxed)) return;
    known_abroad.store(remains.sort_abroad(), std::memory_order_relaxed);
    if (remains.has_graveyard() && !is_destroying) clear_graveyard();
}

}  // namespace multiprocessing::detail
