// multiprocessing/shared_objects/shared.hpp
//
// Shared: an object of any shareable type in shared memory, with a lock. Floor 4. Start at Shared.
// SPDX-License-Identifier: MIT
#pragma once

#include <boost/container/container_fwd.hpp>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/shared_objects/allocator.hpp"
#include "multiprocessing/shared_objects/content.hpp"
#include "multiprocessing/shared_objects/guard.hpp"
#include "multiprocessing/shared_objects/not_shareable.hpp"
#include "multiprocessing/shared_objects/pages.hpp"
#include "multiprocessing/shared_objects/state.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

template <class T>
void destroy_content(void* object) noexcept {
    std::destroy_at(static_cast<T*>(object));
}

/// A shared::vector of elements without a destructor.
template <class T>
inline constexpr bool is_bare_vector = false;
template <class T>
    requires std::is_trivially_destructible_v<T>
inline constexpr bool is_bare_vector<boost::container::vector<T, allocator<T>, void>> = true;

/// Makes a T with its state. @throws std::bad_alloc, and what T's constructor throws
template <class T, class... Args>
AnyHandle make_shared_content(Args&&... args) {
    if constexpr (!shareable<T>) static_cast<void>(sizeof(ShareRefusal<T>));
    static_assert(alignof(T) <= block_alignment,
                  "multiprocessing: shared memory holds types of an alignment up to 64");
    const Handle<ObjectState> state = ObjectState::make(sizeof(T), alignof(T));
    // The bytes are zero already. So a type without a constructor needs no more, and a large object
    // takes no memory yet.
    constexpr bool is_made = sizeof...(Args) == 0 && std::is_trivially_default_constructible_v<T>;
    if constexpr (!is_made) {
        std::construct_at(static_cast<T*>(state->content()), std::forward<Args>(args)...);
    }
    if constexpr (is_bare_vector<T>) {
        state->set_vector_destroyer();
    } else if constexpr (!std::is_trivially_destructible_v<T>) {
        state->set_destroyer(&destroy_content<T>);
    }
    return state.any();
}

/// The type of the elements that a T can be made of, listed in braces.
template <class T>
struct ListedElement {
    struct None {};
    using type = None;
};
template <class T>
    requires requires { typename T::value_type; }
struct ListedElement<T> {
    using type = typename T::value_type;
};

}  // namespace detail

/// A handle on an object in shared memory, which has a lock. T is a container of
/// multiprocessing::shared, a struct of them, or any other shareable type.
///
///     mp::Shared<mp::shared::map<mp::shared::string, int>> counts;
///     counts->emplace("a", 1);                                 // locked for the whole expression
///     counts.with([](auto& m) { m["a"] += m["b"]; });          // several steps in one
///     counts.freeze();   counts.frozen().at("a");              // from now on read-only, no lock
///
/// The handle travels as an offset, so to hand an object over copies nothing. A reference or an
/// iterator that you keep after the expression is not protected by the lock.
///
/// @par Processes The last handle calls T's destructor, in whichever process it is; if that process
/// runs another program, which does not have T, the next process that has it does. When a process
/// dies with the lock held, each access throws AbandonedError until get_lock().recover(). Then you
/// must mend the object. Its pointers may lead anywhere, so often nothing but
/// `std::construct_at(&s.get_obj())` is safe. If nobody recovers the lock, the last handle does not
/// destroy what the object holds; it is freed with the family.
template <class T>
class Shared {
  public:
    using value_type = T;

    /// Makes a T without arguments. @throws std::bad_alloc, and what T's constructor throws
    Shared()
        requires std::default_initializable<T>
        : Shared(detail::make_shared_content<T>()) {}
    /// Makes a T of an object, copied or moved.
    explicit Shared(T object)
        requires std::move_constructible<T>
        : Shared(detail::make_shared_content<T>(std::move(object))) {}
    /// Makes a container of these elements.
    explicit Shared(std::initializer_list<typename detail::ListedElement<T>::type> elements)
        requires std::constructible_from<T, decltype(elements)>
        : Shared(detail::make_shared_content<T>(elements)) {}
    /// Makes a T with these arguments of its constructor.
    template <class First, class... Rest>
        requires(std::constructible_from<T, First, Rest...> &&
                 !(sizeof...(Rest) == 0 && std::same_as<std::remove_cvref_t<First>, Shared>))
    explicit Shared(First&& first, Rest&&... rest)
        : Shared(detail::make_shared_content<T>(std::forward<First>(first),
                                                std::forward<Rest>(rest)...)) {}

