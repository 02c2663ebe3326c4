// multiprocessing/pool/owner/recruiter.hpp
//
// The pool's own thread for work that may take long, or may never end. It starts processes, which
// depends on the fork server or on the serialisation of a message. It writes to the log, which
// depends on the program's handler. The first errand starts it. No thread waits for it while it
// holds a lock. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/pool/calls/pool_thread.hpp"

namespace multiprocessing::detail {

/// Runs errands, one after the other.
class Recruiter {
  public:
    /// What is to be done; it throws nothing.
    using Errand = std::function<void()>;

    /// @param owner the object that this one lies in
    void open(std::weak_ptr<void> owner) { owner_ = std::move(owner); }

    /// Has an errand run soon. @throws std::system_error EAGAIN; std::bad_alloc
    [[gnu::cold]] void send(Errand errand);

    /// Lets the thread end after the errands that it has.
    [[gnu::cold]] void stop();
    /// Waits for the thread's end, unless this is that thread. A thread that hangs in an errand is
    /// left behind: it ends by itself if the errand ever does.
    [[gnu::cold]] void wait();

  private:
    static constexpr std::chrono::milliseconds patience{1000};

    void stir();
    [[gnu::cold]] void run();

    std::weak_ptr<void> owner_;
    PoolThread thread_;
    FutexWord changes_{0};

    std::mutex mutex_;  // guards what follows
    std::list<Errand> errands_;
    bool stopped_ = false;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/recruiter.ipp"
#endif
