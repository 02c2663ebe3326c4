// multiprocessing/process/message.ipp
//
// How a child's message is written and acted on: see message.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/message.hpp"

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/log_settings.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Calls `archive` with all of an identity; the same for writing and for reading.
template <class Archive, class Identity>
void archive_identity(Archive& archive, Identity& identity) {
    archive(identity.name, identity.lineage, identity.authkey, identity.daemon,
            identity.dies_with_parent, identity.may_have_children, identity.is_pool_worker,
            identity.output.stdout_file, identity.output.stderr_file, identity.parent_name,
            identity.parent_pid, identity.parent_id);
}

MULTIPROCESSING_INLINE std::shared_ptr<void> make_start_message(const ProcessIdentity& identity,
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

MULTIPROCESSING_INLINE void run_start_message(Offset message, ProcessId id,
                                              Lifelines lifelines) noexcept {
    // Until the identity is known, there is nothing to run and no name to report it under.
    try {
        const PayloadView payload(heap().at(message));
        InputArchive archive(payload.bytes(), payload.handles());
        // In another program, the offsets of functions and all that follows would mean other
        // things.
        if (archive.read<std::uint64_t>() != main_image().build_id) {
            throw RuntimeError("the program that was started is not the one that started it");
        }
        ProcessIdentity identity;
        archive_identity(archive, identity);
        load_logging(archive);
        identity.id = id;
        run_child(std::move(identity), std::move(lifelines), [&] {
            if (archive.read<bool>()) run_received_target(archive);
        });
    } catch (...) {
        report_exception("(just started)");
        ::_exit(1);
    }
}

}  // namespace multiprocessing::detail
