// multiprocessing/remote/managers/objects.ipp
//
// How references are counted: see objects.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/objects.hpp"

#include <algorithm>
#include <charconv>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

inline ObjectTable::Identity ObjectTable::identity_of(const Servant& servant) {
    return {servant.identity(), servant.table().class_name};
}

inline ObjectTable::Entries::iterator ObjectTable::entry_of(const std::string& id) {
    const auto entry = entries_.find(id);
    if (entry == entries_.end()) {
        throw KeyError("'" + id +
                       "': the server has no object of this id; its last reference may have "
                       "been given back");
    }
    return entry;
}

inline void ObjectTable::count(Entry& entry, const ClientPointer& client) {
    ++entry.references;
    ++entry.by_client[client];
}

inline std::shared_ptr<Servant> ObjectTable::take_out(Entries::iterator entry) {
    auto servant = std::move(entry->second.servant);
    ids_.erase(identity_of(*servant));
    entries_.erase(entry);
    return servant;
}

inline std::string ObjectTable::add(const std::shared_ptr<Servant>& servant,
                                    const ClientPointer& client) {
    const std::scoped_lock lock(mutex_);
    if (client != nullptr && client->gone) throw EOFError("the client has ended");
    std::string& id = ids_[identity_of(*servant)];
    if (id.empty()) {
        char digits[16];
        id.assign(digits, std::to_chars(digits, digits + sizeof digits, ++latest_id_, 16).ptr);
        entries_[id].servant = servant;
    }
    count(entries_[id], client);
    return id;
}

inline std::shared_ptr<Servant> ObjectTable::find(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    return const_cast<ObjectTable*>(this)->entry_of(id)->second.servant;
}

inline void ObjectTable::incref(const std::string& id, const ClientPointer& client) {
    const std::scoped_lock lock(mutex_);
    if (client != nullptr && client->gone) throw EOFError("the client has ended");
    count(entry_of(id)->second, client);
}

inline void ObjectTable::decref(const std::string& id, const ClientPointer& client) {
    std::shared_ptr<Servant> last;  // destroyed after the lock: its destructor may take long
    const std::scoped_lock lock(mutex_);
    const auto entry = entry_of(id);
    auto& by_client = entry->second.by_client;
    auto holder = by_client.find(client);
    if (holder == by_client.end()) {
        holder = by_client.begin();
        if (holder->first == server_ && by_client.size() > 1) ++holder;
    }
    if (--holder->second == 0) by_client.erase(holder);
    if (--entry->second.references == 0) last = take_out(entry);
}

inline bool ObjectTable::keep(const std::string& id) {
    const std::scoped_lock lock(mutex_);
    const auto entry = entries_.find(id);
    if (entry == entries_.end()) return false;
    count(entry->second, server_);
    return true;
}

inline void ObjectTable::release(const std::string& id) {
    try {
        decref(id, server_);
    } catch (const KeyError&) {
        // A client has given back more than it had.
    }
}

inline void ObjectTable::drop(const ClientPointer& client) {
    std::vector<std::shared_ptr<Servant>> last;
    const std::scoped_lock lock(mutex_);
    client->gone = true;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto here = entry++;
        const auto holder = here->second.by_client.find(client);
        if (holder == here->second.by_client.end()) continue;
        here->second.references -= holder->second;
        here->second.by_client.erase(holder);
        if (here->second.references == 0) last.push_back(take_out(here));
    }
}

inline void ObjectTable::clear() {
    Entries all;  // destroyed after the lock
    const std::scoped_lock lock(mutex_);
    all.swap(entries_);
    ids_.clear();
}

inline std::size_t ObjectTable::size() const {
    const std::scoped_lock lock(mutex_);
    return entries_.size();
}

inline std::string ObjectTable::debug_info() const {
    std::vector<std::pair<std::string, std::pair<long, std::shared_ptr<Servant>>>> seen;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [id, entry] : entries_) {
            seen.push_back({id, {entry.references, entry.servant}});
        }
    }
    std::string info;
    for (const auto& [id, entry] : seen) {
        if (!info.empty()) info += '\n';
        info += "  " + id + ":       refcount=" + std::to_string(entry.first) + "\n    " +
                entry.second->text().substr(0, 75);
    }
    return info;
}

}  // namespace multiprocessing::detail
