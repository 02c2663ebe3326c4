// multiprocessing/logging/outlets.hpp
//
// Where the lines go: standard error, a file, a handler. Floor 2.
//
// There is no lock: a child that is forked while another thread logs could find it locked for ever.
// What can change is an object that does not change, and a pointer to the latest one.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "multiprocessing/logging/event.hpp"

namespace multiprocessing::detail {

/// A handler that is a function without state: it can be told to another process.
using PlainHandler = void (*)(const LogRecord&);

struct LogOutlets {
    bool to_stderr = false;
    std::string file_pattern = {};  // empty: no file
    PlainHandler plain_handler = nullptr;
    std::function<void(const LogRecord&)> handler = {};  // when it is not a plain one
    const LogOutlets* previous = nullptr;

    [[nodiscard]] bool has_handler() const noexcept {
        return plain_handler != nullptr || handler != nullptr;
    }
};

/// The outlets; null until the first change.
inline constinit std::atomic<const LogOutlets*> log_outlets{nullptr};

/// Changes the outlets. What they were before is kept, as another thread may be using it; a program
/// does not do this often.
template <class Change>
[[gnu::cold]] void change_outlets(Change change) {
    const LogOutlets* known = log_outlets.load(std::memory_order_acquire);
    auto fresh = std::make_unique<LogOutlets>();
    do {
        *fresh = known != nullptr ? *known : LogOutlets{};
        fresh->previous = known;  // so that no leak checker thinks it lost
        change(*fresh);
        // release: who sees the pointer sees the object.
    } while (!log_outlets.compare_exchange_weak(known, fresh.get(), std::memory_order_acq_rel));
    (void)fresh.release();
}

/// Sets the level that the program asks for.
[[gnu::cold]] inline void set_log_level(int level) noexcept {
    log_threshold.store(level == log_level::nothing ? level - 1 : level);
}

/// The program asks for logging, if it has not before.
inline void set_up_logging() noexcept {
    int nothing = log_level::nothing;
    if (!logging_is_set_up()) log_threshold.compare_exchange_strong(nothing, log_level::warning);
}

/// Tells this process's name. The processes are on a floor above, which sets it; until then the
/// process is the first of its family.
inline constinit std::atomic<std::string (*)()> log_process_name{nullptr};

}  // namespace multiprocessing::detail
