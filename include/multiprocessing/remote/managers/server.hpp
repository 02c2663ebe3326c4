// multiprocessing/remote/managers/server.hpp
//
// The server of a manager: it holds the objects, and answers requests of clients in Python or in
// C++. Mirrors CPython Lib/multiprocessing/managers.py, Server. Floor 9. Start at
// ManagerServer::serve. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/connection/listener.hpp"
#include "multiprocessing/remote/managers/caller.hpp"
#include "multiprocessing/remote/managers/clients.hpp"
#include "multiprocessing/remote/managers/kept_objects.hpp"
#include "multiprocessing/remote/managers/lock_ledger.hpp"
#include "multiprocessing/remote/managers/message_stream.hpp"
#include "multiprocessing/remote/managers/objects.hpp"
#include "multiprocessing/remote/managers/registry.hpp"
#include "multiprocessing/remote/managers/request.hpp"

namespace multiprocessing::detail {

/// Serves the objects of a manager. Each connection has a thread of its own.
///
/// A connection begins with a request for the server itself, as `create`. It ends with the reply,
/// but for `accept_connection`: then it goes on with requests for objects.
class ManagerServer : public std::enable_shared_from_this<ManagerServer> {
  public:
    /// @throws std::system_error EADDRINUSE and others of bind(2)
    ManagerServer(ManagerRegistry registry, const connection::Address& address,
                  const std::string& authkey);

    [[nodiscard]] const connection::Address& address() const noexcept { return address_; }

    /// Serves until stop() is called or a client asks for it. Then all connections are closed, and
    /// methods that wait for something end. A method that goes on all the same is left behind.
    void serve();

    /// Has serve() return. Any thread may call it.
    void stop() noexcept;

  private:
    /// A reply, and what to do when it cannot be sent.
    struct Reply {
        std::string message;
        std::function<void()> undo{};
    };

    void wait_for_work();
    void accept_all();
    void drop_ended_clients();
    void start_thread_for(Connection connection);
    void close_connections() noexcept;

    void handle(MessageStream& connection);
    void serve_client(MessageStream& connection, const ClientPointer& client, Caller& caller);
    static void send(MessageStream& connection, Reply reply);

    Reply answer_first(const Request& request, const ClientPointer& client);
    pickle::object run_function(const Request& request, const ClientPointer& client);
    pickle::object create(CallArguments arguments, const ClientPointer& client);
    Reply answer(std::string message, const ClientPointer& client);
    Reply answer_for_object(const Request& request, const ClientPointer& client);
    Reply call(Servant& servant, const Method& method, const Request& request,
               const ClientPointer& client);

    const ManagerRegistry registry_;
    connection::Listener listener_;
    const connection::Address address_;
    const std::shared_ptr<ObjectTable> objects_ = std::make_shared<ObjectTable>();
    LockLedger locks_;
    ClientWatch clients_;
    Descriptor wake_;  // an eventfd: stop writes to it
    std::atomic<bool> stopping_{false};

    std::mutex mutex_;    // guards what follows
    std::set<int> open_;  // the descriptors of the connections
    std::condition_variable closed_;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/server.ipp"
