// multiprocessing/remote/managers/kept_objects.hpp
//
// The objects of a server that values in it refer to. When a client puts a proxy into a dict, list
// or queue of the server, the object lives as long as the value there. Mirrors
// id_to_local_proxy_obj of CPython Lib/multiprocessing/managers.py, Server. Floor 9. Start at
// keep_objects.
//
// Differs: CPython keeps such an object until the server ends.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/managers/objects.hpp"
#include "multiprocessing/remote/managers/token.hpp"
#include "multiprocessing/remote/pickle/reader.hpp"

namespace multiprocessing::detail {

/// References to objects of a server, which are given back at its end.
class KeptObjects {
  public:
    /// @param ids of objects for which ObjectTable::keep was called
    KeptObjects(const std::shared_ptr<ObjectTable>& table, std::vector<std::string> ids)
        : table_(table), ids_(std::move(ids)) {}
    KeptObjects(const KeptObjects&) = delete;
    KeptObjects& operator=(const KeptObjects&) = delete;
    ~KeptObjects();

  private:
    using Releases = std::vector<std::pair<std::shared_ptr<ObjectTable>, std::string>>;

    // What this thread is to give back. A list that held a list that held a list … gives back one
    // after the other: no stack is deep enough for one within the other.
    static inline constinit thread_local Releases* releases_ = nullptr;

    std::weak_ptr<ObjectTable> table_;  // the objects in the table hold these
    std::vector<std::string> ids_;
};

/// Has the objects whose proxies are in a message live as long as its values.
/// @param address where the server is reached, as proxies say it
void keep_objects(const std::shared_ptr<pickles::OwnedTree>& message,
                  const std::shared_ptr<ObjectTable>& table, const connection::Address& address);

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/kept_objects.ipp"
