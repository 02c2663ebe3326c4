// multiprocessing/remote/managers/server.ipp
//
// How a server works: see server.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/server.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/process/fork_hooks.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"
#include "multiprocessing/remote/managers/token.hpp"

namespace multiprocessing::detail {

inline ManagerServer::ManagerServer(ManagerRegistry registry, const connection::Address& address,
                                    const std::string& authkey)
    : registry_(std::move(registry)),
      listener_(address, {.authkey = authkey, .backlog = 128}),
      address_(listener_.address()),
      wake_(open_descriptor("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })) {}

inline void ManagerServer::stop() noexcept {
    stopping_.store(true);
    const std::uint64_t one = 1;
    // It cannot fail but by EAGAIN, when the counter is full: then serve() wakes up all the same.
    (void)!::write(wake_.get(), &one, sizeof one);
}

inline void ManagerServer::serve() {
    while (!stopping_.load()) wait_for_work();
    listener_.close();
    close_connections();
    // Methods look after at most `caller_patience` whether they shall end.
    std::unique_lock lock(mutex_);
    closed_.wait_for(lock, 10 * caller_patience, [&] { return open_.empty(); });
    lock.unlock();
    // Not in the thread of the last connection, which may end when nobody waits for it any more.
    objects_->clear();
}

inline void ManagerServer::wait_for_work() {
    std::array<pollfd, 3> entries{pollfd{wake_.get(), POLLIN, 0},
                                  pollfd{listener_.fileno(), POLLIN, 0},
                                  pollfd{clients_.fileno(), POLLIN, 0}};
    // A second: peers in the handshake have a time limit, which try_accept looks after.
    if (::poll(entries.data(), entries.size(), 1000) < 0 && errno != EINTR) {
        throw_system_error("poll");
    }
    if (stopping_.load()) return;
    if (entries[2].revents != 0) drop_ended_clients();
    accept_all();
}

inline void ManagerServer::accept_all() {
    for (;;) {
        try {
            auto connection = listener_.try_accept(0);
            if (!connection) return;
            start_thread_for(std::move(*connection));
        } catch (const AuthenticationError& error) {
            note(log_level::info, "manager: ", error);
        } catch (const std::system_error& error) {
            // No descriptor or thread is left: others end sooner or later.
            note(log_level::warning, "manager: ", error);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            return;
        }
    }
}

inline void ManagerServer::drop_ended_clients() {
    for (const ClientPointer& client : clients_.take_ended()) {
        locks_.drop(client);  // before the objects: these may be its last references to the locks
        objects_->drop(client);
    }
}

inline void ManagerServer::start_thread_for(Connection connection) {
    const int fd = connection.fileno();
    {
        const std::scoped_lock lock(mutex_);
        open_.insert(fd);
    }
    auto own = std::make_shared<MessageStream>(std::move(connection));
    const auto close = [self = shared_from_this(), own, fd] {
        const std::scoped_lock lock(self->mutex_);
        self->open_.erase(fd);
        own->close();
        self->closed_.notify_all();
    };
    try {
        start_thread([self = shared_from_this(), own, close, counted = OwnThread()] {
            self->handle(*own);
            close();
        }).detach();
    } catch (const std::system_error&) {
        close();
        throw;
    }
}

inline void ManagerServer::close_connections() noexcept {
    const std::scoped_lock lock(mutex_);
    // Not closed: its thread may be in the middle of a call. This wakes it.
    for (const int fd : open_) (void)::shutdown(fd, SHUT_RDWR);
}

inline void ManagerServer::send(MessageStream& connection, Reply reply) {
    try {
        // A TCP socket takes bytes for a peer that is gone.
        if (reply.undo) Caller::check();
        connection.send(reply.message);
    } catch (...) {
        if (reply.undo) reply.undo();
        throw;
    }
}

inline void ManagerServer::handle(MessageStream& connection) {
    try {
        Caller caller(connection.fileno(), stopping_, locks_);
        const ClientPointer client = clients_.client_of(connection.fileno());
        caller.set_client(client);
        std::string message = connection.receive();
        Request request;
        Reply reply;
        try {
            request = read_request(std::move(message));
            keep_objects(request.message, objects_, address_);
            reply = answer_first(request, client);
        } catch (const CallerGone&) {
            throw;
        } catch (...) {
            request.method.clear();
            reply.message = traceback_reply(std::current_exception());
        }
        send(connection, std::move(reply));
        if (request.method == "shutdown") stop();
        if (request.method == "accept_connection") serve_client(connection, client, caller);
    } catch (const std::exception& error) {
        // The client has gone, or this server ends.
        note(log_level::debug, "manager: a connection ends: ", error);
    }
}

inline ManagerServer::Reply ManagerServer::answer_first(const Request& request,
                                                        const ClientPointer& client) {
    return {reply_of("#RETURN", run_function(request, client))};
}

/// Returns the argument that a function of the server has. @throws TypeError
inline std::string only_argument(const Request& request) {
    if (request.arguments.values.size() != 1 || !request.arguments.named.empty()) {
        throw TypeError(request.method + "() takes one argument");
    }
    return from_object<std::string>(request.arguments.values[0]);
}

inline pickle::object ManagerServer::run_function(const Request& request,
                                                  const ClientPointer& client) {
    const std::string& function = request.method;
    if (function == "create") return create(request.arguments, client);
    if (function == "incref")
        return objects_->incref(only_argument(request), client), pickle::object();
    if (function == "decref")
        return objects_->decref(only_argument(request), client), pickle::object();
    if (function == "accept_connection") return (void)only_argument(request), pickle::object();
    if (function == "get_methods") {
        if (request.arguments.values.size() != 1) throw TypeError("get_methods() takes a Token");
        const Token token = token_in(request.arguments.values[0]);
        return names_object(objects_->find(token.id)->table().names());
    }
    if (!request.arguments.values.empty() || !request.arguments.named.empty()) {
        throw TypeError(function + "() takes no arguments");
    }
    if (function == "number_of_objects") {
        drop_ended_clients();  // it may be the first to look
        return to_object(static_cast<std::int64_t>(objects_->size()));
    }
    if (function == "debug_info") return to_object(pickles::as_text(objects_->debug_info()));
    if (function == "dummy" || function == "shutdown") return pickle::object();
    throw AssertionError("'" + function + "' unrecognized");
}

inline pickle::object ManagerServer::create(CallArguments arguments, const ClientPointer& client) {
    if (arguments.values.empty()) throw TypeError("create() needs the name of a type");
    const auto name = from_object<std::string>(arguments.values.front());
    arguments.values.erase(arguments.values.begin());
    const auto registered = registry_.find(name);
    if (registered == registry_.end()) throw KeyError("'" + name + "'");
    const PlacedArguments placed = place_arguments(arguments, registered->second);
    const std::shared_ptr<Servant> servant = registered->second.body(nullptr, placed).made;
    const std::string id = objects_->add(servant, client);
    return pickle::object::tuple({to_object(id), names_object(servant->table().names())});
}

inline void ManagerServer::serve_client(MessageStream& connection, const ClientPointer& client,
                                        Caller& caller) {
    while (!stopping_.load()) {
        std::string message = connection.receive();
        caller.forget_replies();
        send(connection, answer(std::move(message), client));
    }
}

inline ManagerServer::Reply ManagerServer::answer(std::string message,
                                                  const ClientPointer& client) {
    try {
        const Request request = read_request(std::move(message));
        keep_objects(request.message, objects_, address_);
        return answer_for_object(request, client);
    } catch (const CallerGone&) {
        throw;
    } catch (const NoPythonForm& error) {
        return {reply_of("#UNSERIALIZABLE", std::string(error.what()))};
    } catch (...) {
        return {traceback_reply(std::current_exception())};
    }
}

inline ManagerServer::Reply ManagerServer::answer_for_object(const Request& request,
                                                             const ClientPointer& client) {
    if (!request.ident) throw KeyError("None");
    const std::shared_ptr<Servant> servant = objects_->find(*request.ident);
    if (const Method* const method = servant->table().find(request.method)) {
        return call(*servant, *method, request, client);
    }
    if (request.method == "#GETVALUE") return {reply_of("#RETURN", servant->value())};
    if (request.method == "__str__" || request.method == "__repr__") {
        return {reply_of("#RETURN", pickles::as_text(servant->text()))};
    }
    throw_python_error("AttributeError", "method '" + request.method + "' of '" +
                                             servant->table().class_name +
                                             "' object is not exposed");
}

inline ManagerServer::Reply ManagerServer::call(Servant& servant, const Method& method,
                                                const Request& request,
                                                const ClientPointer& client) {
    CallResult result;
    try {
        result = servant.call(method, request.arguments);
    } catch (const CallerGone&) {
        throw;
    } catch (...) {
        return {reply_of("#ERROR", std::current_exception())};
    }
    if (result.made == nullptr) {
        if (result.reply.empty()) result.reply = reply_of("#RETURN", nullptr);
        return {std::move(result.reply), std::move(result.undo)};
    }
    const Token token{result.made_type, address_, objects_->add(result.made, client)};
    return {reply_of("#PROXY", pickle::object::tuple({names_object(result.made->table().names()),
                                                      token_object(token)}))};
}

}  // namespace multiprocessing::detail
