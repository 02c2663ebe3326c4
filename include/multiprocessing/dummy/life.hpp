// multiprocessing/dummy/life.hpp
//
// A thread in the part of a process: who it is, its children, how it ended. Floor 7. Start at
// DummyLife::start. SPDX-License-Identifier: MIT
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/process.hpp"

namespace multiprocessing::detail {

/// Runs what a child that is a thread, or the caller itself, has to do: as run_child, but the
/// process goes on. @returns the exit code
template <class Body>
int run_target_in_thread(const std::string& name, Body&& body) {
    const bool before = std::exchange(runs_target_in_thread, true);
    int status = 1;
    try {
        std::forward<Body>(body)();
        status = 0;
    } catch (const ExitRequest& request) {
        status = request.status & 0xFF;
    } catch (...) {
        report_exception(name);
    }
    runs_target_in_thread = before;
    return status;
}

/// A dummy process, from the object's making to after its end; and the main one.
class DummyLife : public std::enable_shared_from_this<DummyLife> {
  public:
    /// The main process: all threads that are no dummy processes.
    DummyLife()
        : name_(state().name()), authkey_(state().authkey()), is_started_(true), id_(::getpid()) {}

    DummyLife(std::shared_ptr<DummyLife> parent, std::string name, std::optional<bool> daemon)
        : parent_(std::move(parent)),
          name_(std::move(name)),
          daemon_(daemon.value_or(parent_->daemon())),
          lineage_(parent_->next_lineage()),
          authkey_(parent_->authkey()) {
        if (name_.empty()) name_ = "Process-" + lineage_;
    }
    DummyLife(const DummyLife&) = delete;
    DummyLife& operator=(const DummyLife&) = delete;
    ~DummyLife() {
        if (thread_.joinable()) thread_.detach();  // nobody waited for it
    }

    /// Returns the process that this thread runs.
    static const std::shared_ptr<DummyLife>& current() {
        if (current_ != nullptr) return *current_;
        // Never destroyed: used while static objects are.
        static const auto& main = *new std::shared_ptr<DummyLife>(std::make_shared<DummyLife>());
        return main;
    }

    /// Runs `body` in a thread; returns when it has an id. @throws std::system_error EAGAIN
    void start(std::function<void()> body) {
        state();  // before the names for the log: it sets its own
        log_process_name.store(name_for_log_of_thread);
        std::unique_lock lock(mutex_);
        // Under the lock: the thread begins with taking it.
        thread_ = std::thread([self = shared_from_this(), body = std::move(body)]() mutable {
            self->live(std::move(body));
        });
        is_started_ = true;
        changed_.wait(lock, [this] { return id_ != 0; });
        lock.unlock();
        parent_->add_child(shared_from_this());
    }

    /// Waits for its end. @returns whether it has ended
    bool wait(const Deadline& deadline) {
        std::unique_lock lock(mutex_);
        while (!exitcode_) {
            if (deadline.has_passed()) return false;
            // In hours, as everywhere: for ever overflows.
            const timespec left = deadline.left_as_timespec(std::chrono::hours(1));
            changed_.wait_for(
                lock, std::chrono::seconds(left.tv_sec) + std::chrono::nanoseconds(left.tv_nsec));
        }
        // The thread itself is as good as gone: it needs no lock any more.
        if (thread_.joinable()) {
            if (thread_.get_id() == std::this_thread::get_id()) return true;
            thread_.join();
        }
        return true;
    }

    [[nodiscard]] bool is_started() const {
        const std::lock_guard guard(mutex_);
        return is_started_;
    }
    [[nodiscard]] bool is_alive() const {
        const std::lock_guard guard(mutex_);
        return is_started_ && !exitcode_;
    }
    [[nodiscard]] std::optional<int> exitcode() const {
        const std::lock_guard guard(mutex_);
        return exitcode_;
    }
    /// Returns the id of the thread as the kernel counts them: unlike a getpid(), one for each.
    [[nodiscard]] std::optional<pid_t> id() const {
        const std::lock_guard guard(mutex_);
        return id_ != 0 ? std::optional(id_) : std::nullopt;
    }

