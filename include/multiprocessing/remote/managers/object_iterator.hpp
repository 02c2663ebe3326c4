// multiprocessing/remote/managers/object_iterator.hpp
//
// An iterator over values that lies in a manager's server. Mirrors what IteratorProxy of CPython
// Lib/multiprocessing/managers.py is a proxy of. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/remote/managers/errors.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

/// Gives one value after the other.
class ObjectIterator {
  public:
    explicit ObjectIterator(std::vector<pickle::object> items) : items_(std::move(items)) {}

    /// @throws RemoteError StopIteration at the end
    pickle::object next() {
        const std::scoped_lock lock(mutex_);
        if (next_ == items_.size()) throw_python_error("StopIteration", "");
        return items_[next_++];
    }
    /// Goes to the end.
    void close() {
        const std::scoped_lock lock(mutex_);
        next_ = items_.size();
    }

  private:
    std::mutex mutex_;
    std::vector<pickle::object> items_;
    std::size_t next_ = 0;
};

}  // namespace multiprocessing::detail
