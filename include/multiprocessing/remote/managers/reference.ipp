// multiprocessing/remote/managers/reference.ipp
//
// How references are counted, and in forked children: see reference.hpp. SPDX-License-Identifier:
// MIT
#pragma once

#include "multiprocessing/remote/managers/reference.hpp"

#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/process/fork_hooks.hpp"

namespace multiprocessing::detail {

inline constinit std::atomic<LiveReference*> live_references{nullptr};

/// Finds a free place in the list, or adds one.
inline LiveReference* enlist(ObjectReference* reference) {
    for (auto* place = live_references.load(); place != nullptr; place = place->next) {
        ObjectReference* free = nullptr;
        if (place->reference.compare_exchange_strong(free, reference)) return place;
    }
    auto* const place = new LiveReference{reference, live_references.load()};
    while (!live_references.compare_exchange_weak(place->next, place)) {
    }
    return place;
}

inline ObjectReference::ObjectReference(std::shared_ptr<ManagerLink> link, Token token,
                                        std::vector<std::string> methods)
    : link_(std::move(link)),
      token_(std::move(token)),
      methods_(std::move(methods)),
      counted_at_(fork_depth()),
      live_(nullptr) {
    static const bool hooked = (add_after_fork_hook(count_in_child), true);
    static_cast<void>(hooked);
    live_ = enlist(this);
}

inline std::shared_ptr<ObjectReference> ObjectReference::adopt(std::shared_ptr<ManagerLink> link,
                                                               Token token,
                                                               std::vector<std::string> methods) {
    return std::make_shared<ObjectReference>(std::move(link), std::move(token), std::move(methods));
}

inline std::shared_ptr<ObjectReference> ObjectReference::take(std::shared_ptr<ManagerLink> link,
                                                              Token token,
                                                              std::vector<std::string> methods) {
    link->request("incref", token.id);
    return adopt(std::move(link), std::move(token), std::move(methods));
}

inline ObjectReference::~ObjectReference() {
    live_->reference.store(nullptr);
    if (counted_at_.load() != fork_depth() || link_->is_shut()) return;
    try {
        link_->request("decref", token_.id);
    } catch (const std::exception& error) {
        // The server has ended, and the object with it.
        note(log_level::debug, "decref failed: ", error);
    }
}

inline void ObjectReference::ensure_counted() {
    std::uint32_t counted_at = counted_at_.load();
    if (counted_at == fork_depth()) return;
    link_->request("incref", token_.id);
    // Of two threads that have both counted, one gives its reference back.
    if (!counted_at_.compare_exchange_strong(counted_at, fork_depth())) {
        link_->request("decref", token_.id);
    }
}

inline void ObjectReference::count_in_child() {
    forget_manager_connections();
    for (auto* place = live_references.load(); place != nullptr; place = place->next) {
        ObjectReference* const reference = place->reference.load();
        if (reference == nullptr || reference->link_->is_shut()) continue;
        try {
            reference->ensure_counted();
        } catch (const std::exception& error) {
            // Perhaps the server has ended. The first call says so.
            note(log_level::info, "incref failed: ", error);
        }
    }
}

inline ReferenceParts ReferenceParts::of(const ObjectReference* reference) {
    if (reference == nullptr) return {};
    const connection::Address& address = reference->token().address;
    return {reference->token().type,
            address.host(),
            address.port(),
            address.path(),
            reference->id(),
            reference->methods(),
            reference->link().authkey()};
}

inline std::shared_ptr<ObjectReference> ReferenceParts::make() const {
    if (id.empty()) return nullptr;
    const connection::Address address =
        port >= 0 ? connection::Address(host, port) : connection::Address(path);
    return ObjectReference::take(ManagerLink::to(address, authkey), {type, address, id}, methods);
}

}  // namespace multiprocessing::detail
