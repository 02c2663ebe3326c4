// multiprocessing/process/message.hpp
//
// What a child that has no copy of its parent's memory is told at its start: who it is, and its
// target. Mirrors CPython Lib/multiprocessing/spawn.py, get_preparation_data. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/log_settings.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing::detail {

/// Calls `archive` with all of an identity; the same for writing and for reading.
template <class Archive, class Identity>
void archive_identity(Archive& archive, Identity& identity) {
    archive(identity.name, identity.lineage, identity.authkey, identity.daemon,
            identity.dies_with_parent, identity.may_have_children, identity.is_pool_worker,
            identity.parent_name, identity.parent_pid, identity.parent_id);
}

/// Writes what the child needs to the heap. It lives until the child was seen to have ended, and
/// with it the objects that its handles stand for.
/// @throws std::bad_alloc
inline std::shared_ptr<void> make_start_message(const ProcessIdentity& identity,
                                                const Target* target) {
    OutputArchive archive;
    archive(main_image().build_id);
    archive_identity(archive, identity);
    save_logging(archive);
    archive(target != nullptr);
    if (target != nullptr) target->save(archive);
    // A child that is forked meanwhile gets a copy of the pointer, but not of the message.
    return {make_payload(archive), [depth = fork_depth()](void* payload) {
                if (depth == fork_depth()) destroy_payload(payload);
            }};
}

/// The rest of the life of the process `id` that was given `message`.
/// @param lifeline the reading end of its parent's
[[noreturn]] inline void run_start_message(Offset message, ProcessId id,
                                           Descriptor lifeline) noexcept {
    // Until the identity is known, there is nothing to run and no name to report it under.
    try {
        const PayloadView payload(heap().at(message));
        InputArchive archive(payload.bytes(), payload.handles());
        // The offsets of functions, and all that follows, are another program's otherwise.
        if (archive.read<std::uint64_t>() != main_image().build_id) {
            throw RuntimeError("the program that was started is not the one that started it");
        }
        ProcessIdentity identity;
        archive_identity(archive, identity);
        load_logging(archive);
        identity.id = id;
        run_child(std::move(identity), std::move(lifeline), [&] {
            if (archive.read<bool>()) run_received_target(archive);
        });
    } catch (...) {
        report_exception("(just started)");
        ::_exit(1);
    }
}

}  // namespace multiprocessing::detail
