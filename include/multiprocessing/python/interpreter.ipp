// multiprocessing/python/interpreter.ipp
//
// How the interpreter is made, and what happens to it around a fork: see interpreter.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/interpreter.hpp"

#include <dlfcn.h>
#include <langinfo.h>
#include <link.h>
#include <locale.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/python/finder.hpp"

namespace multiprocessing::detail::pythons {

// What is simpler to say in Python. As for `python3 -c`, modules are also looked for in the current
// folder. Standard output is written line by line, and flushed at the end of a call, because a
// worker that is killed flushes nothing. A view's memory belongs to an array of ctypes, which keeps
// the owner for as long as any other view of the same memory is used; a memoryview of a bare
// address cannot.
inline constexpr const char* helpers = R"py(
import io, os, pickle, sys

if not getattr(sys, "argv", None):
    sys.argv = [""]
if not getattr(sys.flags, "safe_path", False) and "" not in sys.path:
    sys.path.insert(0, "")
pending = []

class _Output(io.TextIOWrapper):
    """Standard output that tells whether something is to be flushed: to ask by a flush would
    take as long as a call."""
    def write(self, text):
        if not pending:
            pending.append(self)
        return super().write(text)

def flush():
    while pending:
        pending.pop().flush()

if is_new and type(sys.stdout) is io.TextIOWrapper:
    _encoding, _errors = sys.stdout.encoding, sys.stdout.errors
    sys.stdout = sys.__stdout__ = _Output(
        sys.stdout.detach(), _encoding, _errors, line_buffering=True)

def resolve(module, name):
    __import__(module)
    found = sys.modules[module]
    for part in name.split("."):
        if part:
            found = getattr(found, part)
    return found

def _text(value):
    return str(value).encode("utf-8", "backslashreplace").decode()

def describe(error):
    kind = type(error)
    try:
        if kind is KeyError and len(error.args) == 1:
            text = error.args[0] if isinstance(error.args[0], str) else repr(error.args[0])
        else:
            text = str(error)
        text = _text(text)
    except BaseException:
        text = "its text cannot be told: __str__ failed"
    try:
        import traceback
        trace = _text("".join(traceback.format_exception(kind, error, error.__traceback__)))
    except Exception:
        trace = ""
    number, file = 0, ""
    if isinstance(error, OSError) and isinstance(error.errno, int):
        number = error.errno
        if error.filename is not None:
            file = _text(error.filename)
        elif error.strerror:
            file = _text(error.strerror)
    return kind.__module__, kind.__qualname__, text, trace, number, file

# A fork of C++ by a thread that holds the lock is told from one of os.fork by this.
forking = []
os.register_at_fork(before=lambda: forking.append(1),
                    after_in_parent=forking.clear, after_in_child=forking.clear)

def fields(value):
    import dataclasses
    return tuple(getattr(value, field.name) for field in dataclasses.fields(value))

def view(address, size, format, read_only, owner):
    import ctypes
    memory = (ctypes.c_ubyte * size).from_address(address)
    memory.owner = owner
    shown = memoryview(memory).cast("B")
    return (shown.toreadonly() if read_only else shown).cast(format)

def to_pickle(value):
    return pickle.dumps(value, 4)

of_pickle = pickle.loads
)py";

/// Guards the making of the interpreter. A fork takes it too, so that no child has half of one.
inline std::mutex making_mutex;
inline constinit thread_local bool makes_interpreter = false;

// --- forks ---

/// What a thread that forks has done about Python before.
struct ForkOfThread {
    bool is_prepared = false;
    bool has_mutex = false;
    int before = -1;  // of PyGILState_Ensure; -1: the global lock was not taken
};
inline constinit thread_local ForkOfThread fork_of_thread;

