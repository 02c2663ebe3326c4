// multiprocessing/pool/owner/door.hpp
//
// PoolOptions::max_pending: how many calls may wait for a worker to begin them. The thread that
// makes one more waits at the door. Floor 5. Start at Door::has_place. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/pool/board/policy.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// The door of a pool. The caller holds a lock, the same one each time.
class Door {
  public:
    /// @param most calls that may wait; 0: any number
    explicit Door(std::size_t most) : most_(most) {}

    [[nodiscard]] bool is_set() const noexcept { return most_ != 0; }

    /// Notes a call that has come in. @throws std::bad_alloc
    void add(const std::shared_ptr<PendingBatch>& call) { waiting_.push_back(call); }

    /// Returns whether one more may come in.
    [[nodiscard]] bool has_place() noexcept;

    /// Waits a little, or until a worker has begun a call, unless one may come in.
    /// @param lock the caller's; it is not held while this waits
    /// @throws Full when the deadline has passed before
    [[gnu::cold]] void wait(TaskPolicy& policy, std::unique_lock<LocalMutex>& lock,
                            const Deadline& deadline);

  private:
    const std::size_t most_;
    std::list<std::shared_ptr<PendingBatch>> waiting_;  // and some that were begun meanwhile
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/door.ipp"
#endif
