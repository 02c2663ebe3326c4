// multiprocessing/reduction/picklers/containers.hpp
//
// How the containers of the standard library and of Boost.Container travel. They are recognised by
// their shape, so that none of their headers is needed here. Floor 2. Start at
// Pickler<T, Kind::contiguous>.
//
// cereal has functions for them too (<cereal/types/...>). These cost each translation unit most of
// a second, copy element by element, and allocate as much as a damaged length tells them.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/huge_pages.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

/// Writes how many elements follow. Each element takes at least a byte in the message; where it has
/// none of its own, one is written here. So a reader can check any number against the bytes it has
/// before it allocates.
template <class Element>
void write_count(OutputArchive& archive, std::size_t count) {
    archive.write_size(count);
    if constexpr (Pickler<Element>::smallest == 0) {
        archive.reserve(count);
        const std::byte filler{};
        for (std::size_t i = 0; i < count; ++i) archive.write(&filler, 1);
    }
}
template <class Element>
std::size_t read_count(InputArchive& archive) {
    constexpr std::size_t smallest = Pickler<Element>::smallest;
    const std::size_t count = archive.read_size(smallest == 0 ? 1 : smallest);
    if constexpr (smallest == 0) archive.take(count);
    return count;
}

/// Reads elements of type T wherever they lie in a message. A pointer to T would have to be
/// aligned.
template <class T>
class UnalignedIterator {
  public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = T;

    UnalignedIterator() = default;
    explicit UnalignedIterator(const std::byte* place) noexcept : place_(place) {}

    T operator*() const {
        alignas(T) std::byte bytes[sizeof(T)];
        std::memcpy(bytes, place_, sizeof(T));
        return *std::launder(reinterpret_cast<const T*>(bytes));
    }
    UnalignedIterator& operator++() {
        place_ += sizeof(T);
        return *this;
    }
    UnalignedIterator operator++(int) {
        auto before = *this;
        ++*this;
        return before;
    }
    UnalignedIterator& operator--() {
        place_ -= sizeof(T);
        return *this;
    }
    UnalignedIterator operator--(int) {
        auto before = *this;
        --*this;
        return before;
    }
    UnalignedIterator& operator+=(difference_type n) {
        place_ += n * static_cast<difference_type>(sizeof(T));
        return *this;
    }
    UnalignedIterator& operator-=(difference_type n) { return *this += -n; }
    T operator[](difference_type n) const { return *(*this + n); }

    friend UnalignedIterator operator+(UnalignedIterator place, difference_type n) {
        return place += n;
    }
    friend UnalignedIterator operator+(difference_type n, UnalignedIterator place) {
        return place += n;
    }
    friend UnalignedIterator operator-(UnalignedIterator place, difference_type n) {
        return place -= n;
    }
    friend difference_type operator-(const UnalignedIterator& a, const UnalignedIterator& b) {
        return (a.place_ - b.place_) / static_cast<difference_type>(sizeof(T));
    }
    friend auto operator<=>(const UnalignedIterator&, const UnalignedIterator&) = default;

  private:
    const std::byte* place_ = nullptr;
};
// It has all that the concept asks for: libstdc++'s debug mode uses more of it than its containers
// do.
static_assert(std::random_access_iterator<UnalignedIterator<int>>);

/// A vector or string of bitwise elements: its length and one memcpy.
template <class T>
struct Pickler<T, Kind::contiguous> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        write_count<Element>(archive, value.size());
        if constexpr (Pickler<Element>::smallest != 0) {
            archive.write(value.data(), value.size() * sizeof(Element));
        }
    }
    static void load(InputArchive& archive, T& value) {
        const std::size_t count = read_count<Element>(archive);
        if constexpr (Pickler<Element>::smallest == 0) {
            value.clear();
            for (std::size_t i = 0; i < count; ++i)
                value.push_back(detail::load_value<Element>(archive));
        } else {
            // assign() copies straight to new memory. resize() would fill that with zeros first.
            const std::byte* const bytes = archive.take(count * sizeof(Element));
            make_room(value, count);
            if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(Element) == 0) {
                const auto* const first = reinterpret_cast<const Element*>(bytes);
                value.assign(first, first + count);
            } else {
                value.assign(UnalignedIterator<Element>(bytes),
                             UnalignedIterator<Element>(bytes + count * sizeof(Element)));
            }
            if constexpr (holds_variant<Element>()) {
                for (const Element& element : value) check_plain_variants(element);
            }
        }
    }
};

