// multiprocessing/pool/worker/worker.hpp
//
// The life of a pool's worker: it takes a chunk, runs it, and takes the next; it sleeps when there
// is none. Mirrors CPython Lib/multiprocessing/pool.py, worker. Floor 5. Start at WorkerLoop::run
// in worker.ipp. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing::detail {

/// What a worker is told when it starts.
struct WorkerOrders {
    Offset board;
    std::uint32_t slot;
    std::uint32_t ticket;       // no other worker of the pool has it or has had it
    std::uint64_t signal_mask;  // of the thread that made the pool
};

/// What a worker process runs: first the initializer, which is any target, then the loop.
class WorkerTarget final : public Target {
  public:
    WorkerTarget(const WorkerOrders& orders, std::shared_ptr<Target> initializer)
        : orders_(orders), initializer_(std::move(initializer)) {}

    void run() override;

    void save(OutputArchive& archive) const override;

  private:
    static void receive(InputArchive& archive);

    WorkerOrders orders_;
    std::shared_ptr<Target> initializer_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/worker/worker.ipp"
#endif
