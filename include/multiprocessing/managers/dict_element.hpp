// multiprocessing/managers/dict_element.hpp
//
// What d[k] is, and what a loop over a dict gives. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "multiprocessing/sharedctypes/access.hpp"

namespace multiprocessing {

template <class K, class V>
class DictProxy;

/// An entry of a dict's snapshot. It is a pair of key and value. In a loop over the keys, as Python
/// has it, it converts to the key.
///
///     for (const auto& [key, value] : dict) …        for (const std::string& key : dict) …
template <class K, class V>
struct DictItem : std::pair<K, V> {
    using std::pair<K, V>::pair;
    /// Returns the key.
    operator const K&() const noexcept { return this->first; }
};

namespace detail {

/// Returns what `container[index]` is, in a form that may outlive the container. A signed index is
/// converted where the container wants an unsigned one.
template <class Container, class Index>
auto element_of(Container container, Index&& index) {
    const auto at = [&](auto&& place) {
        return std::move(container)[std::forward<decltype(place)>(place)];
    };
    if constexpr (std::integral<std::decay_t<Index>> &&
                  requires { typename Container::size_type; }) {
        return at(static_cast<typename Container::size_type>(index));
    } else {
        return at(std::forward<Index>(index));
    }
}

/// What `d[k]` is. Of a dict with a name it borrows the handle, for as long as the expression
/// lasts.
template <class K, class V>
class DictElement : public AccessOperators<DictElement<K, V>, V> {
  public:
    DictElement(DictProxy<K, V>&& dict, K key) noexcept
        : dict_(std::move(dict)), key_(std::move(key)) {}
    DictElement(Borrowed borrowed, const DictProxy<K, V>& dict, const K& key)
        : dict_(borrowed, dict), key_(key) {}
    DictElement(Borrowed borrowed, const DictProxy<K, V>& dict, K&& key) noexcept
        : dict_(borrowed, dict), key_(std::move(key)) {}
    DictElement(const DictElement&) = default;

    /// @throws KeyError when there is no such key
    [[nodiscard]] V load() const { return dict_.at(key_); }
    template <class F>
    V change(F change) const {
        return dict_.update_with(key_, std::move(change));
    }

    const DictElement& operator=(const V& value) const {
        dict_.set(key_, value);
        return *this;
    }
    const DictElement& operator=(const DictElement& other) const { return *this = other.load(); }

    /// Returns an element of a nested container: d["outer"]["inner"].
    template <class Index>
        requires requires(const V& value, Index&& index) { value[std::forward<Index>(index)]; }
    auto operator[](Index&& index) const {
        return detail::element_of(load(), std::forward<Index>(index));
    }
    /// A copy of the value, to use its members: d["list"]->append(1).
    struct Arrow {
        V value;
        V* operator->() noexcept { return &value; }
    };
    Arrow operator->() const { return {load()}; }

  private:
    DictProxy<K, V> dict_;
    K key_;
};

}  // namespace detail

}  // namespace multiprocessing