/// Reads one more element and appends it.
template <class T>
void append_element(InputArchive& archive, T& container) {
    using Element = typename T::value_type;
    if constexpr (std::is_default_constructible_v<Element> && !has_own_read<Element>) {
        container.emplace_back();
        unpickle(archive, container.back());
    } else {
        container.push_back(load_value<Element>(archive));
    }
}

/// Reserves memory for the elements that are expected, but no more than 1 MiB. An element may be
/// bigger in memory than in a message, and a damaged message may tell too many.
template <class T>
void reserve_elements(T& container, std::size_t count) {
    if constexpr (requires { container.reserve(count); }) {
        constexpr std::size_t most = (std::size_t{1} << 20) / sizeof(typename T::value_type) + 1;
        container.reserve((std::min)(count, most));
    }
}

/// Any other vector, a deque, a list.
template <class T>
struct Pickler<T, Kind::sequence> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.walk().descend([&] {
            write_count<Element>(archive, value.size());
            for (const Element& element : value) detail::pickle(archive, element);
        });
    }
    static void load(InputArchive& archive, T& value) {
        archive.walk().descend([&] {
            const std::size_t count = read_count<Element>(archive);
            value.clear();
            reserve_elements(value, count);
            for (std::size_t i = 0; i < count; ++i) append_element(archive, value);
        });
    }
};

/// vector<bool>: eight to a byte.
template <class T>
struct Pickler<T, Kind::bool_vector> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.write_size(value.size());
        for (std::size_t i = 0; i < value.size();) {
            unsigned bits = 0;
            for (unsigned bit = 0; bit < 8 && i < value.size(); ++bit, ++i) {
                bits |= unsigned{value[i]} << bit;
            }
            const auto byte = static_cast<unsigned char>(bits);
            archive.write(&byte, 1);
        }
    }
    static void load(InputArchive& archive, T& value) {
        std::uint64_t count = 0;
        archive.read_into(&count, sizeof(count));
        const std::uint64_t size = count / 8 + (count % 8 != 0);
        if (size > archive.remaining()) throw_damaged("it tells more items than it holds");
        const std::byte* const bytes = archive.take(static_cast<std::size_t>(size));
        value.assign(static_cast<std::size_t>(count), false);
        for (std::size_t i = 0; i < value.size(); ++i) {
            value[i] = (std::to_integer<unsigned>(bytes[i / 8]) >> (i % 8) & 1u) != 0;
        }
    }
};

template <class T>
struct Pickler<T, Kind::forward_list> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.walk().descend([&] {
            write_count<Element>(
                archive, static_cast<std::size_t>(std::distance(value.begin(), value.end())));
            for (const Element& element : value) detail::pickle(archive, element);
        });
    }
    static void load(InputArchive& archive, T& value) {
        archive.walk().descend([&] {
            const std::size_t count = read_count<Element>(archive);
            value.clear();
            auto last = value.before_begin();
            for (std::size_t i = 0; i < count; ++i) {
                last = value.insert_after(last, detail::load_value<Element>(archive));
            }
        });
    }
};

/// The types of the comparison or hash functions of a map or set.
template <class T>
consteval auto functions_of_associative() {
    if constexpr (requires { typename T::hasher; }) {
        return TypeList<typename T::hasher, typename T::key_equal>{};
    } else if constexpr (requires { typename T::key_compare; }) {
        return TypeList<typename T::key_compare>{};
    } else {
        return TypeList<>{};
    }
}

template <class... First, class... Second>
consteval TypeList<First..., Second...> concatenate(TypeList<First...>, TypeList<Second...>) {
    return {};
}

template <class... Ts>
consteval bool all_empty(TypeList<Ts...>) {
    return (std::is_empty_v<Ts> && ...);
}

/// Maps and sets, ordered or not.
template <class T>
struct Pickler<T, Kind::associative> {
    using Key = typename T::key_type;
    using Functions = decltype(functions_of_associative<T>());
    static constexpr bool is_map = requires { typename T::mapped_type; };
    static constexpr bool has_state = !all_empty(Functions{});

