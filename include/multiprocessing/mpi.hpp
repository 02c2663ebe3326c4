// multiprocessing/mpi.hpp
//
// Past one machine: the calls of Pool on the nodes of an MPI program. It needs an MPI library (the
// CMake target multiprocessing::mpi, or mpicxx), is no part of multiprocessing.hpp, and header-only
// also where the library is compiled once. Floor 9. Start at mpi::serve and mpi::Pool.
//
// One rank runs on each node. Rank 0 is the program: it makes the calls, and runs no tasks. Each
// other rank is a node: it has a local pool of processes, and runs no tasks itself, so a task that
// crashes costs itself and never a rank.
//
// A pool of nodes is PoolInterface over a third backend, beside processes and threads. As in a pool
// of processes a call becomes a batch in the heap of rank 0. But no worker takes its chunks: the
// crew sends runs of chunks to nodes, as bytes whose types it does not know. A node makes a batch
// of them in its own heap, gives that to its local pool, and sends back what the workers have
// written. Rank 0 puts it into the chunks of the call's batch. From there on everything is as in
// Pool: waiting, errors, streams, callbacks.
//
// The files of mpi/, each of which uses only those before it:
//
//   node_lost.hpp     NodeLost: the error of a task whose node is gone.
//   options.hpp       how a pool is set up, and what it tells of its nodes.
//   library.hpp       the MPI library's header.
//   mailbox.hpp       letters between ranks: all calls of MPI that send or receive.
//   parts.hpp         a part of a batch as bytes, and its results.
//   gathered_logs.hpp what the workers of all nodes have written down.
//   hosted_pool.hpp   the pool of processes on a node.
//   engine.hpp        what runs the calls of a pool; where there is one rank, a local pool does.
//   log_questions.hpp what the nodes were asked of their logs, and their answers.
//   desk.hpp          what the threads of rank 0 share.
//   crew.hpp          the nodes and the calls of one pool: which node gets what, and losses.
//   master.hpp        the thread of rank 0 that talks with the nodes.
//   node.hpp          the loop of a node.
//   world.hpp         serve: how ranks begin and end.
//   backend.hpp       the checks at compile time, and the way from a typed call to an engine.
//   pool.hpp          Pool.
//   executor.hpp      PoolExecutor.
//
// To follow a call, read from NodeBackend::submit down:
//
//   NodeCrew::submit        crew.hpp       lists the call
//   NodeCrew::hand_out      crew.hpp       chooses a node and a run of chunks
//   write_part              parts.hpp      makes bytes of it
//   NodeLoop::take_part     node.hpp       makes a batch of the bytes, for the local pool
//   NodeLoop::tell_results  node.hpp       sends the chunks that are finished
//   NodeCrew::take_results  crew.hpp       puts them into the call's batch
//
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/backend.hpp"
#include "multiprocessing/mpi/crew.hpp"
#include "multiprocessing/mpi/executor.hpp"
#include "multiprocessing/mpi/node_lost.hpp"
#include "multiprocessing/mpi/options.hpp"
#include "multiprocessing/mpi/pool.hpp"
#include "multiprocessing/mpi/world.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
