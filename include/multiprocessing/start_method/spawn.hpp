// multiprocessing/start_method/spawn.hpp
//
// The spawn start method: the child is the same program, started anew; it enters through
// freeze_support() in main, maps the family's segment and finds its target there. Nothing of the
// parent's memory is copied, so the cost does not grow with it. Mirrors CPython
// Lib/multiprocessing/popen_spawn_posix.py and spawn.py. Floor 3.
//
// The whole path: spawn::start writes the child's identity and target to the heap as a message,
// passes the segment, the lifeline and the heap's mailbox as the descriptors 3 to 6 and the
// message's place in the environment; freeze_support() reads them back. SPDX-License-Identifier:
// MIT
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/target.hpp"

extern "C" char** environ;  // POSIX has it, but no header must declare it

namespace multiprocessing {
namespace detail {

/// The variable by which a spawned child knows what it is: the offset of its message.
constexpr std::string_view spawn_variable = "MULTIPROCESSING_SPAWNED=";
constexpr int segment_descriptor = 3;
constexpr int lifeline_descriptor = 4;
constexpr int mailbox_descriptor = 5;  // and the next one

inline constinit std::atomic<bool> freeze_support_was_called{false};

inline void save_identity(OutputArchive& archive, const ProcessIdentity& identity) {
    archive(identity.name, identity.lineage, identity.authkey, identity.daemon,
            identity.dies_with_parent, identity.may_have_children, identity.is_pool_worker,
            identity.parent_name, identity.parent_pid, identity.parent_id, identity.id);
}

inline ProcessIdentity load_identity(InputArchive& archive) {
    ProcessIdentity identity;
    archive(identity.name, identity.lineage, identity.authkey, identity.daemon,
            identity.dies_with_parent, identity.may_have_children, identity.is_pool_worker,
            identity.parent_name, identity.parent_pid, identity.parent_id, identity.id);
    return identity;
}

/// The file actions and attributes of a posix_spawn, and what of them must be freed.
class SpawnPlan {
  public:
    SpawnPlan() { check_code(::posix_spawn_file_actions_init(&actions_), "posix_spawn"); }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() { ::posix_spawn_file_actions_destroy(&actions_); }

    /// Passes `fds` to the child as 3, 4, … and nothing else but the standard streams.
    void pass_descriptors(const std::vector<int>& fds) {
        // In two steps, by way of numbers above all of them: one of the targets may be the number
        // of another source.
        const int first = 3;
        const int count = static_cast<int>(fds.size());
        const int above = std::max(*std::max_element(fds.begin(), fds.end()), first + count) + 1;
        for (int i = 0; i < count; ++i) duplicate(fds[static_cast<std::size_t>(i)], above + i);
        for (int i = 0; i < count; ++i) duplicate(above + i, first + i);
        check_code(::posix_spawn_file_actions_addclosefrom_np(&actions_, first + count),
                   "posix_spawn");
    }

    /// Runs this very program. @returns the child's pid
    pid_t run(char* const* arguments, char* const* environment) const {
        pid_t pid = 0;
        // The link is resolved in the child, which still shares this process's image: it runs the
        // file that this process runs, even if another one has its name by now.
        check_code(
            ::posix_spawn(&pid, "/proc/self/exe", &actions_, nullptr, arguments, environment),
            "posix_spawn");
        return pid;
    }

  private:
    void duplicate(int from, int to) {
        check_code(::posix_spawn_file_actions_adddup2(&actions_, from, to), "posix_spawn");
    }
    static void check_code(int error, const char* call) {
        if (error != 0) throw_system_error(call, error);
    }

    posix_spawn_file_actions_t actions_;
};

/// Starts this program as the child whose message lies at `message`.
inline pid_t spawn_self(const ProcessIdentity& identity, Offset message) {
    std::string marker = std::string(spawn_variable) + std::to_string(message);
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        environment.push_back(*variable);
    }
    environment.push_back(marker.data());
    environment.push_back(nullptr);
    // For people who look at ps; the child does not read them.
    std::string label = "--multiprocessing-spawn=" + identity.name;
    char* const arguments[] = {program_invocation_name, label.data(), nullptr};
    SpawnPlan plan;
    const SocketPair& mailbox = heap().mailbox();
    plan.pass_descriptors(
        {heap().segment().fd(), lifeline().read.get(), mailbox.first.get(), mailbox.second.get()});
    return plan.run(arguments, environment.data());
}

}  // namespace detail

