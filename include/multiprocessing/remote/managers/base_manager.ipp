// multiprocessing/remote/managers/base_manager.ipp
//
// How a server is started and ended: see base_manager.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/base_manager.hpp"

#include <signal.h>
#include <unistd.h>

#include <mutex>
#include <system_error>
#include <tuple>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing {

struct BaseManager::Shared {
    connection::Address address;
    BaseManagerOptions options;
    detail::ManagerRegistry registry{};
    bool has_fresh_socket = false;
    std::uint32_t depth = detail::fork_depth();  // of the process that has made the manager

    std::mutex mutex{};  // guards what follows
    State state = State::initial;
    std::shared_ptr<detail::ManagerLink> link{};
    std::shared_ptr<detail::ManagerServer> server{};  // that serve_forever runs
    std::shared_ptr<ForkProcess> process{};           // that start has started
};

inline BaseManager::BaseManager(connection::Address address, BaseManagerOptions options)
    : shared_(std::make_shared<Shared>()) {
    shared_->has_fresh_socket = address.empty();
    shared_->address = std::move(address);
    shared_->options = std::move(options);
}

inline BaseManager& BaseManager::operator=(BaseManager&& other) noexcept {
    BaseManager(std::move(other)).shared_.swap(shared_);
    return *this;
}

inline BaseManager::~BaseManager() {
    if (shared_ == nullptr || shared_.use_count() > 1 || !is_own()) return;
    if (shared_->process == nullptr) return;
    try {
        shutdown();
    } catch (const std::exception& error) {
        detail::note(detail::log_level::warning, "a manager's server was not ended: ", error);
    }
}

inline bool BaseManager::is_own() const noexcept { return shared_->depth == detail::fork_depth(); }

inline void BaseManager::add(detail::Method maker) {
    const std::scoped_lock lock(shared_->mutex);
    if (shared_->state != State::initial) {
        throw AssertionError("'" + maker.name + "' is registered too late: the server runs");
    }
    std::string name = maker.name;
    shared_->registry.insert_or_assign(std::move(name), std::move(maker));
}

inline void BaseManager::check_initial() const {
    if (shared_->state == State::started) throw ProcessError("Already started server");
    if (shared_->state == State::shut_down) throw ProcessError("Manager has shut down");
}

namespace detail {

/// What the server's process tells of its start: its address, or the error.
struct ServerStart {
    std::string host;
    int port = -1;
    std::string path;
};

/// The body of the server's process.
inline void run_server(const ManagerRegistry& registry, const connection::Address& address,
                       const std::string& authkey, const std::function<void()>& initialize,
                       Connection& report) {
    // As in Python: an interrupt from the terminal is for the clients.
    ::signal(SIGINT, SIG_IGN);
    std::shared_ptr<ManagerServer> server;
    try {
        initialize();
        server = std::make_shared<ManagerServer>(registry, address, authkey);
    } catch (...) {
        report.send(false);
        OutputArchive archive;
        save_exception(archive, std::current_exception(), current_process().name(), ::getpid());
        report.send_bytes(archive.view());
        return;
    }
    report.send(true);
    const connection::Address& bound = server->address();
    report.send(ServerStart{bound.host(), bound.port(), bound.path()});
    report.close();
    server->serve();
}

/// Reads what run_server tells. @throws what has kept the server from starting
inline connection::Address address_reported(Connection& report) {
    if (!report.recv<bool>()) {
        const std::string bytes = report.recv_bytes();
        InputArchive archive(std::as_bytes(std::span(bytes)), {});
        std::rethrow_exception(load_exception(archive, "the start of a manager's server"));
    }
    auto start = report.recv<ServerStart>();
    if (start.port >= 0) return {std::move(start.host), start.port};
    return connection::Address(std::move(start.path));
}

}  // namespace detail

inline void BaseManager::start_server(const std::function<void()>& initialize) {
    const std::scoped_lock lock(shared_->mutex);
    check_initial();
    auto [reader, writer] = Pipe(false);
    auto process = std::make_shared<ForkProcess>(
        ProcessOptions{.name = {}, .daemon = true},
        [shared = shared_.get(), &initialize, &writer = writer, &reader = reader] {
            reader.close();
            detail::run_server(shared->registry, shared->address, shared->options.authkey,
                               initialize, writer);
        });
    process->set_name("BaseManager-" + process->name().substr(process->name().find('-') + 1));
    process->start();
    writer.close();
    try {
        shared_->address = detail::address_reported(reader);
    } catch (...) {
        process->kill();
        process->join();
        throw;
    }
    shared_->process = std::move(process);
    shared_->link =
        std::make_shared<detail::ManagerLink>(shared_->address, shared_->options.authkey);
    shared_->state = State::started;
}