    static consteval auto elements() {
        if constexpr (is_map) {
            return TypeList<Key, typename T::mapped_type>{};
        } else {
            return TypeList<Key>{};
        }
    }
    using Elements = std::conditional_t<has_state, decltype(concatenate(elements(), Functions{})),
                                        decltype(elements())>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        archive.walk().descend([&] {
            if constexpr (has_state) save_functions(archive, value);
            write_count<Key>(archive, value.size());
            for (const auto& element : value) {
                if constexpr (is_map) {
                    archive(element.first, element.second);
                } else {
                    archive(element);
                }
            }
        });
    }
    static void load(InputArchive& archive, T& value) {
        archive.walk().descend([&] {
            if constexpr (has_state) {
                value = load_functions(archive);
            } else {
                value.clear();
            }
            const std::size_t count = read_count<Key>(archive);
            if constexpr (requires { typename T::hasher; }) reserve_elements(value, count);
            for (std::size_t i = 0; i < count; ++i) {
                auto key = detail::load_value<Key>(archive);
                if constexpr (is_map) {
                    value.emplace_hint(value.end(), std::move(key),
                                       detail::load_value<typename T::mapped_type>(archive));
                } else {
                    value.emplace_hint(value.end(), std::move(key));
                }
            }
        });
    }

  private:
    static void save_functions(OutputArchive& archive, const T& value) {
        if constexpr (requires { typename T::hasher; }) {
            archive(value.hash_function(), value.key_eq());
        } else {
            archive(value.key_comp());
        }
    }
    static T load_functions(InputArchive& archive) {
        if constexpr (requires { typename T::hasher; }) {
            auto hash = detail::load_value<typename T::hasher>(archive);
            auto equal = detail::load_value<typename T::key_equal>(archive);
            return T(0, std::move(hash), std::move(equal));
        } else {
            return T(detail::load_value<typename T::key_compare>(archive));
        }
    }
};

/// queue, stack, priority_queue: the container inside travels.
template <class T>
struct Pickler<T, Kind::adaptor> {
    using Container = typename T::container_type;
    struct Opened : T {  // by the standard, only a derived class can reach `c`
        static auto& container(T& adaptor) { return adaptor.*(&Opened::c); }
        static auto& comparison(T& adaptor)
            requires requires { typename T::value_compare; }
        {
            return adaptor.*(&Opened::comp);
        }
    };
    static consteval auto elements() {
        if constexpr (requires { typename T::value_compare; }) {
            return TypeList<Container, typename T::value_compare>{};
        } else {
            return TypeList<Container>{};
        }
    }
    using Elements = decltype(elements());
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        T& adaptor = const_cast<T&>(value);  // it is only read
        archive(std::as_const(Opened::container(adaptor)));
        if constexpr (requires { typename T::value_compare; }) {
            archive(std::as_const(Opened::comparison(adaptor)));
        }
    }
    static void load(InputArchive& archive, T& value) {
        archive(Opened::container(value));
        if constexpr (requires { typename T::value_compare; }) {
            archive(Opened::comparison(value));
        }
    }
};

template <class T>
struct Pickler<T, Kind::valarray> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        write_count<Element>(archive, value.size());
        for (std::size_t i = 0; i < value.size(); ++i) archive(value[i]);
    }
    static void load(InputArchive& archive, T& value) {
        value.resize(read_count<Element>(archive));
        for (std::size_t i = 0; i < value.size(); ++i) archive(value[i]);
    }
};

/// A std::array of elements that are not bitwise, and a C array of them.
template <class T>
struct Pickler<T, Kind::array> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t count = std::tuple_size_v<T>;
    static constexpr std::size_t smallest = count * Pickler<Element>::smallest;

    static void save(OutputArchive& archive, const T& value) {
        for (const Element& element : value) detail::pickle(archive, element);
    }
    static void load(InputArchive& archive, T& value) {
        for (Element& element : value) detail::unpickle(archive, element);
    }
    static T read(InputArchive& archive)
        requires(!std::is_default_constructible_v<Element> || has_own_read<Element>)
    {
        return [&archive]<std::size_t... I>(std::index_sequence<I...>) {
            return T{{(static_cast<void>(I), detail::load_value<Element>(archive))...}};
        }(std::make_index_sequence<count>{});
    }
};

template <class T>
struct Pickler<T, Kind::c_array> {
    using Element = std::remove_extent_t<T>;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = std::extent_v<T> * Pickler<Element>::smallest;

    static void save(OutputArchive& archive, const T& value) {
        for (const Element& element : value) detail::pickle(archive, element);
    }
    static void load(InputArchive& archive, T& value) {
        for (Element& element : value) detail::unpickle(archive, element);
    }
};

}  // namespace multiprocessing::detail
