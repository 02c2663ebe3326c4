// multiprocessing/remote/managers/base_manager.hpp
//
// BaseManager: objects that live in a server, which programs in Python and in C++ use over a
// socket. Mirrors CPython Lib/multiprocessing/managers.py, BaseManager. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/process.hpp"
#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/managers/manager_link.hpp"
#include "multiprocessing/remote/managers/proxy.hpp"
#include "multiprocessing/remote/managers/registry.hpp"
#include "multiprocessing/remote/managers/server.hpp"

namespace multiprocessing {

/// What a BaseManager may be told.
struct BaseManagerOptions {
    /// The key that clients and the server must both hold.
    std::string authkey = current_process().authkey();
    /// How long shutdown waits for the server's process before it terminates it.
    Timeout shutdown_timeout = 1;
};

/// Objects that live in a server, and are used over a socket. One program runs the server, any
/// number of others are its clients; each may be in Python or in C++.
///
///     mp::BaseManager manager({"", 50000}, {.authkey = "secret"});
///     manager.register_function("get_queue", [queue] { return queue; });   // an mp::Queue<int>
///     manager.serve_forever();
///
///     mp::BaseManager manager({"host", 50000}, {.authkey = "secret"});     // in another program
///     manager.connect();
///     auto queue = manager.get<mp::RemoteQueue<int>>("get_queue");
///
/// Nothing is encrypted, see Listener.
///
/// @par Processes Objects live as long as clients have references to them. The server counts them
/// as CPython's does, by `incref` and `decref`, and notes for each which process it came from; so
/// what a process has left when it ends, by a kill for example, is given back then. That needs
/// clients on the same machine. Of a process on another machine the server sees no more than
/// CPython's does: what such a process leaves when it is killed stays.
/// @par Threads The server has a thread for each connection, and clients have a connection for each
/// thread that calls methods.
/// @par Source CPython Lib/multiprocessing/managers.py, BaseManager
class BaseManager {
  public:
    /// Makes a manager; it is neither a server nor a client yet.
    /// @param address where the server is, or is to be; {}: a fresh Unix socket
    explicit BaseManager(connection::Address address = {}, BaseManagerOptions options = {});
    /// Takes the other's server over.
    BaseManager(BaseManager&&) noexcept = default;
    /// Shuts its own server down, if it has started one, and takes the other's over.
    BaseManager& operator=(BaseManager&& other) noexcept;
    /// Shuts the server down that start() has started.
    ~BaseManager();

    // --- what the server has ---

    /// Registers a function that gives clients an object: they call it by this name.
    ///
    /// What it returns by reference, or as a std::shared_ptr, is the object; a handle (Queue, Lock,
    /// DictProxy and so on) is the object that it is a handle on; another value is a new object
    /// each time. Handles have the methods that Python knows of their kind. Of anything else
    /// clients can have a copy, if it can travel.
    /// @param f       any callable with one signature; clients give its arguments
    /// @throws AssertionError after start
    template <class F>
    void register_function(const std::string& name, F f) {
        using T = decltype(detail::shared_type_of<F>(detail::parameter_list_t<F>{}));
        add(detail::maker_of_function(name, std::move(f), detail::exposed_table<T>()));
    }
    /// Does the same, and says which methods clients may call.
    template <class F, class T = decltype(detail::shared_type_of<F>(detail::parameter_list_t<F>{}))>
    void register_function(const std::string& name, F f,
                           const std::vector<std::type_identity_t<NamedMethod<T>>>& methods,
                           RegisterOptions options = {}) {
        add(detail::maker_of_function(name, std::move(f),
                                      detail::make_table<T>(methods, options.concurrent)));
    }

    /// Registers a type of which clients can create objects. When a client goes away while a method
    /// of the library's own types waits for it, the wait ends, and what it has taken is given back;
    /// a method of a program's type goes on.
    ///
    ///     manager.register_type<Adder>("Adder", {{"add", &Adder::add}});
    ///
    /// @tparam Args the types of the constructor's arguments; none: those of the constructor that
    ///         takes as many as a client gives
    /// @param methods what clients may call, by name; of a class of the library's it may be left
    /// out
    /// @throws AssertionError after start
    template <class T, class... Args>
    void register_type(const std::string& name,
                       const std::vector<std::type_identity_t<NamedMethod<T>>>& methods = {},
                       RegisterOptions options = {}) {
        add(detail::maker_of_type<T, Args...>(name, methods, options));
    }

    // --- a server ---

    /// Starts the server in a process of its own, which ends with this one. The process is forked
    /// under every start method: what was registered is there by inheritance.
    /// @throws ProcessError when this manager was started, is connected, or was shut down
    /// @throws std::system_error EADDRINUSE and others of bind(2); EAGAIN, ENOMEM, EMFILE
    /// @throws AssertionError in a daemon
    void start() {
        start_server([] {});
    }
    /// Does the same, and calls `initializer(args...)` in the new process first.
    /// @throws also what the initializer throws
    template <class F, class... Args>
    void start(F initializer, Args... args) {
        start_server([&] { std::invoke(initializer, args...); });
    }

    /// Serves in this thread.
    ///
    /// **Blocking**: until shutdown is called in another thread, or by a client.
    /// @throws as start
    void serve_forever();

    /// Ends the server: the one that this manager has started or runs, or is connected to. A second
    /// call does nothing.
    void shutdown();

    /// Waits until the server's process has ended. @returns whether it has
    bool join(Timeout timeout = std::nullopt);

    /// Returns where the server is; of one that serves, with the port that the system has chosen.
    [[nodiscard]] connection::Address address() const;

    // --- a client ---

    /// Connects to a server that runs.
    /// @throws AuthenticationError when it holds another key
    /// @throws std::system_error ECONNREFUSED, ENOENT when there is none
    void connect();

    /// Has the server make an object, or give one: calls what was registered by that name.
    /// @throws RemoteError KeyError when the name is not registered; else what the call throws
    /// @throws AssertionError before start or connect
    template <class... Args>
    RemoteProxy create(const std::string& name, const Args&... args) const {
        return made(name, link().request("create", name, args...));
    }
    /// Does the same, and returns a proxy of the type that is asked for.
    template <class Proxy = RemoteProxy, class... Args>
    Proxy get(const std::string& name, const Args&... args) const {
        static_assert(
            std::is_base_of_v<RemoteProxy, Proxy>,
            "multiprocessing: get<Proxy>() gives proxies: RemoteQueue<int>, RemoteDict<K, "
            "V>, RemoteProxy and the like");
        return Proxy(create(name, args...));
    }

    /// Returns how many objects clients have references to.
    [[nodiscard]] std::size_t number_of_objects() const;
    /// Returns a text that lists them.
    [[nodiscard]] std::string debug_info() const;

    friend std::string text_of(const BaseManager& manager);

  private:
    enum class State { initial, started, shut_down };
    /// What all threads know of the manager. It does not move.
    struct Shared;

    void add(detail::Method maker);
    void check_initial() const;
    void start_server(const std::function<void()>& initialize);
    [[nodiscard]] detail::ManagerLink& link() const;
    [[nodiscard]] RemoteProxy made(const std::string& name, const pickle::object& created) const;
    void end_process(ForkProcess& process);
    [[nodiscard]] bool is_own() const noexcept;
    void remove_socket() const noexcept;

    std::shared_ptr<Shared> shared_;
};

}  // namespace multiprocessing

#include "multiprocessing/remote/managers/base_manager.ipp"