    /// Returns a descriptor that polls readable from its end on.
    int sentinel() {
        const std::lock_guard guard(mutex_);
        if (!sentinel_) {
            sentinel_ = Descriptor(check(::eventfd(exitcode_ ? 1 : 0, EFD_CLOEXEC), "eventfd"));
        }
        return sentinel_.get();
    }

    [[nodiscard]] std::string name() const {
        const std::lock_guard guard(mutex_);
        return name_;
    }
    void set_name(std::string name) {
        const std::lock_guard guard(mutex_);
        name_ = std::move(name);
    }
    [[nodiscard]] std::string authkey() const {
        const std::lock_guard guard(mutex_);
        return authkey_;
    }
    void set_authkey(std::string authkey) {
        const std::lock_guard guard(mutex_);
        authkey_ = std::move(authkey);
    }
    [[nodiscard]] bool daemon() const noexcept { return daemon_.load(); }
    void set_daemon(bool daemon) noexcept { daemon_.store(daemon); }
    /// Returns the process that made it; null for the main one.
    [[nodiscard]] const std::shared_ptr<DummyLife>& parent() const noexcept { return parent_; }
    [[nodiscard]] bool is_child_of_this_thread() const { return parent_ == current(); }

    /// Throws, while it runs: what it would be killed by does not exist.
    void refuse_to_end() const {
        if (!is_alive()) return;
        throw RuntimeError("process " + name() +
                           " is a thread (multiprocessing::dummy), and a thread cannot be killed: "
                           "let it end by itself, for instance by an Event that it looks at");
    }

    /// Returns its children that run, and forgets the others.
    std::vector<std::shared_ptr<DummyLife>> running_children() {
        const std::lock_guard guard(mutex_);
        std::erase_if(children_, [](const auto& child) { return !child->is_alive(); });
        return children_;
    }

    /// Says how far it is, in the words of a Process.
    [[nodiscard]] std::string state_text() const {
        const std::lock_guard guard(mutex_);
        if (!is_started_) return " initial";
        return exitcode_ ? " stopped exitcode=" + std::to_string(*exitcode_) : " started";
    }

  private:
    std::string next_lineage() {
        const unsigned number = children_made_.fetch_add(1) + 1;
        return lineage_ + (lineage_.empty() ? "" : ":") + std::to_string(number);
    }

    void add_child(std::shared_ptr<DummyLife> child) {
        (void)running_children();  // as a process collects its children with each start
        const std::lock_guard guard(mutex_);
        children_.push_back(std::move(child));
    }

    static std::string name_for_log_of_thread() {
        return current_ != nullptr ? (*current_)->name() : name_for_log();
    }

    void live(std::function<void()> body) {
        const std::shared_ptr<DummyLife> self = shared_from_this();
        current_ = &self;
        std::size_t hook = 0;
        if (!daemon()) {
            // As the end of a process waits for its children: after what has a priority of 0 or
            // more, the pools among it. A daemon is left behind, and ends with the process.
            register_exit_handler();
            hook = ExitHooks::add(-1, [self] { self->wait(Timeout()); });
        }
        {
            const std::lock_guard guard(mutex_);
            id_ = ::gettid();
            changed_.notify_all();
        }
        const int status = run_target_in_thread(name(), body);
        body = nullptr;  // what the target holds goes before anyone is told
        if (hook != 0) ExitHooks::remove(hook);
        const std::lock_guard guard(mutex_);
        children_.clear();  // they know this one: neither would ever go
        exitcode_ = status;
        const std::uint64_t one = 1;
        // An eventfd takes a 1 without waiting.
        if (sentinel_) (void)!::write(sentinel_.get(), &one, sizeof one);
        changed_.notify_all();
        current_ = nullptr;
    }

    // A pointer: the destructor of a shared_ptr can end in that of any shared object, so a compiler
    // would look at the whole library for each program, for a second.
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
