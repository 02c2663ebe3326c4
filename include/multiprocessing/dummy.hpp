// multiprocessing/dummy.hpp
//
// The library's names on threads of one process. A program changes
// `namespace mp = multiprocessing;` into `namespace mp = multiprocessing::dummy;`, and then runs
// under a debugger, a sanitizer or a profiler as one process. Mirrors CPython
// Lib/multiprocessing/dummy.
// Floor 7.
//
// Read on in dummy/process.hpp (Process), dummy/life.hpp (the threads).
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "multiprocessing/context.hpp"
#include "multiprocessing/dummy/process.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/shared_memory.hpp"
#include "multiprocessing/timeout.hpp"
#include "multiprocessing/util.hpp"

// Last, as in multiprocessing.hpp.
#include "multiprocessing/log_handlers.hpp"
#include "multiprocessing/logging.hpp"

/// Threads with the interface of `multiprocessing`.
namespace multiprocessing::dummy {

namespace connection = multiprocessing::connection;
namespace shared_memory = multiprocessing::shared_memory;
namespace start_method = multiprocessing::start_method;
namespace this_task = multiprocessing::this_task;
namespace util = multiprocessing::util;

// Between threads these are what they are between processes.
using multiprocessing::Array;
using multiprocessing::AsyncOptions;
using multiprocessing::AsyncResult;
using multiprocessing::Barrier;
using multiprocessing::BoundedSemaphore;
using multiprocessing::Condition;
using multiprocessing::Connection;
using multiprocessing::DictProxy;
using multiprocessing::Event;
using multiprocessing::JoinableQueue;
using multiprocessing::ListProxy;
using multiprocessing::Lock;
using multiprocessing::NamespaceProxy;
using multiprocessing::Pipe;
using multiprocessing::PoolOptions;
using multiprocessing::PoolStart;
using multiprocessing::ProcessOptions;
using multiprocessing::progress;
using multiprocessing::ProgressOptions;
using multiprocessing::Queue;
using multiprocessing::RawArray;
using multiprocessing::RawValue;
using multiprocessing::ResultStream;
using multiprocessing::RLock;
using multiprocessing::Semaphore;
using multiprocessing::SharedMemoryManager;
using multiprocessing::SimpleQueue;
using multiprocessing::ThreadPool;
using multiprocessing::Timeout;
using multiprocessing::typecode;
using multiprocessing::Value;

using multiprocessing::AbandonedError;
using multiprocessing::AssertionError;
using multiprocessing::AuthenticationError;
using multiprocessing::BrokenBarrierError;
using multiprocessing::BrokenProcessPool;
using multiprocessing::BufferTooShort;
using multiprocessing::CancelledError;
using multiprocessing::Empty;
using multiprocessing::EOFError;
using multiprocessing::Full;
using multiprocessing::IndexError;
using multiprocessing::KeyError;
using multiprocessing::LossReason;
using multiprocessing::ProcessError;
using multiprocessing::RemoteError;
using multiprocessing::RuntimeError;
using multiprocessing::ShutDown;
using multiprocessing::TimeoutError;
using multiprocessing::TypeError;
using multiprocessing::ValueError;
using multiprocessing::WorkerLost;

using multiprocessing::Captured;
using multiprocessing::captured;
using multiprocessing::cpu_count;
using multiprocessing::default_start_method;
using multiprocessing::exit;
using multiprocessing::freeze_support;
using multiprocessing::get_all_start_methods;
using multiprocessing::get_start_method;
using multiprocessing::partial;
using multiprocessing::picklable;
using multiprocessing::pin_each;
using multiprocessing::portable_callable;
using multiprocessing::process_cpu_count;
using multiprocessing::register_exception;
using multiprocessing::retry_on;
using multiprocessing::set_start_method;

// Some programs have macros of these names.
#pragma push_macro("DEBUG")
#pragma push_macro("INFO")
#pragma push_macro("WARNING")
#pragma push_macro("ERROR")
#undef DEBUG
#undef INFO
#undef WARNING
#undef ERROR
using multiprocessing::DEBUG;
using multiprocessing::ERROR;
using multiprocessing::get_logger;
using multiprocessing::INFO;
using multiprocessing::json_line;
using multiprocessing::log_line;
using multiprocessing::log_to_file;
using multiprocessing::log_to_stderr;
using multiprocessing::LogFields;
using multiprocessing::LogRecord;
using multiprocessing::QueueHandler;
using multiprocessing::QueueListener;
using multiprocessing::SUBDEBUG;
using multiprocessing::SUBWARNING;
using multiprocessing::WARNING;
#pragma pop_macro("DEBUG")
#pragma pop_macro("INFO")
#pragma pop_macro("WARNING")
#pragma pop_macro("ERROR")

/// A pool of threads. Its options `maxtasksperchild` and `task_timeout` are checked, and have no
/// effect: threads are neither replaced nor killed. `retries` holds for exceptions only, see
/// retry_on. What only worker processes have, such as `cpus` and `grace`, is a ValueError.
using Pool = multiprocessing::ThreadPool;

/// A Manager whose pools are threads.
class Manager : public multiprocessing::Manager {
  public:
    /// Makes a pool of threads, as the constructor of Pool does.
    template <class... Args>
    [[nodiscard]] auto Pool(Args&&... args) const {
        check_usable();
        return dummy::Pool(std::forward<Args>(args)...);
    }
    /// Makes a pool of threads with options.
    [[nodiscard]] auto Pool(const PoolOptions& options) const {
        check_usable();
        return dummy::Pool(options);
    }
};

/// Runs `f(args...)` at once. What it makes is there for all threads.
template <class F, class... Args>
void set_forkserver_preload(F&& f, Args&&... args) {
    std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
}

/// A context with the name of a start method, whose processes are threads.
template <class StartMethod>
class Context : public multiprocessing::Context<StartMethod> {
  public:
    /// Makes a process, as the constructor of Process does.
    template <class... Args>
    [[nodiscard]] auto Process(Args&&... args) const {
        return dummy::Process(std::forward<Args>(args)...);
    }
    /// Makes a process with options.
    template <class... Args>
    [[nodiscard]] auto Process(ProcessOptions options, Args&&... args) const {
        return dummy::Process(std::move(options), std::forward<Args>(args)...);
    }

