// multiprocessing/remote/managers/sync_manager.hpp
//
// SyncManager: a BaseManager whose server can make what Python's Manager() makes, under the same
// names. Mirrors CPython Lib/multiprocessing/managers.py, SyncManager. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "multiprocessing/remote/managers/base_manager.hpp"
#include "multiprocessing/remote/managers/exposed.hpp"
#include "multiprocessing/remote/managers/object_containers.hpp"
#include "multiprocessing/remote/managers/object_queue.hpp"
#include "multiprocessing/synchronize.hpp"

namespace multiprocessing {

/// A manager that has Queue, JoinableQueue, Event, Lock, RLock, Semaphore, BoundedSemaphore,
/// Condition, Barrier, list, dict, Value, Array and Namespace. So a SyncManager of Python's can be
/// its client, and the other way round. Containers take values of all types that travel.
///
///     mp::SyncManager manager("/tmp/solver", {.authkey = "secret"});
///     manager.start();                            // Python: SyncManager("/tmp/solver", b"secret")
///     auto list = manager.get<mp::RemoteList<int>>("list", std::vector{1, 2});
///
/// For processes of one family Manager is the better one: there each call is a hundred times
/// faster.
/// @par Source CPython Lib/multiprocessing/managers.py, SyncManager
class SyncManager : public BaseManager {
  public:
    /// As BaseManager. (A template, so that only programs that use it compile all these types.)
    template <class Self = SyncManager>
    explicit SyncManager(connection::Address address = {}, BaseManagerOptions options = {})
        : BaseManager(std::move(address), std::move(options)) {
        register_types<Self>();
    }

  private:
    template <class Self>
    void register_types();
};

}  // namespace multiprocessing

#include "multiprocessing/remote/managers/sync_manager.ipp"
