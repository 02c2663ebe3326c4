// multiprocessing/python/extension/waiting.hpp
//
// How a thread of Python waits: without the global lock, and so that Ctrl-C and other signals are
// handled within a moment. Floor 10. Start at wait_for. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/interpreter.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail::pythons::extension {

/// The waits of the library go on after a signal. So a wait is made of slices, and between two of
/// them Python's handlers run, in the main thread.
inline constexpr std::chrono::milliseconds slice{100};

/// Calls `try_once(timeout)`, without the global lock, until it returns true.
/// @returns false when the time is over @throws Raised when a handler has raised something, as that
/// of Ctrl-C does
template <class Try>
bool wait_for(Timeout timeout, Try try_once) {
    const Deadline deadline(timeout);
    for (;;) {
        const Deadline end = earlier(deadline, Deadline(slice));
        {
            const WithoutGil without;
            if (try_once(Timeout(end.left()))) return true;
        }
        raising(api().PyErr_CheckSignals());
        if (deadline.has_passed()) return false;
    }
}

/// Says whether a handler has raised something. The library asks, from within a wait that cannot be
/// cut into slices.
inline bool is_interrupted() {
    const int before = within_python([] { return api().PyGILState_Ensure(); });
    const bool raised = api().PyErr_CheckSignals() != 0;
    api().PyGILState_Release(before);
    return raised;
}

/// Throws Raised when is_interrupted has ended a wait. @pre the Gil
inline void rethrow_interruption() {
    if (api().PyErr_Occurred() != nullptr) throw Raised();
}

/// Calls `body` without the global lock: it may wait for another process, though not for long.
template <class Body>
auto without_gil(Body body) {
    const WithoutGil without;
    return body();
}

}  // namespace multiprocessing::detail::pythons::extension
