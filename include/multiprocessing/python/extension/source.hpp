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
_plain_dumps, _plain_loads = pickle.dumps, pickle.loads
_reducers = _reduction.ForkingPickler(BytesIO()).dispatch_table
_large_block = 1 << 16  # bytes from which on an array has a block of its own

class _Items(threading.local):
    """The handles of the item that this thread is putting, or taking."""
    put = taken = None

_items = _Items()

def _dumps(value, with_blocks=False):
    """An item: a pickle that C++ reads, with what multiprocessing knows how to pickle. If objects
    or blocks go with it, a tuple of it and these."""
    if type(value) in _plain:
        return _plain_dumps(value, 4)
    if _numpy_array is None and "numpy" in sys.modules:
        _know_numpy()
    blocks, objects = [], []

    def keep_inside(buffer):
        memory = buffer.raw()
        if memory.nbytes < _large_block:
            return True
        blocks.append((_block_new(memory, memoryview(buffer).itemsize), memory.nbytes))

    file = BytesIO()
    pickler = pickle.Pickler(file, 5, buffer_callback=keep_inside if with_blocks else None)
    pickler.dispatch_table = _reducers
    before, _items.put = _items.put, objects
    try:
        pickler.dump(value)
    finally:
        _items.put = before
    return (file.getvalue(), blocks, objects) if blocks or objects else file.getvalue()

def _loads(item):
    try:
        if type(item) is not tuple:
            return _plain_loads(item)
        data, blocks, objects = item
        before, _items.taken = _items.taken, objects
        try:
            return pickle.loads(data, buffers=blocks)
        finally:
            _items.taken = before
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("numpy"):
            raise
    return _loads_without_numpy(item)

def _taken(kind, item, number):
    if _items.taken is None:
        raise RuntimeError(f"{kind} objects should only be shared between processes through "
                           "inheritance, and queues")
    return _arrived(kind, item, _items.taken[number])

# --- arrays ---

_integers = {1: "b", 2: "h", 4: "i", 8: "q"}

def _letter_of_view(view):
    """The letter of the elements' type that C++ has too; '' for others."""
    order, letter = view.format[:-1], view.format[-1:]
    if order not in ("", "@", "=", "<" if sys.byteorder == "little" else ">"):
        return ""
    if letter in "bhilqn":
        return _integers[view.itemsize]
    if letter in "BHILQNP":
        return _integers[view.itemsize].upper()
    return letter if letter in "?cfd" else ""

def _reduce_view(view):
    letter = _letter_of_view(view)
    if not letter:
        raise TypeError(f"cannot pickle a memoryview of format {view.format!r}")
    memory = pickle.PickleBuffer(view if view.c_contiguous else view.tobytes())
    return _viewed, (memory, letter, view.shape)

def _viewed(memory, letter, shape):
    view = memoryview(memory).cast("B")
    if len(shape) == 1 or 0 in shape:
        return view.cast(letter)
    return view.cast(letter, shape)

_reducers[memoryview] = _reduce_view

_numpy_array = None  # its class, once the program has imported numpy

def _know_numpy():
    global _numpy_array
    _numpy_array = getattr(sys.modules["numpy"], "ndarray", None)  # it may be half imported
    if _numpy_array is not None:
        _reducers[_numpy_array] = _reduce_array

def _reduce_array(array):
    if not (array.flags.forc or array.dtype.hasobject):
        array = array.copy("C")  # only what lies in a row becomes a block
    return array.__reduce_ex__(5)

class _Dtype:
    """Stands for numpy.dtype where there is no numpy."""
    letters = {"b1": "?", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
               "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}

    def __init__(self, name, align=False, copy=False):
        self.letter = self.letters.get(name, "")

    def __setstate__(self, state):
        if state[1] not in ("=", "|", "<" if sys.byteorder == "little" else ">"):
            self.letter = ""

def _array_as_view(memory, dtype, shape, order):
    """A numpy array where there is no numpy: a memoryview, of bytes if its elements are no
    numbers of this machine."""
    if not dtype.letter:
        return memoryview(memory).cast("B")
    if order == "F":
        shape = memoryview(memory).nbytes,  # in the order in which they lie
    return _viewed(memory, dtype.letter, shape)

class _Unpickler(pickle.Unpickler):
    """For arrays of another version of numpy, and where there is none."""
    def find_class(self, module, name):
        renamed = (module.replace("numpy._core", "numpy.core") if "_core" in module else
                   module.replace("numpy.core", "numpy._core"))
        try:
            return super().find_class(module, name)
        except ModuleNotFoundError as error:
            missing = error
        try:
            return super().find_class(renamed, name)
        except ModuleNotFoundError:
            pass
        if (module + "." + name).startswith("numpy") and sys.modules.get("numpy") is None:
            if name == "_frombuffer":
                return _array_as_view
            if name == "dtype":
                return _Dtype
        raise missing

def _loads_without_numpy(item):
    data, blocks, objects = item if type(item) is tuple else (item, (), None)
    before, _items.taken = _items.taken, objects
    try:
        return _Unpickler(BytesIO(data), buffers=blocks).load()
    finally:
        _items.taken = before

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
    if _items.put is not None:
        _items.put.append(shared._handle)
        return _taken, (shared._kind, shared._item, len(_items.put) - 1)
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
    if kind == b"SharedMemory":
        return SharedMemory(_loads(value))
    return _arrived(kind.decode(), item.decode(), handle) if kind else _loads(value)

def attach(address, authkey):
    """Makes this process one of the family of a C++ program that has an mp::python::Host at this
    address, and returns what that gives: a tuple. Call it before objects are made here."""
    import os
    import socket
    from multiprocessing.connection import Client
    if _family_is_there():
        raise RuntimeError("this process has a family already, or has made objects of its own")
    with Client(address, authkey=authkey) as connection:
        layout, index, generation, parts = connection.recv()
        if layout != _family_layout():
            raise RuntimeError("the host has another version of multiprocessing_cpp")
        with socket.socket(fileno=os.dup(connection.fileno())) as channel:
            descriptors = _reduction.recvfds(channel, 5)
        _family_join(*descriptors, layout)
        _family_arrive(index, generation)
        taken = tuple(_argument(kind.encode(), item.encode(),
                                _handle_at(offset, number) if offset else None, value)
                      for kind, item, offset, number, value in parts)
        connection.send(True)
    return taken

arguments = tuple(_argument(*parts) for parts in _family_arguments())
"""What the C++ program has given that started this one as mp::python::Process."""

__all__ = ["AbandonedError", "Array", "Barrier", "BoundedSemaphore", "BrokenBarrierError",
           "Condition", "Empty", "Event", "Full", "JoinableQueue", "Lock", "Manager",
           "ProcessError", "Program", "Queue", "RLock", "RawArray", "RawValue", "Semaphore",
           "SharedMemory", "SharedVector", "ShutDown", "SimpleQueue", "TimeoutError", "Value",
           "arguments", "attach"]
)py";

/// The parts of the source after the base, in order.
inline constexpr const char* sources[] = {source_of_queues,   source_of_synchronize,
                                          source_of_memory,   source_of_managers,
                                          source_of_programs, source_of_end};

}  // namespace multiprocessing::detail::pythons::extension
