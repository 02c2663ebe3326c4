// multiprocessing/mpi/world.ipp
//
// How ranks begin and end: see world.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/world.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/mpi/node_lost.hpp"
#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

/// What serve has made. It is never destroyed: it ends with the program.
struct World {
    const std::uint32_t owner_depth = fork_depth();
    bool started_mpi = false;
    MPI_Comm communicator = MPI_COMM_NULL;
    std::shared_ptr<Master> master;
};
inline World*& world() noexcept {
    static constinit World* made = nullptr;
    return made;
}

/// A first child of the fork server: so that there is one.
inline void do_nothing() {}
inline void start_fork_server() {
    BasicProcess<start_method::forkserver> first(do_nothing);
    first.start();
    first.join();
}

/// @throws RuntimeError where MPI may be used by its first thread only
inline void start_mpi(World& made) {
    int is_started = 0;
    int granted = 0;
    MPI_Initialized(&is_started);
    if (is_started == 0) {
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &granted);
        made.started_mpi = true;
    } else {
        MPI_Query_thread(&granted);
    }
    if (granted < MPI_THREAD_SERIALIZED) {
        throw RuntimeError(
            "this MPI cannot be used by another thread than the one that has started it: start it "
            "with MPI_Init_thread and MPI_THREAD_MULTIPLE, or let serve() start it");
    }
    // Of our own, so that letters and the program's messages do not mix.
    MPI_Comm_dup(MPI_COMM_WORLD, &made.communicator);
}

/// The end of rank 0, when the program exits.
inline void end_of_rank_0() noexcept {
    World& made = *world();
    if (made.owner_depth != fork_depth()) return;  // a forked child that calls exit
    try {
        const bool all_are_there = made.master == nullptr || made.master->finish();
        if (all_are_there && made.started_mpi) MPI_Finalize();
    } catch (...) {
        report_error("the nodes could not be ended", describe_exception(std::current_exception()));
    }
}

/// All ranks learn where rank 0 runs. @param rank_zero there: what it tells; elsewhere: its place
inline void share_rank_zero(const World& made, RankZero& rank_zero) {
    MPI_Bcast(&rank_zero, sizeof rank_zero, MPI_BYTE, 0, made.communicator);
}

/// The whole life of a rank other than 0.
[[noreturn]] inline void be_a_node(const World& made) {
    NodeEnd end = NodeEnd::abandoned;
    try {
        RankZero rank_zero;
        share_rank_zero(made, rank_zero);
        end = NodeLoop(made.communicator, rank_of_this_process(), rank_zero).run();
    } catch (...) {
        const std::string text = joined(
            {"multiprocessing: the node of rank ", rank_of_this_process().rank, " on ",
             own_host_name(), " ends: ", describe_exception(std::current_exception()), "\n"});
        std::fputs(text.c_str(), stderr);
    }
    if (end == NodeEnd::finished && made.started_mpi) MPI_Finalize();
    std::exit(end == NodeEnd::abandoned ? EXIT_FAILURE : EXIT_SUCCESS);
}

inline std::shared_ptr<Master> served_master() {
    if (world() == nullptr || world()->owner_depth != fork_depth()) {
        throw RuntimeError(
            "multiprocessing::mpi::serve() was not called in this process: call it in main, right "
            "after freeze_support()");
    }
    return world()->master;
}

}  // namespace multiprocessing::detail

namespace multiprocessing::mpi {

inline void serve() {
    if (detail::world() != nullptr) throw RuntimeError("serve() was called before");
    detail::register_node_lost();
    detail::start_fork_server();
    auto* const made = new detail::World;
    detail::start_mpi(*made);
    detail::world() = made;
    detail::RankOf& known = detail::rank_of_this_process();
    MPI_Comm_rank(made->communicator, &known.rank);
    MPI_Comm_size(made->communicator, &known.size);
    detail::tell_rank_in_log();
    if (known.rank != 0) detail::be_a_node(*made);
    detail::RankZero here = detail::rank_zero_here();
    detail::share_rank_zero(*made, here);
    std::atexit(detail::end_of_rank_0);
    if (known.size == 1) return;
    made->master = std::make_shared<detail::Master>(made->communicator, known.size);
    made->master->start();
}

inline int rank() {
    if (detail::rank_of_this_process().rank < 0) (void)detail::served_master();
    return detail::rank_of_this_process().rank;
}

inline int size() {
    if (detail::rank_of_this_process().rank < 0) (void)detail::served_master();
    return detail::rank_of_this_process().size;
}

}  // namespace multiprocessing::mpi
