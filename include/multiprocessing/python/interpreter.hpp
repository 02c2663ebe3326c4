// multiprocessing/python/interpreter.hpp
//
// The one interpreter of this process, which the first use makes, and the lock that a thread holds
// while it uses it. It lives until the process ends. Floor 10. Start at Gil.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <utility>

#include "multiprocessing/python/api.hpp"

namespace multiprocessing::detail::pythons {

/// Python in this process, and what it has for the library (see `helpers` in interpreter.ipp).
struct Interpreter {
    Api api;
    Object* resolve = nullptr;   // (module, name) -> the object
    Object* describe = nullptr;  // (exception) -> its texts
    Object* view = nullptr;      // (address, bytes, format, read only, owner) -> a memoryview
    Object* fields = nullptr;    // (dataclass) -> the values of its fields
    Object* to_pickle = nullptr;
    Object* of_pickle = nullptr;
    Object* pending = nullptr;  // a list; not empty: there is something to flush
    Object* forking = nullptr;  // a list; not empty: Python knows of the fork that is being made
    Object* flush = nullptr;
};

/// This process's interpreter, or null.
inline constinit std::atomic<const Interpreter*> made_interpreter{nullptr};

/// Whether the program has ended Python, which only a program with a Python of its own does.
inline constinit std::atomic<bool> interpreter_has_ended{false};

/// @throws RuntimeError always
[[noreturn, gnu::cold]] void throw_ended();

/// Makes the interpreter, unless another thread has.
/// @throws RuntimeError when there is no libpython, and when what is there does not start
[[gnu::cold]] const Interpreter& make_interpreter();

/// Returns this process's interpreter. The first call makes it, which takes some 20 ms.
/// @throws RuntimeError as make_interpreter
inline const Interpreter& interpreter() {
    const Interpreter* const made = made_interpreter.load(std::memory_order_acquire);
    return made != nullptr ? *made : make_interpreter();
}

/// Returns the functions of Python. @pre the interpreter is there
inline const Api& api() noexcept { return made_interpreter.load(std::memory_order_relaxed)->api; }

/// Lets a thread sleep until the process ends.
[[noreturn]] void sleep_for_good() noexcept;

/// Calls a function of Python that may take the global lock. When the program's end has begun,
/// Python up to 3.13 ends a daemon thread in there, by pthread_exit. That would unwind the thread
/// through functions that let nothing pass, and so abort the process. Instead the thread sleeps, as
/// it does under 3.14.
template <class Function>
auto within_python(Function function) noexcept {
    try {
        return function();
    } catch (...) {
        sleep_for_good();
    }
}

/// Calls an object of Python. @returns null when that has raised something @pre the Gil
template <class... Arguments>
Object* call_object(Object* callee, Arguments... arguments) noexcept {
    return within_python(
        [&] { return api().PyObject_CallFunctionObjArgs(callee, arguments..., nullptr); });
}

/// Makes a thread known to Python until it ends. Else each call would make the thread's state and
/// throw it away, with the thread's threading.local. A thread that Python knows already is left as
/// it is: a program with a Python of its own may hold the lock around a call.
class KnownThread {
  public:
    KnownThread() noexcept;
    KnownThread(const KnownThread&) = delete;
    KnownThread& operator=(const KnownThread&) = delete;
    ~KnownThread();

  private:
    int before_ = 0;
    ThreadState* state_ = nullptr;  // null: it is somebody else's
};

/// Makes the calling thread known, at its first call. @pre the interpreter is there
inline void know_this_thread() { static const thread_local KnownThread known; }

/// Holds Python's global lock, and with it the right to touch objects. A thread may take it again.
/// **Blocking** Waits for other threads of this process that run Python: each gives the lock up
/// every 5 ms, and while it waits for something.
class Gil {
  public:
    Gil() : api_(interpreter().api) {
        if (interpreter_has_ended.load(std::memory_order_relaxed)) throw_ended();
        know_this_thread();
        before_ = within_python([this] { return api_.PyGILState_Ensure(); });
    }
    Gil(const Gil&) = delete;
    Gil& operator=(const Gil&) = delete;
    ~Gil() { api_.PyGILState_Release(before_); }

  private:
    const Api& api_;
    int before_;
};

/// Gives the lock up until the end of a scope, to wait for something. @pre the Gil
class WithoutGil {
  public:
    WithoutGil() noexcept : state_(api().PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    ~WithoutGil() {
        within_python([this] { api().PyEval_RestoreThread(state_); });
    }

  private:
    ThreadState* state_;
};

/// A counted reference to an object. All uses but moves need the Gil.
class Reference {
  public:
    Reference() noexcept = default;
    /// Takes a reference over that the caller has.
    explicit Reference(Object* owned) noexcept : object_(owned) {}
    Reference(Reference&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Reference& operator=(Reference&& other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Reference() {
        if (object_ != nullptr) within_python([this] { api().Py_DecRef(object_); });
    }

    /// Returns one more reference to an object that somebody else keeps.
    static Reference to(Object* borrowed) noexcept {
        api().Py_IncRef(borrowed);
        return Reference(borrowed);
    }

    [[nodiscard]] Object* get() const noexcept { return object_; }
    [[nodiscard]] Object* release() noexcept { return std::exchange(object_, nullptr); }
    explicit operator bool() const noexcept { return object_ != nullptr; }

  private:
    Object* object_ = nullptr;
};

/// Writes what print() has kept back. A worker may end by _exit, or be killed. @pre the Gil
void flush_output() noexcept;

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/interpreter.ipp"