// These three run around every fork of the process. Without the global lock the child would wait
// for ever for a thread that it does not have. A fork that Python itself makes (os.fork) comes with
// the lock held, and does all of it by itself. So may a fork of C++ come, in a program with a
// Python of its own; it does nothing by itself. The mutex is not touched once Python is there: a
// thread that waits for the lock must not have what one needs that has it.
inline void prepare_python_for_fork() noexcept {
    ForkOfThread& now = fork_of_thread;
    if (makes_interpreter || now.is_prepared) return;
    now.is_prepared = true;
    if (made_interpreter.load(std::memory_order_acquire) == nullptr) {
        making_mutex.lock();
        now.has_mutex = true;
    }
    const Interpreter* const made = made_interpreter.load(std::memory_order_acquire);
    if (made == nullptr || interpreter_has_ended.load()) return;
    if (made->api.PyGILState_Check() != 0 && made->api.PyList_Size(made->forking) > 0) return;
    // Its state stays in the child. Without any, Python 3.11 cannot make another one.
    know_this_thread();
    now.before = made->api.PyGILState_Ensure();
    made->api.PyOS_BeforeFork();
}
inline void end_fork(void (*Api::*end)()) noexcept {
    const ForkOfThread before = std::exchange(fork_of_thread, ForkOfThread{});
    if (before.before >= 0) {
        (api().*end)();
        api().PyGILState_Release(before.before);
    }
    if (before.has_mutex) making_mutex.unlock();
}
inline void continue_python_in_parent() noexcept { end_fork(&Api::PyOS_AfterFork_Parent); }
inline void continue_python_in_child() noexcept { end_fork(&Api::PyOS_AfterFork_Child); }

inline int add_fork_hooks() noexcept {
    return ::pthread_atfork(prepare_python_for_fork, continue_python_in_parent,
                            continue_python_in_child);
}
/// At the program's start: later, a fork could come between the making and this. They are added a
/// second time when Python is made, and then run before those of the process's state: os.fork comes
/// with Python's lock and then takes that of the state, so all forks have to. The second run of the
/// same fork does nothing.
inline const int fork_hooks_are_there = add_fork_hooks();

// --- the making ---

/// Loads a libpython. Its names become visible to the modules of Python that are written in C,
/// which may not be linked to it. It stays for good.
inline void* load_library(const std::string& path) {
    void* const image = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (image == nullptr) {
        throw RuntimeError("mp::python: " + path + " cannot be loaded: " + ::dlerror());
    }
    return image;
}

inline void check_version(const Api& api) {
    const std::string_view version = api.Py_GetVersion();
    const int minor = version.starts_with("3.") ? std::atoi(version.data() + 2) : 0;
    if (minor >= 8) return;
    throw RuntimeError("mp::python: this is Python " +
                       std::string(version.substr(0, version.find(' '))) +
                       "; 3.8 or newer is needed. Name another one in MULTIPROCESSING_PYTHON");
}

/// Says whether texts would be ASCII alone, as where LANG is not set. @see PEP 540
inline bool locale_is_ascii() noexcept {
    const locale_t locale = ::newlocale(LC_CTYPE_MASK, "", locale_t{});
    if (locale == locale_t{}) return true;  // there is none of the name: it is C
    const bool is_ascii = std::string_view(::nl_langinfo_l(CODESET, locale)) == "ANSI_X3.4-1968";
    ::freelocale(locale);
    return is_ascii;
}

/// Starts Python as `python3` would be, without its signal handlers.
inline void start(const Api& api, const std::string& program) {
    // The program python3 does this by itself, a library does not.
    if (api.Py_UTF8Mode != nullptr && *api.Py_UTF8Mode <= 0 && locale_is_ascii()) {
        *api.Py_UTF8Mode = 1;
    }
    if (!program.empty()) {
        // Python keeps the pointer.
        if (const wchar_t* const name = api.Py_DecodeLocale(program.c_str(), nullptr)) {
            api.Py_SetProgramName(name);
        }
    }
    api.Py_InitializeEx(0);
}

/// Runs the helpers, and takes what they have. @pre the global lock
inline void take_helpers(Interpreter& made, bool is_new) {
    const Api& api = made.api;
    Object* const names = api.PyDict_New();
    api.PyDict_SetItemString(names, "is_new", is_new ? api.True : api.False);
    api.PyDict_SetItemString(names, "__name__", api.PyUnicode_FromStringAndSize("helpers", 7));
    api.PyDict_SetItemString(names, "__builtins__", api.PyImport_ImportModule("builtins"));
    Object* const code = api.Py_CompileString(helpers, "<multiprocessing>", file_input);
    Object* const result = code != nullptr ? api.PyEval_EvalCode(code, names, names) : nullptr;
    if (result == nullptr) {
        api.PyErr_Clear();
        throw RuntimeError(
            "mp::python: Python's own modules io and pickle cannot be imported: is its standard "
            "library there (Debian, Ubuntu: the package libpython3-stdlib)?");
    }
    made.resolve = api.PyDict_GetItemString(names, "resolve");
    made.describe = api.PyDict_GetItemString(names, "describe");
    made.view = api.PyDict_GetItemString(names, "view");
    made.fields = api.PyDict_GetItemString(names, "fields");
    made.to_pickle = api.PyDict_GetItemString(names, "to_pickle");
    made.of_pickle = api.PyDict_GetItemString(names, "of_pickle");
    made.pending = api.PyDict_GetItemString(names, "pending");
    made.forking = api.PyDict_GetItemString(names, "forking");
    made.flush = api.PyDict_GetItemString(names, "flush");
}

