// multiprocessing/reduction/picklers/pointers.hpp
//
// How smart pointers travel: with the object they own. Two shared_ptrs in a message that point to
// the same object do so at the other end too, also in cycles. Floor 2. Start at
// Pickler<T, Kind::unique_ptr>.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

/// T has a static load_and_construct(archive, construct) function, which makes its objects.
template <class T>
concept constructed_by_user = cereal::traits::has_load_and_construct<T, InputArchive>::value;

}  // namespace multiprocessing::detail

namespace cereal::memory_detail {

/// cereal lets only this class make a cereal::construct<T>. Its own definition, in
/// <cereal/types/memory.hpp>, is for all archives. This one is for ours, and does not need that
/// header.
template <class T>
struct LoadAndConstructLoadWrapper<multiprocessing::detail::InputArchive, T> {
    LoadAndConstructLoadWrapper(T* pointer) : construct(pointer) {}
    template <class Restore>
    LoadAndConstructLoadWrapper(T* pointer, Restore&& restore)
        : construct(pointer, std::forward<Restore>(restore)) {}

    void serialize(multiprocessing::detail::InputArchive& archive) {
        cereal::detail::Construct<T, multiprocessing::detail::InputArchive>::load_andor_construct(
            archive, construct);
    }

    cereal::construct<T> construct;
};

}  // namespace cereal::memory_detail

namespace multiprocessing::detail {

/// Makes the object that a pointer of this message owns.
template <class T>
std::unique_ptr<T> read_owned(InputArchive& archive) {
    if constexpr (constructed_by_user<T>) {
        std::allocator<T> memory;
        auto release = [&memory](T* place) { memory.deallocate(place, 1); };
        std::unique_ptr<T, decltype(release)> place(memory.allocate(1), release);
        cereal::memory_detail::LoadAndConstructLoadWrapper<InputArchive, T> wrapper(place.get());
        wrapper.serialize(archive);
        static_cast<void>(wrapper.construct.ptr());  // throws when nothing was constructed
        return std::unique_ptr<T>(place.release());
    } else if constexpr (std::is_default_constructible_v<T> && !has_own_read<T>) {
        auto object = std::make_unique<T>();
        unpickle(archive, *object);
        return object;
    } else if constexpr (!has_own_read<T>) {
        auto object = this_type_needs_a_default_constructor<T>();
        unpickle(archive, *object);
        return object;
    } else {
        return std::unique_ptr<T>(new T(load_value<T>(archive)));
    }
}

template <class T>
struct Pickler<T, Kind::unique_ptr> {
    using Object = std::remove_const_t<typename T::element_type>;
    using Elements = TypeList<Object>;
    static constexpr std::size_t smallest = 1;

    static void save(OutputArchive& archive, const T& value) {
        archive.walk().descend([&] {
            archive(value != nullptr);
            if (value) archive(*value);
        });
    }
    static void load(InputArchive& archive, T& value) {
        archive.walk().descend([&] {
            value = detail::load_value<bool>(archive) ? read_owned<Object>(archive) : nullptr;
        });
    }
};

template <class T>
struct Pickler<T, Kind::shared_ptr> {
    using Object = std::remove_const_t<typename T::element_type>;
    using Elements = TypeList<Object>;
    static constexpr std::size_t smallest = sizeof(std::uint32_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.walk().descend([&] {
            const std::uint32_t id = archive.register_shared(value, &typeid(Object));
            archive(id);
            if ((id & cereal::detail::msb_32bit) != 0) archive(*value);
        });
    }
    static void load(InputArchive& archive, T& value) {
        archive.walk().descend([&] {
            const auto id = detail::load_value<std::uint32_t>(archive);
            if ((id & cereal::detail::msb_32bit) == 0) {
                value = std::static_pointer_cast<Object>(archive.shared(id, &typeid(Object)));
            } else if constexpr (std::is_default_constructible_v<Object> && !has_own_read<Object> &&
                                 !constructed_by_user<Object>) {
                auto object = std::make_shared<Object>();
                // Registered before it is complete, because its fields may point back to it.
                archive.register_shared(id, object, &typeid(Object));
                detail::unpickle(archive, *object);
                value = std::move(object);
            } else {
                std::shared_ptr<Object> object = read_owned<Object>(archive);
                archive.register_shared(id, object, &typeid(Object));
                value = std::move(object);
            }
        });
    }
};

/// A weak_ptr keeps nothing alive. At the other end it is empty, unless the same message has a
/// shared_ptr to the object (before or after the weak_ptr).
template <class T>
struct Pickler<T, Kind::weak_ptr> {
    using Shared = std::shared_ptr<typename T::element_type>;
    using Elements = TypeList<Shared>;
    static constexpr std::size_t smallest = sizeof(std::uint32_t);

    static void save(OutputArchive& archive, const T& value) { archive(value.lock()); }
    static void load(InputArchive& archive, T& value) {
        // The archive keeps the object alive until the message is read.
        value = detail::load_value<Shared>(archive);
    }
};

}  // namespace multiprocessing::detail
