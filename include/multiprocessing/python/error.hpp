// multiprocessing/python/error.hpp
//
// How an exception of Python becomes one of C++: its own type where both have it, else
// python::Error. Floor 10. Start at Error. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/interpreter.hpp"

namespace multiprocessing::python {

/// An exception of Python of a type that C++ does not have, with its traceback. It travels between
/// processes as itself.
///
/// A ValueError, TypeError, KeyError, IndexError and their like of Python is thrown as the type of
/// that name instead, an OSError with an errno as std::system_error, an
/// OverflowError as std::overflow_error, a MemoryError as std::bad_alloc. A python::Error, which
/// has the traceback, is then nested in it (std::rethrow_if_nested). A class that is derived from
/// one of these, as UnicodeDecodeError from ValueError, is an Error: it would lose its name.
class Error : public RemoteError {
  public:
    /// @param type_name    as Python writes it: "AttributeError", "json.decoder.JSONDecodeError"
    /// @param message      its str()
    /// @param traceback    as Python prints it; may be empty
    /// @param process_name the name of the process that raised it
    /// @param pid          the id of that process
    Error(std::string type_name, std::string message, std::string traceback,
          std::string process_name, pid_t pid);

    /// Returns the traceback as Python prints it, with the exception in its last line.
    [[nodiscard]] const std::string& traceback() const noexcept { return traceback_; }
    /// Returns the type, the process, the message and the traceback.
    [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

  private:
    std::string traceback_;
    std::string what_;
};

}  // namespace multiprocessing::python

namespace multiprocessing::detail::pythons {

/// An exception of Python on its way through C++: what is known of it, in words. It is caught where
/// the global lock is given up again.
struct Failure {
    std::string module;
    std::string name;
    std::string message;
    std::string traceback;
    int number = 0;    // the errno of an OSError
    std::string file;  // and its file, else its text
};

/// Throws the exception that Python has raised as a Failure, and clears it. @pre the Gil
[[noreturn, gnu::cold]] void throw_failure();

/// Returns an object that a function of Python returned. @throws Failure when it is null
inline Reference checked(Object* owned) {
    if (owned == nullptr) throw_failure();
    return Reference(owned);
}
/// As above, for functions that return -1.
inline void checked(int result) {
    if (result == -1) throw_failure();
}

/// Throws the exception that a Failure stands for.
/// @pre not the Gil: a fork, which waits for it, may hold the lock on this process's name
[[noreturn, gnu::cold]] void raise(const Failure& failure);

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/error.ipp"
