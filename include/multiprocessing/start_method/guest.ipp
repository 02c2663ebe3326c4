// multiprocessing/start_method/guest.ipp
//
// How a guest is started, and how it joins: see guest.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/guest.hpp"

#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/message.hpp"
#include "multiprocessing/process/output_files.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/start_method/spawn.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::shared_ptr<void> make_guest_message(
    const ProcessIdentity& identity, const std::vector<GuestArgument>& arguments,
    std::uint64_t layout) {
    OutputArchive archive;
    archive(layout);
    archive_identity(archive, identity);
    archive.write_size(arguments.size());
    for (const GuestArgument& argument : arguments) {
        archive(argument.kind, argument.item, argument.value);
        archive.write_handle(argument.handle);
    }
    // A child that is forked meanwhile gets a copy of the pointer, but not of the message.
    return {make_payload(archive), [depth = fork_depth()](void* payload) {
                if (depth == fork_depth()) destroy_payload(payload);
            }};
}

MULTIPROCESSING_INLINE std::shared_ptr<Child> start_guest(
    ProcessIdentity identity, const ProgramCommand& program, const std::string& last,
    const std::vector<GuestArgument>& arguments, std::uint64_t layout) {
    auto message = make_guest_message(identity, arguments, layout);
    return spawn_guest(std::move(identity), program, last, std::move(message));
}

MULTIPROCESSING_INLINE bool is_guest() { return take_inheritance().role == Role::guest; }

/// Does for a guest what run_child does for other children.
MULTIPROCESSING_INLINE void settle_in(ProcessIdentity identity, Lifelines lifelines) {
    become(std::move(identity));
    const ProcessIdentity& me = state().identity();
    heap().family().wait_while_held(me.id);
    heap().family().note_arrival(me.id);
    if (me.dies_with_parent) die_with_parent(std::move(lifelines));
    disconnect_stdin();
    if (me.output.is_empty()) return;
    flush_standard_streams();
    redirect_output(me.output, me.name);
}

MULTIPROCESSING_INLINE std::vector<GuestArgument> become_guest(std::uint64_t layout) {
    const Inheritance& inheritance = take_inheritance();
    const PayloadView payload(heap().at(inheritance.message));
    InputArchive archive(payload.bytes(), payload.handles());
    if (archive.read<std::uint64_t>() != layout) {
        throw RuntimeError("this program and the one that started it have different versions of "
                           "the library: build both from the same");
    }
    ProcessIdentity identity;
    archive_identity(archive, identity);
    identity.id = inheritance.id;
    std::vector<GuestArgument> arguments(archive.read<std::uint64_t>());
    for (GuestArgument& argument : arguments) {
        archive(argument.kind, argument.item, argument.value);
        argument.handle = archive.read_handle();
    }
    Lifelines lifelines;
    for (unsigned i = 0; i < inheritance.lifelines; ++i) {
        lifelines.add(take_inherited(lifeline_descriptor + static_cast<int>(i)));
    }
    settle_in(std::move(identity), std::move(lifelines));
    return arguments;
}

}  // namespace multiprocessing::detail