    /// Another handle on the same object.
    Shared(const Shared&) = default;
    /// Takes over the other's handle.
    Shared(Shared&&) noexcept = default;
    /// Lets go of its own object, and becomes another handle on the other's.
    Shared& operator=(const Shared& other) noexcept {
        if (this != &other) {
            view_.reset();  // before the handle: afterwards the memory may be another object's
            lock_ = other.lock_;
        }
        return *this;
    }
    ~Shared() = default;

    /// Gives access to a member of the object, with the lock held for the whole expression.
    ///
    /// **Blocking**: until the lock is free.
    /// @throws AbandonedError as BasicLock::acquire @throws ValueError it is frozen
    detail::LockedObject<T> operator->() const { return detail::LockedObject<T>(state()); }

    /// Calls `function(object)` with the lock held the whole time.
    /// @returns a copy of what the function returns, also when that is a reference
    /// @throws AbandonedError, ValueError as operator->, and what the function throws
    template <class Function>
        requires std::invocable<Function, T&>
    std::decay_t<std::invoke_result_t<Function, T&>> with(Function&& function) const {
        const detail::LockedObject<T> object(state());
        return std::invoke(std::forward<Function>(function), *object);
    }

    /// Locks the object until the end of the guard's scope. @throws as operator->
    SharedGuard<T> lock() const { return SharedGuard<T>(shared_handle()); }

    /// Returns the lock. Copies of it are handles on the same lock. @throws ValueError it is frozen
    [[nodiscard]] const RLock& get_lock() const {
        if (state().is_frozen()) detail::throw_frozen();
        return lock_;
    }
    /// Returns the object itself, without taking the lock. @throws ValueError it is frozen
    [[nodiscard]] T& get_obj() const {
        if (state().is_frozen()) detail::throw_frozen();
        return *content();
    }

    /// Takes the object's lock, see BasicLock. @throws ValueError it is frozen
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return get_lock().acquire(block, timeout);
    }
    /// Deleted: a number of seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)
    /// Releases the object's lock, see BasicLock.
    void release() const { lock_.release(); }

    /// Ends all changes: from now on the object can only be read, through frozen(). Pages that hold
    /// nothing but the object become read-only: in this process now, in each other process when it
    /// calls frozen(). From then on a write through an older pointer ends that process with
    /// SIGSEGV. A second call does nothing.
    ///
    /// **Blocking**: until the lock is free.
    /// @throws AbandonedError as BasicLock::acquire
    void freeze() const {
        state().freeze();
        look();
    }
    /// Returns the object. Nobody changes it any more, so no lock is needed, and a second call
    /// costs one load. The reference is valid as long as the handle lives.
    /// @throws ValueError it is not frozen
    [[nodiscard]] const T& frozen() const {
        if (!view_.has_looked()) [[unlikely]] {
            if (!state().is_frozen()) detail::throw_not_frozen();
            look();
        }
        return *content();
    }

    /// Two handles are equal when they are handles on the same object.
    friend bool operator==(const Shared& a, const Shared& b) noexcept { return a.lock_ == b.lock_; }

    friend std::string text_of(const Shared& shared) {
        return detail::shared_object_text<T>(shared.state());
    }

    /// For the library: the handle as it travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept {
        return lock_.shared_handle();
    }
    /// For the library: a handle that has arrived.
    static Shared from_shared_handle(detail::AnyHandle handle) { return Shared(std::move(handle)); }

  private:
    explicit Shared(detail::AnyHandle handle)
        : lock_(RLock::from_shared_handle(std::move(handle))) {}

    [[nodiscard]] detail::ObjectState& state() const {
        return static_cast<detail::ObjectState&>(lock_.state());
    }
    [[nodiscard]] T* content() const { return static_cast<T*>(state().content()); }

    [[gnu::cold]] void look() const {
        if (view_.has_looked()) return;
        view_.look(state(), [this] { return detail::pages_of<T>(state()); });
    }

    RLock lock_;                 // the object's own lock, and so the handle on it
    detail::ReadOnlyView view_;  // declared after the handle, so that it is destroyed first
};

}  // namespace multiprocessing
