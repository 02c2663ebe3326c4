// multiprocessing/python/extension/source_memory.hpp
//
// Value, Array, RawValue and RawArray of the module multiprocessing_cpp, in Python: objects of
// ctypes over shared memory. Mirrors CPython Lib/multiprocessing/sharedctypes.py. Floor 10.
// SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail::pythons::extension {

// An object of ctypes keeps the handle, and a memoryview or a numpy array of it keeps the object.
// So the memory lives as long as anything refers to it. ctypes is imported with the first of them.
inline constexpr const char* source_of_memory = R"py(
_letters = "cubBhHiIqQfd?"
_same_letters = {"l": "q", "L": "Q"}  # a long has 64 bits here
_names = dict(zip(_letters, (
    "c_char", "c_wchar", "c_byte", "c_ubyte", "c_short", "c_ushort", "c_int", "c_uint",
    "c_longlong", "c_ulonglong", "c_float", "c_double", "c_bool")))

def _letter(typecode_or_type):
    """The letter of a type code of array, or of a class of ctypes."""
    if isinstance(typecode_or_type, str):
        letter = _same_letters.get(typecode_or_type, typecode_or_type)
        if letter in _names:
            return letter
    else:
        import ctypes
        for letter, name in _names.items():
            if typecode_or_type is getattr(ctypes, name):
                return letter
    raise TypeError(f"{typecode_or_type!r} is no type that both languages have: it must be one of "
                    f"{', '.join(_letters)}, l, L, or the class of ctypes")

def _ctype(letter):
    import ctypes
    if letter not in _names:
        raise TypeError(f"{letter!r} is no type that Python has")
    return getattr(ctypes, _names[letter])

_seen_classes = {}

def _seen(kind, letter, size, handle, address):
    """The memory as an object of ctypes: an array of that size, or one value if that is None."""
    key = kind, letter, size
    if key not in _seen_classes:
        base = _ctype(letter) if size is None else _ctype(letter) * size
        _seen_classes[key] = type(base.__name__, (base,), {
            "_kind": kind, "_item": letter, "__reduce__": _departing, "__module__": __name__})
    seen = _seen_classes[key].from_address(address)
    seen._handle = handle
    return seen

def _itemsize(letter):
    import ctypes
    return ctypes.sizeof(_ctype(letter))

class _Raw:
    @staticmethod
    def _arrive_array(handle, letter):
        seen = _seen("RawArray", letter, _array_size(handle), handle, _array_address(handle))
        return memoryview(seen).toreadonly() if _array_frozen(handle) else seen

    @staticmethod
    def _arrive_value(handle, letter):
        return _seen("RawValue", letter, None, handle, _array_address(handle))

_classes["RawArray"] = type("RawArray", (), {"_arrive": staticmethod(_Raw._arrive_array)})
_classes["RawValue"] = type("RawValue", (), {"_arrive": staticmethod(_Raw._arrive_value)})

def _checked_lock(lock):
    """The handle of the lock that is to guard an object; None: it is a lock itself."""
    if lock is True or lock is None:
        return None
    if not isinstance(lock, _Lock):
        raise AttributeError(f"{lock!r} is no Lock or RLock of multiprocessing_cpp")
    return lock._handle

class _Synchronized(_Shared):
    def _see(self, size):
        self._obj = _seen("Raw" + self._kind, self._item, size, self._handle,
                          _guarded_address(self._handle))
        lock = _guarded_lock(self._handle)
        self._lock = _lock_of(self._handle if lock is None else lock)
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def get_obj(self):
        return self._obj

    def get_lock(self):
        return self._lock

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    def __repr__(self):
        return f"<{type(self).__name__} wrapper for {self._obj}>"

@_known
class Synchronized(_Synchronized):
    """What Value returns."""
    _kind = "Value"

    def _take(self, handle, item):
        self._handle, self._item = handle, item
        self._see(None)
        return self

    @property
    def value(self):
        with self._lock:
            return self._obj.value

    @value.setter
    def value(self, value):
        with self._lock:
            self._obj.value = value

@_known
class SynchronizedArray(_Synchronized):
    """What Array returns."""
    _kind = "Array"

    @classmethod
    def _arrive(cls, handle, item):
        cls = SynchronizedString if item == "c" else cls
        self = cls.__new__(cls)
        self._handle, self._item = handle, item
        self._see(_guarded_size(handle))
        return self

    def __len__(self):
        return len(self._obj)

    def __getitem__(self, index):
        with self._lock:
            return self._obj[index]

    def __setitem__(self, index, value):
        with self._lock:
            self._obj[index] = value