inline void BaseManager::serve_forever() {
    std::shared_ptr<detail::ManagerServer> server;
    const auto shared = shared_;
    {
        const std::scoped_lock lock(shared->mutex);
        check_initial();
        server = std::make_shared<detail::ManagerServer>(shared->registry, shared->address,
                                                         shared->options.authkey);
        shared->address = server->address();
        shared->server = server;
        shared->link =
            std::make_shared<detail::ManagerLink>(shared->address, shared->options.authkey);
        shared->state = State::started;
    }
    server->serve();
    const std::scoped_lock lock(shared->mutex);
    shared->server = nullptr;
    shared->link->note_shutdown();
    shared->state = State::shut_down;
}

inline void BaseManager::shutdown() {
    std::shared_ptr<detail::ManagerServer> server;
    std::shared_ptr<detail::ManagerLink> link;
    std::shared_ptr<ForkProcess> process;
    {
        const std::scoped_lock lock(shared_->mutex);
        if (shared_->state != State::started) return;
        server = shared_->server;
        link = shared_->link;
        if (is_own()) process = shared_->process;
        if (server == nullptr) shared_->state = State::shut_down;
    }
    if (server != nullptr) return server->stop();
    try {
        link->request("shutdown");
    } catch (const std::exception&) {
        if (process == nullptr) throw;
        // It has ended already, or is ended now.
    }
    link->note_shutdown();
    if (process != nullptr) end_process(*process);
}

inline void BaseManager::end_process(ForkProcess& process) {
    const Timeout patience = shared_->options.shutdown_timeout;
    if (!process.join(patience)) process.terminate();
    if (!process.join(patience)) process.kill();
    process.join();
    // One that was killed has left its socket.
    if (process.exitcode() != 0) remove_socket();
}

inline void BaseManager::remove_socket() const noexcept {
    const connection::Address& address = shared_->address;
    if (address.is_tcp() || address.is_abstract()) return;
    (void)::unlink(address.path().c_str());
    if (!shared_->has_fresh_socket) return;
    const std::size_t slash = address.path().rfind('/');
    (void)::rmdir(address.path().substr(0, slash).c_str());
}

inline bool BaseManager::join(Timeout timeout) {
    std::shared_ptr<ForkProcess> process;
    {
        const std::scoped_lock lock(shared_->mutex);
        process = shared_->process;
    }
    return process == nullptr || process->join(timeout);
}

inline connection::Address BaseManager::address() const {
    const std::scoped_lock lock(shared_->mutex);
    return shared_->address;
}

inline void BaseManager::connect() {
    const std::scoped_lock lock(shared_->mutex);
    if (shared_->state == State::started) throw ProcessError("Already started server");
    auto link = std::make_shared<detail::ManagerLink>(shared_->address, shared_->options.authkey);
    link->request("dummy");
    shared_->link = std::move(link);
    shared_->state = State::started;
}

inline detail::ManagerLink& BaseManager::link() const {
    const std::scoped_lock lock(shared_->mutex);
    if (shared_->state == State::initial) {
        throw AssertionError("server not yet started: call start() or connect() first");
    }
    if (shared_->state == State::shut_down) throw ProcessError("Manager has shut down");
    return *shared_->link;
}

inline RemoteProxy BaseManager::made(const std::string& name, const pickle::object& created) const {
    auto [id, methods] = created.get<std::pair<std::string, std::vector<std::string>>>();
    const auto link = this->link().shared_from_this();
    return RemoteProxy(detail::ObjectReference::adopt(link, {name, link->address(), std::move(id)},
                                                      std::move(methods)));
}

inline std::size_t BaseManager::number_of_objects() const {
    return link().request("number_of_objects").get<std::size_t>();
}

inline std::string BaseManager::debug_info() const {
    return link().request("debug_info").get<std::string>();
}

inline std::string text_of(const BaseManager& manager) {
    return "<BaseManager at " + text_of(manager.address()) + ">";
}

}  // namespace multiprocessing
