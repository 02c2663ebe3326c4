// multiprocessing/mpi/engine.hpp
//
// What runs the calls of a pool of nodes: the nodes (crew.hpp), or where there is one rank only a
// pool of its own. Floor 9. Start at NodeEngine. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "multiprocessing/mpi/gathered_logs.hpp"
#include "multiprocessing/mpi/hosted_pool.hpp"
#include "multiprocessing/mpi/options.hpp"
#include "multiprocessing/mpi/parts.hpp"
#include "multiprocessing/pool/calls/call_home.hpp"
#include "multiprocessing/pool/owner/pending_batch.hpp"

namespace multiprocessing::detail {

/// Takes the calls of a pool. All that it is asked for is as of Supervisor.
class NodeEngine : public CallHome {
  public:
    NodeEngine() = default;
    NodeEngine(const NodeEngine&) = delete;
    NodeEngine& operator=(const NodeEngine&) = delete;
    virtual ~NodeEngine() = default;

    virtual std::shared_ptr<PendingBatch> submit(BatchOwner batch, const PlainSizes& sizes,
                                                 const SubmitOptions& how) = 0;
    virtual void forget(const std::shared_ptr<PendingBatch>& call) = 0;
    virtual void check_running() const = 0;
    virtual void add_stream(const std::shared_ptr<StreamFeed>& feed) = 0;
    virtual void close() = 0;
    virtual void terminate() = 0;
    virtual void join() = 0;
    /// Ends the pool at the end of its scope.
    virtual void end() = 0;
    /// Lets the pool finish what there is, and ends it.
    virtual void finish() = 0;
    virtual void cancel_untaken() = 0;
    virtual void resize(std::uint32_t workers) = 0;
    /// Returns what the workers have written down. @param which whether with the single chunks
    virtual GatheredLogs gather(WhichRecords which) = 0;

    [[nodiscard]] virtual std::uint32_t worker_count() const noexcept = 0;
    [[nodiscard]] virtual const char* state_name() const noexcept = 0;
    [[nodiscard]] virtual std::vector<mpi::Node> nodes() const = 0;
};

/// The engine of a program of one rank.
class LocalEngine final : public NodeEngine {
  public:
    LocalEngine(const mpi::PoolOptions& options, std::span<const std::byte> initializer,
                AtExit at_exit)
        : pool_(options, initializer, at_exit), supervisor_(pool_.supervisor()) {}

    std::shared_ptr<PendingBatch> submit(BatchOwner batch, const PlainSizes&,
                                         const SubmitOptions& how) override {
        // A handle could travel here, but a program that runs on one rank is to run on more, too.
        refuse_handles(*batch);
        return supervisor_->submit(std::move(batch), how);
    }
    void forget(const std::shared_ptr<PendingBatch>& call) override { supervisor_->forget(call); }
    void check_running() const override { supervisor_->check_running(); }
    void add_stream(const std::shared_ptr<StreamFeed>& feed) override {
        supervisor_->add_stream(feed);
    }
    void close() override { supervisor_->close(); }
    void terminate() override { supervisor_->terminate_and_wait(); }
    void join() override { supervisor_->join(); }
    void end() override { supervisor_->end(); }
    void finish() override { supervisor_->finish(); }
    void cancel_untaken() override { supervisor_->cancel_untaken(); }
    void resize(std::uint32_t workers) override { supervisor_->resize(workers); }
    GatheredLogs gather(WhichRecords which) override {
        OutputArchive archive;
        if (which == WhichRecords::latest) supervisor_->wait_for_records();
        write_logs(archive, *supervisor_, which);
        return GatheredLogs(
            supervisor_->history().of_calls(),
            {{0, own_host_name(), 0, {archive.view().begin(), archive.view().end()}}});
    }

    [[nodiscard]] std::uint32_t worker_count() const noexcept override {
        return supervisor_->worker_count();
    }
    [[nodiscard]] const char* state_name() const noexcept override {
        return supervisor_->state_name();
    }
    [[nodiscard]] Courier& courier() noexcept override { return supervisor_->courier(); }
    [[nodiscard]] Arrivals arrivals() const noexcept override { return supervisor_->arrivals(); }
    [[nodiscard]] std::uint32_t withdrawals() const noexcept override {
        return supervisor_->withdrawals();
    }
    [[nodiscard]] std::vector<mpi::Node> nodes() const override {
        return {{0, own_host_name(), static_cast<int>(worker_count()), false}};
    }

  private:
    HostedPool pool_;
    std::shared_ptr<Supervisor> supervisor_;
};

}  // namespace multiprocessing::detail
