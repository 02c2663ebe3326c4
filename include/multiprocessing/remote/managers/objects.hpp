// multiprocessing/remote/managers/objects.hpp
//
// The objects of a manager's server: their ids, how many references clients have to each, and which
// client has them. Mirrors id_to_obj and id_to_refcount of CPython Lib/multiprocessing/managers.py,
// Server. Floor 9. Start at ObjectTable. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/remote/managers/servant.hpp"

namespace multiprocessing::detail {

/// A process that uses the server. The server watches it by `pidfd`.
struct ManagerClient {
    std::uint64_t number = 0;
    pid_t pid = 0;
    Descriptor pidfd{};
    bool gone = false;  // guarded by the ObjectTable: nothing is counted for it any more
};
/// Null for a client whose process is not known: one on another machine.
using ClientPointer = std::shared_ptr<ManagerClient>;

/// The objects that clients have references to. Any number of threads may use it.
///
/// CPython's protocol counts references by `create`, `incref` and `decref`, each of which comes
/// over a connection that is closed at once. So a connection does not tell that its client has
/// died. A process does: each reference is noted for the process that took it, and what a process
/// still has when it ends is given back then. A `decref` first gives back one that the same process
/// has taken, and otherwise one of any other: what counts for an object's life is the sum, as in
/// CPython.
class ObjectTable {
  public:
    /// Adds an object with one reference, or a reference to it when it is there already.
    /// @returns its id, which no other object will have
    std::string add(const std::shared_ptr<Servant>& servant, const ClientPointer& client);

    /// Returns an object. @throws KeyError
    [[nodiscard]] std::shared_ptr<Servant> find(const std::string& id) const;

    /// Counts a reference. @throws KeyError
    void incref(const std::string& id, const ClientPointer& client);
    /// Gives a reference back. The last one ends the object. @throws KeyError
    void decref(const std::string& id, const ClientPointer& client);

    /// Counts a reference that a value in the server has. @returns whether the object is there
    [[nodiscard]] bool keep(const std::string& id);
    /// Gives back a reference that keep has counted.
    void release(const std::string& id);

    /// Gives back what a client has: its process has ended.
    void drop(const ClientPointer& client);

    /// Ends all objects, when the server ends.
    void clear();

    /// Returns how many objects there are.
    [[nodiscard]] std::size_t size() const;
    /// Returns a line or two on each object, as CPython's debug_info does.
    [[nodiscard]] std::string debug_info() const;

  private:
    struct Entry {
        std::shared_ptr<Servant> servant;
        long references = 0;
        std::map<ClientPointer, long> by_client{};
    };
    using Entries = std::map<std::string, Entry>;
    /// An object and the name of its class: one may lie at the beginning of another.
    using Identity = std::pair<const void*, std::string>;

    static Identity identity_of(const Servant& servant);
    static void count(Entry& entry, const ClientPointer& client);
    [[nodiscard]] Entries::iterator entry_of(const std::string& id);
    /// Takes an object out that nobody refers to. @returns it, to be destroyed without the lock
    std::shared_ptr<Servant> take_out(Entries::iterator entry);

    mutable std::mutex mutex_;
    Entries entries_;
    std::map<Identity, std::string> ids_;
    std::uint64_t latest_id_ = 0;
    const ClientPointer server_ = std::make_shared<ManagerClient>();  // it holds what keep counts
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/objects.ipp"
