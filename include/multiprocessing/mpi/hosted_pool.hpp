// multiprocessing/mpi/hosted_pool.hpp
//
// The pool of processes that a node runs its parts in; in a program of one rank, the whole pool.
// Its workers come from the fork server, which was started before MPI was: a fork of a process that
// uses InfiniBand may corrupt its memory. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/mpi/options.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/start_method/forkserver.hpp"

namespace multiprocessing::detail {

/// Which rank of how many this process is, or works for.
struct RankOf {
    int rank = -1;  // below 0: serve was not called
    int size = 0;
};

/// Returns what mpi::rank and mpi::size tell.
inline RankOf& rank_of_this_process() noexcept {
    static constinit RankOf known;
    return known;
}

/// A worker's first call: it notes the rank that it works for, and makes the call of the pool's
/// initializer, which has come as bytes.
class NodeInitializer final : public Target {
  public:
    /// @param initializer what Target::save has written; empty: none
    NodeInitializer(const RankOf& rank, std::span<const std::byte> initializer)
        : rank_(rank), initializer_(initializer.begin(), initializer.end()) {}

    void run() override { call(rank_, initializer_); }

    void save(OutputArchive& archive) const override {
        archive(TargetReceiver{receive});
        archive(rank_.rank, rank_.size);
        archive.write_size(initializer_.size());
        archive.write(initializer_.data(), initializer_.size());
    }

  private:
    static void receive(InputArchive& archive) {
        RankOf rank;
        archive(rank.rank, rank.size);
        const std::size_t size = archive.read_size();
        call(rank, {archive.take(size), size});
    }
    static void call(const RankOf& rank, std::span<const std::byte> initializer) {
        rank_of_this_process() = rank;
        if (initializer.empty()) return;
        InputArchive archive(initializer);
        run_received_target(archive);
    }

    RankOf rank_;
    std::vector<std::byte> initializer_;
};

/// Writes what options say of the pools on the nodes.
void save_options(OutputArchive& archive, const mpi::PoolOptions& options);
/// Reads what save_options has written.
[[nodiscard]] mpi::PoolOptions load_options(InputArchive& archive);

/// What becomes of a pool's work when the program ends.
enum class AtExit { drops, finishes };

/// A pool whose supervisor is for the library to use.
class HostedPool final : public BasicPool<start_method::forkserver> {
  public:
    /// @throws what a Pool's constructor throws
    HostedPool(const mpi::PoolOptions& options, std::span<const std::byte> initializer,
               AtExit at_exit = AtExit::drops)
        : BasicPool(Unopened{}) {
        PoolOptions own = local_options(
            options, options.processes != 0 ? options.processes : process_cpu_count());
        own.stdout_file = name_on_node(own.stdout_file);
        own.stderr_file = name_on_node(own.stderr_file);
        auto first = std::make_shared<NodeInitializer>(rank_of_this_process(), initializer);
        if (at_exit == AtExit::finishes) {
            open<true>(own, std::move(first));
        } else {
            open<false>(own, std::move(first));
        }
    }

    [[nodiscard]] const std::shared_ptr<Supervisor>& supervisor() const noexcept {
        return backend_.supervisor();
    }

  private:
    /// Returns a file's name with this node's rank and host in it.
    [[nodiscard]] static std::string name_on_node(std::string name);
};

/// Returns the name of this machine.
std::string own_host_name();

/// From now on the log's records and lines, and the names of its files, tell this process's rank
/// and host, and those of its workers too.
void tell_rank_in_log();

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/hosted_pool.ipp"
