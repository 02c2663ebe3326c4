// multiprocessing/remote/managers/proxy.ipp
//
// How a proxy reads replies: see proxy.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/proxy.hpp"

#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing {

inline const detail::ObjectReference& RemoteProxy::reference() const {
    if (reference_ == nullptr) {
        throw ValueError("the proxy is of no object: assign one that a manager has given");
    }
    reference_->ensure_counted();
    return *reference_;
}

inline RemoteProxy RemoteProxy::made_by(const detail::ManagerReply& reply) const {
    if (reply.kind == "#RETURN") return from_pickle(reply.value);  // it was an item, say
    if (reply.kind != "#PROXY") detail::throw_reply(reply);
    const auto parts = detail::items_of(reply.value);
    if (parts.size() != 2) throw ValueError("a reply of the kind #PROXY is damaged");
    detail::Token token = detail::token_in(parts[1]);
    const auto& link = reference().shared_link();
    token.address = link->address();  // by which this client has reached the server
    return RemoteProxy(
        detail::ObjectReference::adopt(link, std::move(token), detail::names_in(parts[0])));
}

inline void RemoteProxy::throw_other(const detail::ManagerReply& reply) const {
    if (reply.kind == "#PROXY") {
        (void)made_by(reply);  // which gives the reference back that the server has counted
        throw TypeError("the method has returned an object that stays in the server: ask for it as "
                        "call<mp::RemoteProxy>");
    }
    detail::throw_reply(reply);
}

inline std::string RemoteProxy::text() const {
    if (reference_ == nullptr) return "<RemoteProxy object, empty>";
    const detail::Token& token = reference_->token();
    return "<RemoteProxy object, type " + detail::quoted(token.type) + " at " +
           text_of(token.address) + ">";
}

inline pickle::object RemoteProxy::to_pickle() const {
    return detail::proxy_object(reference().token(), reference().methods());
}

inline RemoteProxy RemoteProxy::from_pickle(const pickle::object& value) {
    detail::Token token = detail::token_in_proxy(value);
    const auto link = detail::ManagerLink::to(token.address, current_process().authkey());
    return RemoteProxy(detail::ObjectReference::take(link, std::move(token), {}));
}

}  // namespace multiprocessing
