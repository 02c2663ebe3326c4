// multiprocessing/dummy/process.ipp
//
// How a dummy process is started and asked: see process.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/dummy/process.hpp"

#include <typeinfo>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/dummy/life.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::dummy {

MULTIPROCESSING_INLINE Process::Process(std::string_view kind, ProcessOptions options)
    : life_(std::make_shared<detail::DummyLife>(detail::DummyLife::current(),
                                                std::move(options.name), options.daemon, kind)) {
    detail::refuse_output_files({options.stdout_file, options.stderr_file}, "a thread");
}

MULTIPROCESSING_INLINE void Process::start() {
    check_open();
    if (life_->is_started()) throw AssertionError("cannot start a process twice");
    if (!life_->is_child_of_this_thread()) {
        throw AssertionError("can only start a process object created by current process");
    }
    if (life_->parent()->daemon()) {
        throw AssertionError("daemonic processes are not allowed to have children");
    }
    const Process& self = *this;
    if (typeid(self) != typeid(Process)) {
        life_->start([this] { this->run(); });
        return;
    }
    // The target goes into the thread, so that this object may go while it runs.
    const auto target = std::make_shared<std::unique_ptr<detail::Target>>(std::move(this->target_));
    try {
        life_->start([target] {
            if (*target) (*target)->run();
        });
    } catch (...) {
        this->target_ = std::move(*target);
        throw;
    }
}

MULTIPROCESSING_INLINE bool Process::join(Timeout timeout) {
    check_open();
    if (!life_->is_started()) throw AssertionError("can only join a started process");
    if (!life_->is_child_of_this_thread()) {
        throw AssertionError("can only join a child process");
    }
    return life_->wait(timeout);
}

MULTIPROCESSING_INLINE bool Process::is_alive() const {
    check_open();
    return life_->is_alive();
}

MULTIPROCESSING_INLINE void Process::close() {
    if (closed_) return;
    if (life_->is_alive()) {
        throw ValueError("Cannot close a process while it is still running. You should "
                         "first call join().");
    }
    this->target_.reset();
    closed_ = true;
}

MULTIPROCESSING_INLINE std::string Process::name() const { return life_->name(); }

MULTIPROCESSING_INLINE void Process::set_name(std::string name) {
    life_->set_name(std::move(name));
}

MULTIPROCESSING_INLINE bool Process::daemon() const noexcept { return life_->daemon(); }

MULTIPROCESSING_INLINE void Process::set_daemon(bool daemon) {
    if (life_->is_started()) throw AssertionError("process has already started");
    life_->set_daemon(daemon);
}

MULTIPROCESSING_INLINE std::optional<pid_t> Process::pid() const {
    check_open();
    return life_->id();
}

MULTIPROCESSING_INLINE std::optional<int> Process::exitcode() const {
    check_open();
    return life_->exitcode();
}

MULTIPROCESSING_INLINE int Process::sentinel() const {
    check_open();
    if (!life_->is_started()) throw ValueError("process not started");
    return life_->sentinel();
}

MULTIPROCESSING_INLINE std::string Process::authkey() const { return life_->authkey(); }

MULTIPROCESSING_INLINE void Process::set_authkey(std::string authkey) {
    life_->set_authkey(std::move(authkey));
}

MULTIPROCESSING_INLINE void Process::check_open() const {
    if (closed_) throw ValueError("process object is closed");
}

MULTIPROCESSING_INLINE void Process::refuse_to_end() const {
    check_open();
    if (!life_->is_started()) throw AssertionError("can only signal a started process");
    life_->refuse_to_end();
}

MULTIPROCESSING_INLINE std::string Process::text() const {
    std::string text = "<DummyProcess name='" + name() + "'";
    if (closed_) return text + " closed>";
    return text + life_->state_text() + (daemon() ? " daemon>" : ">");
}

MULTIPROCESSING_INLINE std::string CurrentProcess::name() const {
    return detail::DummyLife::current()->name();
}

MULTIPROCESSING_INLINE void CurrentProcess::set_name(std::string name) const {
    detail::DummyLife::current()->set_name(std::move(name));
}

MULTIPROCESSING_INLINE pid_t CurrentProcess::pid() const {
    return detail::DummyLife::current()->id().value_or(0);
}

MULTIPROCESSING_INLINE bool CurrentProcess::daemon() const {
    return detail::DummyLife::current()->daemon();
}

MULTIPROCESSING_INLINE std::string CurrentProcess::authkey() const {
    return detail::DummyLife::current()->authkey();
}

MULTIPROCESSING_INLINE void CurrentProcess::set_authkey(std::string key) const {
    detail::DummyLife::current()->set_authkey(std::move(key));
}

MULTIPROCESSING_INLINE std::string CurrentProcess::text() const {
    return "<DummyProcess name='" + name() + (daemon() ? "' started daemon>" : "' started>");
}

MULTIPROCESSING_INLINE std::string ParentProcess::name() const { return life_->name(); }

MULTIPROCESSING_INLINE pid_t ParentProcess::pid() const { return life_->id().value_or(0); }

MULTIPROCESSING_INLINE bool ParentProcess::is_alive() const { return life_->is_alive(); }

MULTIPROCESSING_INLINE int ParentProcess::sentinel() const { return life_->sentinel(); }

MULTIPROCESSING_INLINE bool ParentProcess::join(Timeout timeout) const {
    return life_->wait(timeout);
}

MULTIPROCESSING_INLINE std::string ParentProcess::text() const {
    return "<ParentProcess name='" + name() + "'" + life_->state_text() + ">";
}

MULTIPROCESSING_INLINE std::string ActiveChild::name() const { return life_->name(); }

MULTIPROCESSING_INLINE pid_t ActiveChild::pid() const { return life_->id().value_or(0); }

MULTIPROCESSING_INLINE bool ActiveChild::daemon() const noexcept { return life_->daemon(); }

MULTIPROCESSING_INLINE bool ActiveChild::is_alive() const { return life_->is_alive(); }

MULTIPROCESSING_INLINE std::optional<int> ActiveChild::exitcode() const {
    return life_->exitcode();
}

MULTIPROCESSING_INLINE int ActiveChild::sentinel() const { return life_->sentinel(); }

MULTIPROCESSING_INLINE void ActiveChild::terminate() const { life_->refuse_to_end(); }

MULTIPROCESSING_INLINE bool ActiveChild::join(Timeout timeout) const {
    return life_->wait(timeout);
}

MULTIPROCESSING_INLINE std::string ActiveChild::text() const {
    return "<DummyProcess name='" + name() + "'" + life_->state_text() +
           (daemon() ? " daemon>" : ">");
}

MULTIPROCESSING_INLINE std::optional<ParentProcess> parent_process() {
    const auto& parent = detail::DummyLife::current()->parent();
    if (!parent) return std::nullopt;
    return ParentProcess(parent);
}

MULTIPROCESSING_INLINE std::vector<ActiveChild> active_children() {
    std::vector<ActiveChild> active;
    for (auto& life : detail::DummyLife::current()->running_children()) {
        active.emplace_back(std::move(life));
    }
    return active;
}

}  // namespace multiprocessing::dummy
