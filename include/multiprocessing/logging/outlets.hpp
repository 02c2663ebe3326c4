// multiprocessing/logging/outlets.hpp
//
// Where the lines go: standard error, a file, a handler. Floor 2.
//
// There is no lock: a child that is forked while another thread logs could find it locked for ever.
// The outlets are an object that never changes. A change makes a new object, and a pointer to the
// latest one is published.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/logging/event.hpp"

namespace multiprocessing::detail {

/// A handler that is a function without state. Another process can be told which one it is.
using PlainHandler = void (*)(const LogRecord&);

class InputArchive;
class OutputArchive;

/// How a handler that has a state travels into a child's message: a HandlerReceiver comes first,
/// which reads the rest there and installs the handler.
using HandlerSaver = void (*)(OutputArchive&, const std::function<void(const LogRecord&)>&);
using HandlerReceiver = void (*)(InputArchive&);

/// What is done for a handler that has a state and cannot travel: the records of children come to
/// it. A floor above does that.
struct HandlerRelay {
    HandlerSaver save;  // writes into a child's message what sends its records here
    // Waits until the handler has had what has come, and is called no more. Returns what resume
    // takes; null where nothing has to be resumed.
    void* (*pause)();
    void (*resume)(void*);
};

/// The relay; null where the program has none.
inline constinit std::atomic<const HandlerRelay*> handler_relay{nullptr};

/// Where the lines of this process go.
struct LogOutlets {
    bool to_stderr = false;
    std::string file_pattern = {};  // empty: no file
    PlainHandler plain_handler = nullptr;
    std::function<void(const LogRecord&)> handler = {};  // a handler that is not a plain one
    HandlerSaver save_handler = nullptr;                 // null: the handler cannot travel
    /// What each record says of this process and its children, before the fields of the thread.
    std::vector<std::pair<std::string, std::string>> process_fields = {};
    const LogOutlets* previous = nullptr;

    [[nodiscard]] bool has_handler() const noexcept {
        return plain_handler != nullptr || handler != nullptr;
    }
};

/// The outlets; null until the first change.
inline constinit std::atomic<const LogOutlets*> log_outlets{nullptr};

/// Changes the outlets. The old object is kept, as another thread may be using it. A program does
/// not do this often.
template <class Change>
[[gnu::cold]] void change_outlets(Change change) {
    const LogOutlets* known = log_outlets.load(std::memory_order_acquire);
    auto fresh = std::make_unique<LogOutlets>();
    do {
        *fresh = known != nullptr ? *known : LogOutlets{};
        fresh->previous = known;  // so that a leak checker still finds it
        change(*fresh);
        // release: a thread that loads the pointer (with acquire) sees the object complete.
    } while (!log_outlets.compare_exchange_weak(known, fresh.get(), std::memory_order_acq_rel));
    (void)fresh.release();
}

/// Gives each record of this process, and of the children that it will have, these fields. They are
/// in the lines too, after the name of the process. In the name of a log file, "{NAME}" stands for
/// a field's text.
[[gnu::cold]] void set_process_fields(std::vector<std::pair<std::string, std::string>> fields);

/// Sets the level that the program asks for.
[[gnu::cold]] void set_log_level(int level) noexcept;

/// Turns logging on, if the program has not asked for it before.
void set_up_logging() noexcept;

/// Returns this process's name. Processes are on a floor above, which sets this function. Until
/// then the process is the first of its family.
inline constinit std::atomic<std::string (*)()> log_process_name{nullptr};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/logging/outlets.ipp"
#endif
