// multiprocessing/dummy/life.hpp
//
// A thread in the part of a process: who it is, its children, how it ended. Floor 7. Start at
// DummyLife::start. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A dummy process, from the making of its object until after its end. Also the main process.
class DummyLife : public std::enable_shared_from_this<DummyLife> {
  public:
    /// Makes the main process: all threads that are no dummy processes.
    DummyLife();

    DummyLife(std::shared_ptr<DummyLife> parent, std::string name, std::optional<bool> daemon,
              std::string_view kind);
    DummyLife(const DummyLife&) = delete;
    DummyLife& operator=(const DummyLife&) = delete;
    ~DummyLife();

    /// Returns the process that this thread runs.
    static const std::shared_ptr<DummyLife>& current();

    /// Runs `body` in a thread. Returns when the thread has an id.
    /// @throws std::system_error EAGAIN
    void start(std::function<void()> body);

    /// Waits for its end. @returns whether it has ended
    bool wait(const Deadline& deadline);

    [[nodiscard]] bool is_started() const;
    [[nodiscard]] bool is_alive() const;
    [[nodiscard]] std::optional<int> exitcode() const;
    /// Returns the id of the thread as the kernel counts them. Unlike getpid(), it differs from
    /// thread to thread.
    [[nodiscard]] std::optional<pid_t> id() const;

    /// Returns a descriptor that polls readable once it has ended.
    int sentinel();

    [[nodiscard]] std::string name() const;
    void set_name(std::string name);
    [[nodiscard]] std::string authkey() const;
    void set_authkey(std::string authkey);
    [[nodiscard]] bool daemon() const noexcept { return daemon_.load(); }
    void set_daemon(bool daemon) noexcept { daemon_.store(daemon); }
    /// Returns the process that made it; null for the main one.
    [[nodiscard]] const std::shared_ptr<DummyLife>& parent() const noexcept { return parent_; }
    [[nodiscard]] bool is_child_of_this_thread() const { return parent_ == current(); }

    /// Throws while it runs: there is nothing to kill it with.
    void refuse_to_end() const;

    /// Returns its children that run, and forgets the others.
    std::vector<std::shared_ptr<DummyLife>> running_children();

    /// Says how far it is, in the words of a Process.
    [[nodiscard]] std::string state_text() const;

  private:
    std::string next_lineage();
    void add_child(std::shared_ptr<DummyLife> child);
    static std::string name_for_log_of_thread();
    void live(std::function<void()> body);

    // A pointer, not a shared_ptr: the destructor of a shared_ptr can end in that of any shared
    // object, so a compiler would look at the whole library for each program, for a second.
    static inline constinit thread_local const std::shared_ptr<DummyLife>* current_ = nullptr;

    const std::shared_ptr<DummyLife> parent_;
    mutable std::mutex mutex_;  // guards what is not atomic
    std::condition_variable changed_;
    std::string name_;
    std::atomic<bool> daemon_{false};
    const std::string lineage_;
    std::string authkey_;
    std::atomic<unsigned> children_made_{0};
    std::vector<std::shared_ptr<DummyLife>> children_;
    std::thread thread_;
    bool is_started_ = false;
    pid_t id_ = 0;
    std::optional<int> exitcode_;
    Descriptor sentinel_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/dummy/life.ipp"
#endif
