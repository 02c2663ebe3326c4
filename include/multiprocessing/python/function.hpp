// multiprocessing/python/function.hpp
//
// A function of Python that C++ calls, here or in another process. Floor 10. Start at function.
// SPDX-License-Identifier: MIT
#pragma once

#include <cereal/access.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/python/containers.hpp"
#include "multiprocessing/python/error.hpp"
#include "multiprocessing/python/interpreter.hpp"
#include "multiprocessing/python/views.hpp"

namespace multiprocessing::detail::pythons {

/// Throws the ValueError for a name that is not "module:name". Returns the name.
std::string checked_name(std::string name);

/// Returns the function of this name. The first call in a process imports its module.
/// @throws Failure what the import raises @pre the Gil
Object* find_function(const std::string& name);

/// Runs `body` with the global lock, and writes what it has printed.
/// @throws what it throws; instead of a Failure, the exception that it stands for
template <class Body>
auto with_python(Body body) {
    try {
        const Gil gil;
        struct Flushing {
            ~Flushing() { flush_output(); }
        } const flushing;
        return body();
    } catch (const Failure& failure) {
        raise(failure);
    }
}

}  // namespace multiprocessing::detail::pythons

namespace multiprocessing::python {

template <class Signature>
class function;

/// A function of Python as a function of C++. It can be called here, and it travels: it can be the
/// function of a Pool, ThreadPool, Process or executor, under every start method.
///
///     mp::python::function<double(std::vector<double>)> mean("statistics:fmean");
///     std::vector<double> means = pool.map(mean, rows);
///
/// Each process has one interpreter, which its first call makes. The module is imported by the
/// first call that needs it, from where python3 would import it, and from the current folder.
/// Arguments and results are converted as in the table of pickle::dumps. A RawArray, an Array, a
/// SharedMemory or a Shared vector of numbers as an argument is a memoryview of the elements
/// themselves, and they live as long as a view does. The view cannot be written to when the object
/// is frozen. An Array's lock is not taken. That of a Shared vector is held until the last view is
/// gone, unless it is frozen. A vector is also made of a numpy array, an array.array or a
/// memoryview of numbers, and of all else that can be walked over; so is an array, which then stays
/// in shared memory. A struct is also made of a named tuple or a dataclass, field by field.
///
/// **Blocking** One thread of a process runs Python at a time: threads gain nothing, processes do.
/// **Processes** A process may be forked after Python has run in it, by any thread. A function that
/// crashes costs a pool its worker: WorkerLost. What Python has printed is written when a line is
/// complete, or the call ends. Python itself is never ended: its atexit functions do not run.
template <class R, class... Args>
class function<R(Args...)> {
  public:
    /// @param name "module:name" or "module:Class.method"; it is not looked for yet
    /// @throws ValueError when it is not of this form
    explicit function(std::string name) : name_(detail::pythons::checked_name(std::move(name))) {
        (detail::pythons::require_converts<std::remove_cvref_t<Args>>(), ...);
        if constexpr (!std::is_void_v<R>) detail::pythons::require_converts<R>();
    }

    /// Calls the function.
    /// @throws ValueError, TypeError, KeyError, IndexError and their like,
    ///         std::system_error, std::overflow_error, std::bad_alloc as what Python raises by
    ///         these names, with a python::Error nested
    /// @throws python::Error for any other exception of Python, such as ZeroDivisionError
    /// @throws TypeError when the result is not of type R
    /// @throws RuntimeError when there is no Python, or the program has ended its own
    R operator()(Args... args) const {
        namespace pythons = detail::pythons;
        return pythons::with_python([&]() -> R {
            pythons::Object* const callee = pythons::find_function(name_);
            const pythons::Reference result = call(callee, pythons::make_object(args)...);
            if constexpr (!std::is_void_v<R>) {
                return pythons::take_value<std::remove_cv_t<R>>(result.get());
            }
        });
    }

    /// Returns the name that the constructor was given.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Two functions are equal when their names are.
    friend bool operator==(const function&, const function&) = default;
    friend std::string text_of(const function& function) {
        return "<python function " + function.name_ + ">";
    }

  private:
    friend class cereal::access;
    function() = default;

    template <class... References>
    static detail::pythons::Reference call(detail::pythons::Object* callee,
                                           const References&... arguments) {
        return detail::pythons::checked(detail::pythons::call_object(callee, arguments.get()...));
    }

    template <class Archive>
    void serialize(Archive& archive) {
        archive(name_);
    }

    std::string name_;
};

/// Imports a module, as a pool's initializer does, or the fork server before it forks:
///
///     mp::set_forkserver_preload(mp::python::import, "numpy");
///
/// @throws what the import raises, as a function does
void import(const std::string& module);

}  // namespace multiprocessing::python

#include "multiprocessing/python/function.ipp"
