// multiprocessing/shared_objects/containers.hpp
//
// Boost's containers in the family's heap, and the comparisons and hashes that let a text be a key
// of them. Floor 4. Start at shared::vector. See
// https://www.boost.org/doc/libs/release/doc/html/container.html.
// SPDX-License-Identifier: MIT
#pragma once

#include <boost/container/deque.hpp>
#include <boost/container/flat_map.hpp>
#include <boost/container/flat_set.hpp>
#include <boost/container/list.hpp>
#include <boost/container/map.hpp>
#include <boost/container/set.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <boost/functional/hash.hpp>
#include <boost/unordered/unordered_map.hpp>
#include <boost/unordered/unordered_set.hpp>
#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/shared_objects/allocator.hpp"

namespace multiprocessing::detail {

// Texts of all classes are compared and hashed as std::string_views. So a lookup by a literal makes
// no string.

struct TextLess {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept { return a < b; }
};
struct TextEqual {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept { return a == b; }
};
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>()(text);
    }
};

}  // namespace multiprocessing::detail

/// Containers that lie in shared memory: in a Shared, or inside one another.
namespace multiprocessing::shared {

/// Text in shared memory. It is made of a `const char*` or, as `string(view)`, of a
/// std::string_view. It compares with both, and with a std::string.
using string = boost::container::basic_string<char, std::char_traits<char>, allocator<char>>;

/// Orders keys, as std::less does.
template <class K>
struct less : std::less<K> {};
/// Orders texts, also those of other classes: `m.find("key")` makes no string.
template <>
struct less<string> : detail::TextLess {};

/// Compares the keys of hash tables, as std::equal_to does.
template <class K>
struct equal_to : std::equal_to<K> {};
/// Compares texts, also those of other classes.
template <>
struct equal_to<string> : detail::TextEqual {};

/// Hashes keys: by std::hash if the key has one, else by boost::hash. The latter also takes pairs,
/// tuples, and classes with a function hash_value. A hash is the same in all processes of a
/// program.
template <class K>
struct hash {
    /// Returns the hash of a key.
    std::size_t operator()(const K& key) const {
        if constexpr (requires { std::hash<K>()(key); }) {
            return std::hash<K>()(key);
        } else {
            return boost::hash<K>()(key);
        }
    }
};
/// Hashes texts, also those of other classes.
template <>
struct hash<string> : detail::TextHash {};

/// Elements in a row.
template <class T>
using vector = boost::container::vector<T, allocator<T>>;
/// Elements that can be added and removed at both ends.
template <class T>
using deque = boost::container::deque<T, allocator<T>>;
/// Elements that stay where they are when others are added or removed.
template <class T>
using list = boost::container::list<T, detail::NodeAllocator<T>>;
/// Values by keys, in the order of the keys.
template <class K, class V, class Less = less<K>>
using map = boost::container::map<K, V, Less, detail::NodeAllocator<std::pair<const K, V>>>;
/// Keys in their order.
template <class K, class Less = less<K>>
using set = boost::container::set<K, Less, detail::NodeAllocator<K>>;
/// Values by keys, in the order of the keys, in one block: fast to read, slow to change.
template <class K, class V, class Less = less<K>>
using flat_map = boost::container::flat_map<K, V, Less, allocator<std::pair<K, V>>>;
/// Keys in their order, in one block: fast to read, slow to change.
template <class K, class Less = less<K>>
using flat_set = boost::container::flat_set<K, Less, allocator<K>>;
/// Values by keys, in a hash table.
template <class K, class V, class Hash = hash<K>, class Equal = equal_to<K>>
using unordered_map = boost::unordered_map<K, V, Hash, Equal, allocator<std::pair<const K, V>>>;
/// Keys in a hash table.
template <class K, class Hash = hash<K>, class Equal = equal_to<K>>
using unordered_set = boost::unordered_set<K, Hash, Equal, allocator<K>>;

}  // namespace multiprocessing::shared

namespace multiprocessing {

// Boost compares its strings with literals and string views, but not with std::string. Argument-
// dependent lookup finds these operators through the string's allocator, which is in this
// namespace.

/// Compares the characters.
inline bool operator==(const shared::string& a, const std::string& b) noexcept {
    return std::string_view(a) == std::string_view(b);
}
/// Orders by the characters.
inline std::strong_ordering operator<=>(const shared::string& a, const std::string& b) noexcept {
    return std::string_view(a) <=> std::string_view(b);
}

}  // namespace multiprocessing

namespace std {

/// A shared text hashes as any other text, also when it is a key of a standard container.
template <>
struct hash<multiprocessing::shared::string> : multiprocessing::detail::TextHash {};

}  // namespace std