/// Returns the path of a libpython that this process has loaded where its names are not seen, as
/// for a plugin; else nothing. Two in one process would mix up each other's names.
inline std::string loaded_library() {
    std::string path;
    ::dl_iterate_phdr(
        [](dl_phdr_info* image, std::size_t, void* found) {
            const std::string_view name = image->dlpi_name;
            const std::size_t file = name.rfind('/') + 1;
            if (!name.substr(file).starts_with("libpython3.") || name.ends_with("libpython3.so")) {
                return 0;
            }
            *static_cast<std::string*>(found) = name;
            return 1;
        },
        &path);
    return path;
}

inline std::unique_ptr<Interpreter> load_interpreter(std::string& program) {
    // The program may have Python in it already, as where it is a module of one.
    if (::dlsym(RTLD_DEFAULT, "Py_IsInitialized") != nullptr) {
        return std::make_unique<Interpreter>(Interpreter{Api(RTLD_DEFAULT)});
    }
    const std::string loaded = loaded_library();
    const Location location =
        loaded.empty() ? find_python() : Location{loaded, program_beside(loaded)};
    program = location.program;
    return std::make_unique<Interpreter>(Interpreter{Api(load_library(location.library))});
}

inline const Interpreter& make_interpreter() {
    const std::lock_guard guard(making_mutex);
    if (const Interpreter* const made = made_interpreter.load()) return *made;
    struct Making {
        Making() { makes_interpreter = true; }
        ~Making() { makes_interpreter = false; }
    } const making;
    static_cast<void>(state());  // its fork hooks come first, and so run last
    static const int later_fork_hooks = add_fork_hooks();
    static_cast<void>(later_fork_hooks);
    std::string program;
    std::unique_ptr<Interpreter> made = load_interpreter(program);
    check_version(made->api);
    const bool is_new = made->api.Py_IsInitialized() == 0;
    if (is_new) start(made->api, program);
    const int before = is_new ? 0 : made->api.PyGILState_Ensure();
    struct Unlocking {
        const Api& api;
        bool is_new;
        int before;
        ~Unlocking() {
            // This thread's state stays, also when the thread ends: it is Python's main thread.
            if (is_new) api.PyEval_SaveThread();
            if (!is_new) api.PyGILState_Release(before);
        }
    } const unlocking{made->api, is_new, before};
    take_helpers(*made, is_new);
    made->api.Py_AtExit([] { interpreter_has_ended.store(true); });
    made_interpreter.store(made.get(), std::memory_order_release);
    return *made.release();  // Python cannot be ended and started again
}

// --- use ---

inline void throw_ended() {
    throw RuntimeError(
        "mp::python: the program has ended its Python, and functions of it can no longer be "
        "called. Do not call Py_Finalize before the last of them");
}

inline void sleep_for_good() noexcept {
    for (;;) ::pause();
}

inline KnownThread::KnownThread() noexcept {
    if (api().PyGILState_GetThisThreadState() != nullptr) return;
    before_ = within_python([] { return api().PyGILState_Ensure(); });
    state_ = api().PyEval_SaveThread();
}

inline KnownThread::~KnownThread() {
    // The program ends: it must not wait for a thread that runs Python.
    if (state_ == nullptr || interpreter_has_ended.load() || ::getpid() == ::gettid()) return;
    within_python([this] { api().PyEval_RestoreThread(state_); });
    api().PyGILState_Release(before_);
}

inline void flush_output() noexcept {
    if (api().PyList_Size(interpreter().pending) == 0) return;
    const Reference done(call_object(interpreter().flush));
    if (!done) api().PyErr_Clear();  // as print() to a closed descriptor: there is nobody to tell
}

}  // namespace multiprocessing::detail::pythons