class SynchronizedString(SynchronizedArray):
    """What Array returns for the letter c."""
    value = Synchronized.value

    @property
    def raw(self):
        with self._lock:
            return self._obj.raw

    @raw.setter
    def raw(self, value):
        with self._lock:
            self._obj.raw = value

@_known
class SharedVector(_Shared):
    """A vector of numbers of a C++ program: mp::Shared<mp::shared::vector<T>>. Its elements are
    seen where they lie."""
    _kind = "SharedVector"

    def __init__(self):
        raise TypeError("programs of C++ make SharedVectors, and give them to programs of Python")

    def _take(self, handle, item):
        self._handle, self._item = handle, item
        self._lock = _lock_of(handle)
        return self

    def _view(self):
        letter = self._item.encode()
        memory = (_ctype(self._item) * _vector_size(self._handle, letter)).from_address(
            _vector_address(self._handle, letter))
        memory._handle = self._handle
        return memoryview(memory).cast("B").cast("I" if self._item == "u" else self._item)

    def lock(self):
        """A context in which the vector is locked, and which is a memoryview of its elements. The
        view, and numpy arrays of it, are good until its end: others may move the elements then."""
        return _LockedVector(self)

    def frozen(self):
        """A memoryview of the elements of a vector that nobody changes any more, without a lock."""
        if not _vector_frozen(self._handle):
            raise ValueError("the vector is not frozen: use lock()")
        return self._view().toreadonly()

    def get_lock(self):
        return self._lock

    def __len__(self):
        if _vector_frozen(self._handle):
            return len(self._view())
        with self._lock:
            return len(self._view())

    def __repr__(self):
        return f"<SharedVector of {self._item!r}>"

class _LockedVector:
    def __init__(self, vector):
        self._vector = vector

    def __enter__(self):
        self._vector._lock.acquire()
        if _vector_frozen(self._vector._handle):
            self._vector._lock.release()
            raise ValueError("the vector is frozen, and can only be read: use frozen()")
        self._view = self._vector._view()
        return self._view

    def __exit__(self, *args):
        try:
            self._view.release()
        except BufferError:
            pass  # an array of numpy, which may be there until its variable is used again
        self._vector._lock.release()

class SharedMemory:
    """A block of memory that somebody else has made, and removes. It is as that of
    multiprocessing.shared_memory; but the end of this process never removes the block."""
    _kind = "SharedMemory"

    def __init__(self, name):
        import _posixshmem
        import mmap
        import os
        fd = _posixshmem.shm_open("/" + name, os.O_RDWR, 0o600)
        try:
            self.size = os.fstat(fd).st_size
            self._mmap = mmap.mmap(fd, self.size)
        finally:
            os.close(fd)
        self.name = name
        self.buf = memoryview(self._mmap)

    def close(self):
        """Gives up the memory; with the last array that is made of it."""
        if self.buf is not None:
            try:
                self.buf.release()
                self._mmap.close()
            except BufferError:
                pass
            self.buf = self._mmap = None

    def unlink(self):
        import _posixshmem
        _posixshmem.shm_unlink("/" + self.name)

    def __repr__(self):
        return f"SharedMemory({self.name!r}, size={self.size})"

def RawValue(typecode_or_type, *args):
    letter = _letter(typecode_or_type)
    made = _Raw._arrive_value(_array_new(1, _itemsize(letter)), letter)
    made.__init__(*args)
    return made

def Value(typecode_or_type, *args, lock=True):
    if lock is False:
        return RawValue(typecode_or_type, *args)
    letter = _letter(typecode_or_type)
    guard = _checked_lock(lock)
    made = Synchronized.__new__(Synchronized)._take(_guarded_new(1, _itemsize(letter), guard),
                                                    letter)
    made._obj.__init__(*args)
    return made

def _size_and_items(size_or_initializer):
    if isinstance(size_or_initializer, int):
        return size_or_initializer, ()
    items = size_or_initializer if hasattr(size_or_initializer, "__len__") else list(
        size_or_initializer)
    return len(items), items

def RawArray(typecode_or_type, size_or_initializer):
    letter = _letter(typecode_or_type)
    size, items = _size_and_items(size_or_initializer)
    made = _Raw._arrive_array(_array_new(size, _itemsize(letter)), letter)
    if len(items):
        made[:] = items
    return made

def Array(typecode_or_type, size_or_initializer, *, lock=True):
    if lock is False:
        return RawArray(typecode_or_type, size_or_initializer)
    letter = _letter(typecode_or_type)
    size, items = _size_and_items(size_or_initializer)
    guard = _checked_lock(lock)
    made = SynchronizedArray._arrive(_guarded_new(size, _itemsize(letter), guard), letter)
    if len(items):
        made._obj[:] = items
    return made
)py";

}  // namespace multiprocessing::detail::pythons::extension
