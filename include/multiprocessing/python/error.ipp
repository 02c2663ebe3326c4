// multiprocessing/python/error.ipp
//
// Which exception of Python is which of C++, see error.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/error.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

namespace multiprocessing::python {

inline Error::Error(std::string type_name, std::string message, std::string traceback,
                    std::string process_name, pid_t pid)
    : RemoteError(std::move(type_name), std::move(message), std::move(process_name), pid),
      traceback_(std::move(traceback)),
      what_(detail::joined({RemoteError::what(), traceback_.empty() ? "" : "\n", traceback_})) {}

}  // namespace multiprocessing::python

namespace multiprocessing::detail::pythons {

/// How an Error reaches another process.
struct ErrorWay {
    static void save(OutputArchive& archive) {
        with_current_exception<python::Error>([&](const python::Error& error) {
            archive(error.type_name(), error.message(), error.traceback(), error.process_name(),
                    error.pid());
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        auto type = load_value<std::string>(archive);
        auto message = load_value<std::string>(archive);
        auto traceback = load_value<std::string>(archive);
        auto process = load_value<std::string>(archive);
        const auto pid = load_value<pid_t>(archive);
        return caught([&] {
            throw python::Error(std::move(type), std::move(message), std::move(traceback),
                                std::move(process), pid);
        });
    }
};

inline bool register_error() {
    static ExceptionWay way{&typeid(python::Error),
                            nullptr,
                            nullptr,
                            0,
                            ErrorWay::save,
                            ErrorWay::load,
                            nest_one_of<python::Error, python::Error>};
    add_exception(&way);
    return true;
}
/// At the program's start, so in every process of the family.
inline const bool error_is_registered = register_error();

/// Returns an item of a tuple as a text. @pre it is one that `describe` made
inline std::string described(Object* tuple, ssize_t index) {
    ssize_t size = 0;
    const char* const text =
        api().PyUnicode_AsUTF8AndSize(api().PyTuple_GetItem(tuple, index), &size);
    if (text == nullptr) api().PyErr_Clear();
    return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

inline void throw_failure() {
    Object* type = nullptr;
    Object* error = nullptr;
    Object* traceback = nullptr;
    api().PyErr_Fetch(&type, &error, &traceback);
    api().PyErr_NormalizeException(&type, &error, &traceback);
    if (error != nullptr && traceback != nullptr) {
        api().PyException_SetTraceback(error, traceback);
    }
    const Reference owned[] = {Reference(type), Reference(error), Reference(traceback)};
    const Reference texts(error == nullptr ? nullptr : call_object(interpreter().describe, error));
    if (!texts) {
        api().PyErr_Clear();
        throw Failure{"builtins", "SystemError", "an exception that cannot be described", "", 0,
                      ""};
    }
    Object* const tuple = texts.get();
    const long long number = api().PyLong_AsLongLong(api().PyTuple_GetItem(tuple, 4));
    throw Failure{described(tuple, 0), described(tuple, 1),      described(tuple, 2),
                  described(tuple, 3), static_cast<int>(number), described(tuple, 5)};
}

/// Throws the exception of C++ that has the same name, if there is one.
inline void throw_namesake(const Failure& failure) {
    if (failure.number != 0) {
        const std::error_code code(failure.number, std::generic_category());
        if (failure.file.empty() || failure.file == code.message()) throw std::system_error(code);
        throw std::system_error(code, failure.file);
    }
    for (const pickles::ExceptionPair& known : pickles::exception_pairs) {
        if (known.name == failure.name && known.module == failure.module) {
            known.raise(failure.message);
        }
    }
}

inline void raise(const Failure& failure) {
    const std::string type =
        failure.module == "builtins" ? failure.name : failure.module + "." + failure.name;
    const auto error = std::make_exception_ptr(python::Error(
        type, failure.message, failure.traceback, current_process().name(), ::getpid()));
    try {
        throw_namesake(failure);
    } catch (...) {
        const ExceptionWay* const way = find_exception(abi::__cxa_current_exception_type()->name());
        if (way == nullptr || way->nest == nullptr) throw;
        way->nest(way->number, error);
    }
    std::rethrow_exception(error);
}

}  // namespace multiprocessing::detail::pythons
