// tests/mpi/simulation/mpi.h
//
// In place of an MPI library: what mpi/mailbox.ipp calls, over a network that is simulated. Only
// the master's side is there. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

namespace simulation {

/// What the master has sent, or what has come for it.
struct Message {
    int peer;
    int tag;
    std::vector<std::byte> bytes;
};

/// The network as the master sees it.
class Network {
  public:
    virtual ~Network() = default;
    virtual void take(Message message) = 0;
    /// Returns the next message that has come with a tag, from a peer or, where that is below 0,
    /// any; null: none.
    virtual Message* next(int peer, int tag) = 0;
    virtual void drop(Message* message) = 0;
};
inline Network*& network() noexcept {
    static Network* current = nullptr;
    return current;
}

}  // namespace simulation

using MPI_Comm = int;
using MPI_Datatype = int;
using MPI_Errhandler = int;
using MPI_Request = int;
using MPI_Message = simulation::Message*;
struct MPI_Status {
    int MPI_SOURCE;
    int size;
};

// NOLINTBEGIN: the names are the standard's
constexpr int MPI_SUCCESS = 0;
constexpr MPI_Datatype MPI_BYTE = 0;
constexpr MPI_Errhandler MPI_ERRORS_RETURN = 0;
constexpr MPI_Request MPI_REQUEST_NULL = 0;
constexpr int MPI_ANY_SOURCE = -1;
constexpr MPI_Message MPI_MESSAGE_NULL = nullptr;
constexpr MPI_Status* MPI_STATUS_IGNORE = nullptr;
constexpr MPI_Status* MPI_STATUSES_IGNORE = nullptr;

inline int MPI_Comm_set_errhandler(MPI_Comm, MPI_Errhandler) { return MPI_SUCCESS; }

inline int MPI_Isend(const void* bytes, int size, MPI_Datatype, int to, int tag, MPI_Comm,
                     MPI_Request*) {
    const auto* const begin = static_cast<const std::byte*>(bytes);
    simulation::network()->take({to, tag, {begin, begin + size}});
    return MPI_SUCCESS;
}
inline int MPI_Test(MPI_Request*, int* done, MPI_Status*) { return *done = 1, MPI_SUCCESS; }
inline int MPI_Testall(int, MPI_Request*, int* done, MPI_Status*) { return *done = 1, MPI_SUCCESS; }
inline int MPI_Improbe(int, int tag, MPI_Comm, int* there, MPI_Message* message,
                       MPI_Status* status) {
    *message = simulation::network()->next(MPI_ANY_SOURCE, tag);
    *there = *message != nullptr;
    if (*there) *status = {(*message)->peer, static_cast<int>((*message)->bytes.size())};
    return MPI_SUCCESS;
}
inline int MPI_Get_count(const MPI_Status* status, MPI_Datatype, int* count) {
    return *count = status->size, MPI_SUCCESS;
}
inline int MPI_Imrecv(void* place, int, MPI_Datatype, MPI_Message* message, MPI_Request*) {
    std::memcpy(place, (*message)->bytes.data(), (*message)->bytes.size());
    simulation::network()->drop(*message);
    return MPI_SUCCESS;
}
/// Pieces of a letter come together with its head, so this one is here.
inline int MPI_Irecv(void* place, int, MPI_Datatype type, int from, int tag, MPI_Comm,
                     MPI_Request* request) {
    MPI_Message message = simulation::network()->next(from, tag);
    return MPI_Imrecv(place, 0, type, &message, request);
}
// NOLINTEND