namespace start_method {

/// Start a child by running the program anew.
struct spawn {
    static constexpr std::string_view name = "spawn";
    static constexpr bool inherits_memory = false;

    /// Starts a child that runs `target`, which may be null.
    /// @throws RuntimeError when this program's main has not called freeze_support()
    /// @throws std::system_error EAGAIN, ENOMEM, EMFILE
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&&,
                                                const detail::Target* target) {
        if (!detail::freeze_support_was_called.load()) {
            throw RuntimeError(
                "a spawned process runs this program anew and needs to be told apart: add\n"
                "    multiprocessing::freeze_support();\n"
                "as the first line of main(), before any process is started");
        }
        detail::Family& family = detail::heap().family();
        identity.id = family.reserve(identity.parent_id, identity.name, 0);
        pid_t pid = 0;
        std::shared_ptr<void> message;
        try {
            message = make_message(identity, target);
            pid = detail::spawn_self(identity, detail::heap().offset_of(message.get()));
        } catch (...) {
            family.release(identity.id);
            throw;
        }
        family.activate(identity.id, pid);
        return std::make_shared<detail::Child>(identity.id, pid,
                                               detail::open_pidfd_or_end(pid, identity.id),
                                               identity.name, identity.daemon, std::move(message));
    }

  private:
    /// Returns the child's message in the heap. It lives until the child was seen to have ended,
    /// and with it the objects that its handles stand for.
    static std::shared_ptr<void> make_message(const detail::ProcessIdentity& identity,
                                              const detail::Target* target) {
        detail::OutputArchive archive;
        archive(detail::main_image().build_id);
        detail::save_identity(archive, identity);
        archive(target != nullptr);
        if (target != nullptr) target->save(archive);
        // A child that is forked meanwhile gets a copy of the pointer, but not of the message.
        return {detail::make_payload(archive), [depth = detail::fork_depth()](void* payload) {
                    if (depth == detail::fork_depth()) detail::destroy_payload(payload);
                }};
    }
};

}  // namespace start_method

namespace detail {

/// The rest of a spawned child's life.
[[noreturn]] inline void run_spawned(Offset message) noexcept {
    // Until the identity is known, there is nothing to run and no name to report it under.
    try {
        for (int fd = segment_descriptor; fd <= mailbox_descriptor + 1; ++fd) {
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
        install_heap(
            Heap::open(Segment::map(Descriptor(segment_descriptor)),
                       {Descriptor(mailbox_descriptor), Descriptor(mailbox_descriptor + 1)}));
        const PayloadView payload(heap().at(message));
        InputArchive archive(payload.bytes(), payload.handles());
        // The offsets of functions, and all that follows, are another program's otherwise.
        if (archive.read<std::uint64_t>() != main_image().build_id) {
            throw RuntimeError("the program that was started is not the one that started it");
        }
        ProcessIdentity identity = load_identity(archive);
        run_child(std::move(identity), Descriptor(lifeline_descriptor), [&] {
            if (archive.read<bool>()) run_received_target(archive);
        });
    } catch (...) {
        report_exception("(spawned)");
        ::_exit(1);
    }
}

}  // namespace detail

/// Tells a spawned child from the program itself. The first line of main: in a spawned child it
/// runs the child's target and never returns, else it returns at once. Under fork alone it is not
/// needed.
/// @par Source CPython Lib/multiprocessing/spawn.py, freeze_support
inline void freeze_support() {
    const std::string name(detail::spawn_variable.substr(0, detail::spawn_variable.size() - 1));
    const char* const message = std::getenv(name.c_str());
    detail::freeze_support_was_called.store(true);
    if (message == nullptr) return;
    const detail::Offset offset = std::strtoull(message, nullptr, 10);
    // Programs that the child starts by other means are not its children in this sense.
    ::unsetenv(name.c_str());
    detail::run_spawned(offset);
}

}  // namespace multiprocessing
