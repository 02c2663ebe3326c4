// multiprocessing/managers/namespace_proxy.ipp
//
// What a namespace does whatever the types of its values: see namespace_proxy.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/namespace_proxy.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE bool NamespaceProxy::has(const std::string& name) const {
    return state().contains(detail::EncodedKey<std::string>(name));
}

MULTIPROCESSING_INLINE void NamespaceProxy::del(const std::string& name) const {
    const detail::EncodedKey<std::string> key(name);
    detail::DictState::Words erased;
    const Lock lock(state());
    detail::DictEntry* const entry = state().find(key);
    if (entry == nullptr) throw key.error();
    erased = state().erase(*entry);
}

MULTIPROCESSING_INLINE std::vector<std::string> NamespaceProxy::names() const {
    std::vector<std::string> names;
    const Lock lock(state());
    state().for_each([&](const detail::DictEntry& entry) {
        names.push_back(detail::decode<std::string>(entry.key_word()));
    });
    return names;
}

MULTIPROCESSING_INLINE void NamespaceProxy::store(const std::string& name,
                                                  detail::OwnedWord word) const {
    detail::EncodedKey<std::string> key(name);
    detail::OwnedWord old;  // dropped when the lock is released
    const Lock lock(state());
    if (detail::DictEntry* const entry = state().find(key)) {
        old = state().replace(*entry, std::move(word));
    } else {
        state().insert(key.hash(), key.take(), std::move(word));
    }
}

MULTIPROCESSING_INLINE void NamespaceProxy::throw_wrong_type(const std::string& name,
                                                             const std::string& type,
                                                             std::string_view asked) {
    throw TypeError("the value \"" + name + "\" is of type " + type + ", not " +
                    std::string(asked));
}

}  // namespace multiprocessing
