// multiprocessing/python/extension/source.hpp
//
// The classes of the module multiprocessing_cpp, in Python: what Python's own multiprocessing says
// in Python, too. Each keeps a capsule with a counted handle, and calls the functions of
// module.hpp, which have an underscore before their names. It is for Python 3.8 and later.
// Floor 10. Start at source_of_base. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/extension/source_managers.hpp"
#include "multiprocessing/python/extension/source_memory.hpp"
#include "multiprocessing/python/extension/source_programs.hpp"
#include "multiprocessing/python/extension/source_queues.hpp"
#include "multiprocessing/python/extension/source_synchronize.hpp"

namespace multiprocessing::detail::pythons::extension {

// How objects go to other processes. Handles go to a forked child by themselves. A child that
// Python's own multiprocessing spawns gets the numbers of the family's descriptors, and where the
// object is; the Popen object of the child keeps a handle for as long as it lives, so that there is
// one when the child arrives.
inline constexpr const char* source_of_base = R"py(
import pickle
import queue
import sys
import threading
from io import BytesIO
from multiprocessing import ProcessError, TimeoutError
from multiprocessing import context as _context
from multiprocessing import reduction as _reduction
from queue import Empty, Full
from threading import BrokenBarrierError

class AbandonedError(ProcessError):
    """The process that held the lock died. What the lock guards may be half written."""

if hasattr(queue, "ShutDown"):
    from queue import ShutDown
else:
    class ShutDown(Exception):
        """The queue was shut down."""

_exceptions = {error.__name__: error for error in (
    AbandonedError, ShutDown, BrokenBarrierError, KeyError, IndexError, TypeError, ValueError,
    AssertionError, MemoryError, OSError, RuntimeError)}

# --- pickles ---

_plain = frozenset((int, float, bool, str, bytes, type(None)))
_loads = pickle.loads
_reducers = _reduction.ForkingPickler(BytesIO()).dispatch_table  # also of those registered later

def _dumps(value):
    """A pickle of protocol 4, which C++ reads, with what multiprocessing knows how to pickle."""
    if type(value) in _plain:
        return pickle.dumps(value, 4)
    file = BytesIO()
    pickler = pickle.Pickler(file, 4)
    pickler.dispatch_table = _reducers
    pickler.dump(value)
    return file.getvalue()

# --- objects ---

_classes = {}  # by kind

def _known(cls):
    _classes[cls._kind] = cls
    return cls

class _Shared:
    """An object in shared memory. `_kind` and `_item` say what it is, in both languages."""
    _item = ""

    def _take(self, handle, item):
        """Makes this object one of a handle that has arrived."""
        if item != self._item:
            raise TypeError(f"a {self._kind} of {item!r} is no {self._kind} of {self._item!r}")
        self._handle = handle
        return self

    def __eq__(self, other):
        if not isinstance(other, _Shared):
            return NotImplemented
        return _handle_offset(self._handle) == _handle_offset(other._handle)

    def __hash__(self):
        return hash(_handle_offset(self._handle))

    def __reduce__(self):
        return _departing(self)

    def __copy__(self):
        return self

def _arrived(kind, item, handle):
    if kind not in _classes:
        raise TypeError(f"this version of multiprocessing_cpp has no {kind}")
    cls = _classes[kind]
    return cls._arrive(handle, item) if hasattr(cls, "_arrive") else cls.__new__(cls)._take(
        handle, item)

def _departing(shared):
    popen = _context.get_spawning_popen()
    if popen is None:
        raise RuntimeError(f"{shared._kind} objects should only be shared between processes "
                           "through inheritance")
    kept = popen.__dict__.setdefault("_multiprocessing_cpp", {})
    if not kept:
        kept["family"] = tuple(_reduction.DupFd(fd) for fd in _family_descriptors())
    kept[id(shared)] = shared
    handle = shared._handle
    return _arriving, (shared._kind, shared._item, _handle_offset(handle), _handle_kind(handle),
                       _family_token(), _family_layout(), kept["family"])

def _arriving(kind, item, offset, number, token, layout, family):
    if not _family_is_known(token):
        _family_join(*(fd.detach() for fd in family), layout)
    return _arrived(kind, item, _handle_at(offset, number))
)py";

// Last, when all classes are known.
inline constexpr const char* source_of_end = R"py(
def _argument(kind, item, handle, value):
    return _arrived(kind.decode(), item.decode(), handle) if kind else _loads(value)

arguments = tuple(_argument(*parts) for parts in _family_arguments())
"""What the C++ program has given that started this one as mp::python::Process."""

__all__ = ["AbandonedError", "Array", "Barrier", "BoundedSemaphore", "BrokenBarrierError",
           "Condition", "Empty", "Event", "Full", "JoinableQueue", "Lock", "Manager",
           "ProcessError", "Program", "Queue", "RLock", "RawArray", "RawValue", "Semaphore", "ShutDown",
           "SimpleQueue", "TimeoutError", "Value", "arguments"]
)py";

/// The parts of the source after the base, in order.
inline constexpr const char* sources[] = {source_of_queues,   source_of_synchronize,
                                          source_of_memory,   source_of_managers,
                                          source_of_programs, source_of_end};

}  // namespace multiprocessing::detail::pythons::extension
