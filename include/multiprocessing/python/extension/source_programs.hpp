// multiprocessing/python/extension/source_programs.hpp
//
// Program of the module multiprocessing_cpp, in Python: a program of C++ as a child. Floor 10.
// SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail::pythons::extension {

inline constexpr const char* source_of_programs = R"py(
def _given(value):
    if type(value) is SharedMemory or (type(value).__module__, type(value).__name__) == (
            "multiprocessing.shared_memory", "SharedMemory"):
        return b"SharedMemory", b"", None, _dumps(value.name)
    if hasattr(value, "_kind") and hasattr(value, "_handle"):
        return value._kind.encode(), value._item.encode(), value._handle, b""
    return b"", b"", None, _dumps(value)

class Program:
    """A program of C++ as a child, which gets these objects as mp::python::Arguments.

    `command` is its path, or a list of the path and arguments."""

    def __init__(self, command, *objects, name=None, daemon=False):
        import os
        parts = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
        if not parts:
            raise ValueError("a Program needs a path")
        self._command = [os.fsencode(part) for part in parts]
        self._objects = [_given(value) for value in objects]
        self._handle = _program_new((name or "").encode(), daemon)

    def start(self):
        _program_start(self._handle, self._command, self._objects)
        self._objects = []

    def join(self, timeout=None):
        _program_join(self._handle, timeout)

    def is_alive(self):
        return _program_is_alive(self._handle)

    def terminate(self):
        _program_signal(self._handle, 15)

    def kill(self):
        _program_signal(self._handle, 9)

    @property
    def name(self):
        return _program_label(self._handle).decode()

    @property
    def pid(self):
        return _program_pid(self._handle)

    ident = pid

    @property
    def exitcode(self):
        return _program_exitcode(self._handle)

    @property
    def sentinel(self):
        return _program_sentinel(self._handle)

    def __repr__(self):
        return _program_text(self._handle).decode().replace("<Process", "<Program", 1)
)py";

}  // namespace multiprocessing::detail::pythons::extension
