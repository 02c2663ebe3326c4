// multiprocessing/remote/pickle/globals.ipp
//
// The closed set, see globals.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/globals.hpp"

#include <iterator>
#include <string>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/pickle/attached.hpp"

namespace multiprocessing::detail::pickles {

inline constexpr std::string_view managers = "multiprocessing.managers";
inline constexpr std::string_view context = "multiprocessing.context";

inline constexpr Global globals[] = {
    {"builtins", "list", Role::list},
    {"builtins", "tuple", Role::tuple},
    {"builtins", "set", Role::set},
    {"builtins", "frozenset", Role::frozenset},
    {"builtins", "bytes", Role::bytes},
    {"builtins", "bytearray", Role::bytearray},
    {"builtins", "complex", Role::complex},
    {"builtins", "slice"},
    {"_codecs", "encode", Role::codec_encode},
    {"array", "array"},
    {"array", "_array_reconstructor"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy.core.numeric", "_frombuffer"},
    {"numpy", "ndarray"},
    {"numpy", "dtype"},
    {family_module, object_maker},
    {family_module, view_maker},
    {managers, "Token"},
    {managers, "RebuildProxy"},
    {managers, "AutoProxy"},
    {managers, "ArrayProxy"},
    {managers, "AcquirerProxy"},
    {managers, "BarrierProxy"},
    {managers, "BaseListProxy"},
    {managers, "BasePoolProxy"},
    {managers, "BaseProxy"},
    {managers, "ConditionProxy"},
    {managers, "DictProxy"},
    {managers, "EventProxy"},
    {managers, "IteratorProxy"},
    {managers, "ListProxy"},
    {managers, "NamespaceProxy"},
    {managers, "PoolProxy"},
    {managers, "SetProxy"},
    {managers, "ValueProxy"},
    {managers, "Namespace"},
    {managers, "Value"},
    {managers, "RemoteError", Role::exception},
    {context, "ProcessError", Role::exception},
    {context, "BufferTooShort", Role::exception},
    {context, "TimeoutError", Role::exception},
    {context, "AuthenticationError", Role::exception},
    {"queue", "Empty", Role::exception},
    {"queue", "Full", Role::exception},
    {"queue", "ShutDown", Role::exception},
    {"threading", "BrokenBarrierError", Role::exception},
    {"concurrent.futures._base", "CancelledError", Role::exception},
    {"concurrent.futures.process", "BrokenProcessPool", Role::exception},
    {"builtins", "ArithmeticError", Role::exception},
    {"builtins", "AssertionError", Role::exception},
    {"builtins", "AttributeError", Role::exception},
    {"builtins", "BaseException", Role::exception},
    {"builtins", "BaseExceptionGroup", Role::exception},
    {"builtins", "BlockingIOError", Role::exception},
    {"builtins", "BrokenPipeError", Role::exception},
    {"builtins", "BufferError", Role::exception},
    {"builtins", "BytesWarning", Role::exception},
    {"builtins", "ChildProcessError", Role::exception},
    {"builtins", "ConnectionAbortedError", Role::exception},
    {"builtins", "ConnectionError", Role::exception},
    {"builtins", "ConnectionRefusedError", Role::exception},
    {"builtins", "ConnectionResetError", Role::exception},
    {"builtins", "DeprecationWarning", Role::exception},
    {"builtins", "EOFError", Role::exception},
    {"builtins", "EncodingWarning", Role::exception},
    {"builtins", "Exception", Role::exception},
    {"builtins", "ExceptionGroup", Role::exception},
    {"builtins", "FileExistsError", Role::exception},
    {"builtins", "FileNotFoundError", Role::exception},
    {"builtins", "FloatingPointError", Role::exception},
    {"builtins", "FutureWarning", Role::exception},
    {"builtins", "GeneratorExit", Role::exception},
    {"builtins", "ImportError", Role::exception},
    {"builtins", "ImportWarning", Role::exception},
    {"builtins", "IndentationError", Role::exception},
    {"builtins", "IndexError", Role::exception},
    {"builtins", "InterruptedError", Role::exception},
    {"builtins", "IsADirectoryError", Role::exception},
    {"builtins", "KeyError", Role::exception},
    {"builtins", "KeyboardInterrupt", Role::exception},
    {"builtins", "LookupError", Role::exception},
    {"builtins", "MemoryError", Role::exception},
    {"builtins", "ModuleNotFoundError", Role::exception},
    {"builtins", "NameError", Role::exception},
    {"builtins", "NotADirectoryError", Role::exception},
    {"builtins", "NotImplementedError", Role::exception},
    {"builtins", "OSError", Role::exception},
    {"builtins", "OverflowError", Role::exception},
    {"builtins", "PendingDeprecationWarning", Role::exception},
    {"builtins", "PermissionError", Role::exception},
    {"builtins", "ProcessLookupError", Role::exception},
    {"builtins", "PythonFinalizationError", Role::exception},
    {"builtins", "RecursionError", Role::exception},
    {"builtins", "ReferenceError", Role::exception},
    {"builtins", "ResourceWarning", Role::exception},
    {"builtins", "RuntimeError", Role::exception},
    {"builtins", "RuntimeWarning", Role::exception},
    {"builtins", "StopAsyncIteration", Role::exception},
    {"builtins", "StopIteration", Role::exception},
    {"builtins", "SyntaxError", Role::exception},
    {"builtins", "SyntaxWarning", Role::exception},
    {"builtins", "SystemError", Role::exception},
    {"builtins", "SystemExit", Role::exception},
    {"builtins", "TabError", Role::exception},
    {"builtins", "TimeoutError", Role::exception},
    {"builtins", "TypeError", Role::exception},
    {"builtins", "UnboundLocalError", Role::exception},
    {"builtins", "UnicodeDecodeError", Role::exception},
    {"builtins", "UnicodeEncodeError", Role::exception},
    {"builtins", "UnicodeError", Role::exception},
    {"builtins", "UnicodeTranslateError", Role::exception},
    {"builtins", "UnicodeWarning", Role::exception},
    {"builtins", "UserWarning", Role::exception},
    {"builtins", "ValueError", Role::exception},
    {"builtins", "Warning", Role::exception},
    {"builtins", "ZeroDivisionError", Role::exception},
};

/// A module that has, or had, another name in some version of Python, or in protocol 2.
struct ModuleAlias {
    std::string_view alias;
    std::string_view module;
};
inline constexpr ModuleAlias module_aliases[] = {
    {"__builtin__", "builtins"},
    {"exceptions", "builtins"},
    {"Queue", "queue"},
    {"_queue", "queue"},
    {"multiprocessing", context},
    {"numpy._core.multiarray", "numpy.core.multiarray"},
    {"numpy._core.numeric", "numpy.core.numeric"},
    {"asyncio.exceptions", "concurrent.futures._base"},
};

inline std::uint32_t find_global(std::string_view module, std::string_view name) {
    std::string_view known = module;
    for (const ModuleAlias& alias : module_aliases) {
        if (module == alias.alias) known = alias.module;
    }
    for (std::uint32_t number = 0; number < std::size(globals); ++number) {
        if (globals[number].name == name && globals[number].module == known) return number;
    }
    throw TypeError(
        "a pickle names " + std::string(module.substr(0, 200)) + "." +
        std::string(name.substr(0, 200)) +
        ", which is not among the Python types that travel; send plain values (numbers, "
        "texts, lists, dicts) in its place");
}

inline const Global& global_at(std::uint32_t number) noexcept { return globals[number]; }

}  // namespace multiprocessing::detail::pickles