    /// Makes a pool, as the constructor of Pool does.
    template <class... Args>
    [[nodiscard]] auto Pool(Args&&... args) const {
        return dummy::Pool(std::forward<Args>(args)...);
    }
    /// Makes a pool with options.
    template <class... Args>
    [[nodiscard]] auto Pool(const PoolOptions& options, Args&&... args) const {
        return dummy::Pool(options, std::forward<Args>(args)...);
    }

    /// @{
    /// As in the context of the same name, with threads for processes.
    [[nodiscard]] static auto Manager() { return dummy::Manager(); }
    [[nodiscard]] constexpr Context get_context() const noexcept { return *this; }
    [[nodiscard]] static const CurrentProcess& current_process() {
        return dummy::current_process();
    }
    [[nodiscard]] static auto parent_process() { return dummy::parent_process(); }
    [[nodiscard]] static auto active_children() { return dummy::active_children(); }
    /// @}

    friend std::string text_of(const Context&) { return "<dummy." + Context::name() + ">"; }
};

/// @{
/// The context of one start method, as get_context makes it.
using ForkContext = Context<start_method::fork>;
using SpawnContext = Context<start_method::spawn>;
using ForkServerContext = Context<start_method::forkserver>;
/// @}

}  // namespace multiprocessing::dummy

namespace multiprocessing::detail {

/// Returns the context of the same name whose processes are threads.
template <class StartMethod>
constexpr auto dummy_context_of(multiprocessing::Context<StartMethod>) noexcept {
    return dummy::Context<StartMethod>();
}
/// Returns the serial context itself, which starts nothing anyway.
constexpr auto dummy_context_of(SerialContext context) noexcept { return context; }

}  // namespace multiprocessing::detail

namespace multiprocessing::dummy {

/// Returns the context of the start method with that name. An unknown name does not compile.
template <detail::Literal name>
[[nodiscard]] constexpr auto get_context() noexcept {
    return detail::dummy_context_of(multiprocessing::get_context<name>());
}

/// Returns the context of the program's default start method.
[[nodiscard]] constexpr auto get_context() noexcept { return Context<default_start_method>(); }

}  // namespace multiprocessing::dummy
