// multiprocessing/python/views.hpp
//
// Objects in shared memory, whose elements Python sees where they are: RawArray, Array,
// SharedMemory and shared vectors of numbers as memoryviews. What comes back from Python is copied
// into a new object. Needs the Gil. Floor 10. Start at the Converter of RawArray.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/arrays.hpp"
#include "multiprocessing/python/containers.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_objects/guard.hpp"
#include "multiprocessing/sharedctypes/array.hpp"
#include "multiprocessing/sharedctypes/raw_array.hpp"

namespace multiprocessing {
template <class T>
class Shared;
}

namespace multiprocessing::detail::pythons {

/// Returns a memoryview of elements, which keeps `owner`. Elements that are no numbers are shown as
/// their bytes.
template <class T>
Reference show(std::span<T> elements, std::shared_ptr<const void> owner) {
    using Element = std::remove_const_t<T>;
    char format = std::is_same_v<Element, bool> ? '?' : 'B';
    if constexpr (is_number<Element>) format = format_of<Element>();
    return make_view(std::as_bytes(elements), format, std::is_const_v<T>, std::move(owner));
}

/// Makes an array of what can be walked over.
template <class A>
A take_array(Object* object, auto elements_of) {
    using T = typename A::value_type;
    if constexpr (is_number<T>) {
        if (const Numbers numbers(object); numbers && numbers.are<T>()) {
            A array(numbers.size());
            numbers.copy_to(elements_of(array));
            return array;
        }
    }
    return A(take_value<std::vector<T>>(object));
}

/// The elements can be written to, unless the array is frozen.
template <class T, Way way>
struct Converter<RawArray<T>, way> {
    static Reference make(const RawArray<T>& array) {
        const Handle<RawArrayState> state(array.shared_handle());
        const std::span<T> elements(array.data(), array.size());
        auto owner = std::make_shared<AnyHandle>(array.shared_handle());
        if (state->frozen.load() != 0) return show(std::span<const T>(elements), std::move(owner));
        return show(elements, std::move(owner));
    }
    static RawArray<T> take(Object* object) {
        return take_array<RawArray<T>>(object, [](auto& array) { return array.data(); });
    }
};

/// The elements can be written to. As with get_obj, the array's lock is not taken: whoever calls
/// the function may hold it.
template <class T, Way way>
struct Converter<Array<T>, way> {
    static Reference make(const Array<T>& array) {
        return show(array.get_obj(), std::make_shared<AnyHandle>(array.shared_handle()));
    }
    static Array<T> take(Object* object) {
        return take_array<Array<T>>(object, [](auto& array) { return array.get_obj().data(); });
    }
};

/// The bytes can be written to. A view has a mapping of its own, and so may outlive the block.
template <Way way>
struct Converter<shared_memory::SharedMemory, way> {
    static Reference make(const shared_memory::SharedMemory& block) {
        auto owner = std::make_shared<shared_memory::SharedMemory>(block.duplicate());
        const std::span<std::byte> bytes = owner->buf();
        return show(bytes, std::move(owner));
    }
    static shared_memory::SharedMemory take(Object* object) {
        static_assert(static_cast<int>(way) < 0,
                      "multiprocessing: a function of Python cannot return a SharedMemory, whose "
                      "name nobody would unlink. Return its name as a std::string");
        refuse(object, "a SharedMemory");
    }
};

template <class V>
concept vector_of_numbers = requires(V& vector) {
    requires is_number<typename V::value_type>;
    { vector.data() } -> std::same_as<typename V::value_type*>;
    vector.resize(vector.size());
};

/// A frozen vector can only be read. One that is not frozen can be written to; its lock is held
/// until the last view is gone, since no other process may move the elements before.
template <vector_of_numbers V, Way way>
struct Converter<Shared<V>, way> {
    static Reference make(const Shared<V>& shared) {
        if (!is_frozen(shared)) {
            try {
                return show_locked(shared);
            } catch (const ValueError&) {
                if (!is_frozen(shared)) throw;  // it was frozen while this thread waited
            }
        }
        auto owner = std::make_shared<Shared<V>>(shared);
        const std::span elements(owner->frozen().data(), owner->frozen().size());
        return show(elements, std::move(owner));
    }
    static Shared<V> take(Object* object) {
        const auto elements = take_value<std::vector<typename V::value_type>>(object);
        return Shared<V>(elements.begin(), elements.end());
    }

  private:
    static bool is_frozen(const Shared<V>& shared) {
        return Handle<ObjectState>(shared.shared_handle())->is_frozen();
    }
    static Reference show_locked(const Shared<V>& shared) {
        auto guard = [&] {
            const WithoutGil waiting;  // whoever has the object's lock may want Python's
            return std::make_shared<SharedGuard<V>>(shared.shared_handle());
        }();
        const std::span elements((*guard)->data(), (*guard)->size());
        return show(elements, std::move(guard));
    }
};

template <class T>
inline constexpr bool is_shown = std::is_same_v<T, shared_memory::SharedMemory>;
template <class T>
inline constexpr bool is_shown<RawArray<T>> = true;
template <class T>
inline constexpr bool is_shown<Array<T>> = true;
template <vector_of_numbers V>
inline constexpr bool is_shown<Shared<V>> = true;

/// Ends the compilation when T has no object of Python, and tells the reason.
template <class T>
constexpr void require_converts() {
    if constexpr (!is_shown<T>) pickles::require_travels<T>();
}

}  // namespace multiprocessing::detail::pythons
