// multiprocessing/python/extension/source_synchronize.hpp
//
// Locks, semaphores, Condition, Event and Barrier of the module multiprocessing_cpp, in Python.
// Mirrors CPython Lib/multiprocessing/synchronize.py. Floor 10. SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail::pythons::extension {

inline constexpr const char* source_of_synchronize = R"py(
class _Lock(_Shared):
    def acquire(self, block=True, timeout=None):
        """AbandonedError: the process that held the lock has died. See recover()."""
        return _lock_acquire(self._handle, block, timeout)

    def release(self):
        _lock_release(self._handle)

    def locked(self):
        return not _lock_is_free(self._handle)

    def recover(self):
        """Acquires an abandoned lock, to repair what it guards. Says whether it was abandoned."""
        return _lock_recover(self._handle)

    def __enter__(self):
        return _lock_acquire(self._handle, True, None)

    def __exit__(self, *args):
        _lock_release(self._handle)

    def __repr__(self):
        return _lock_text_of(self._handle)

@_known
class Lock(_Lock):
    _kind = "Lock"

    def __init__(self):
        self._handle = _lock_new(False)

@_known
class RLock(_Lock):
    _kind = "RLock"

    def __init__(self):
        self._handle = _lock_new(True)

def _lock_of(handle):
    cls = RLock if _lock_is_recursive(handle) else Lock
    return cls.__new__(cls)._take(handle, "")

@_known
class Semaphore(_Shared):
    _kind = "Semaphore"

    def __init__(self, value=1):
        self._handle = _semaphore_new(value, False)

    def acquire(self, block=True, timeout=None):
        return _semaphore_acquire(self._handle, block, timeout)

    def release(self):
        _semaphore_release(self._handle)

    def get_value(self):
        return _semaphore_value(self._handle)

    def locked(self):
        return _semaphore_value(self._handle) == 0

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *args):
        self.release()

    def __repr__(self):
        return f"<{self._kind}(value={self.get_value()})>"

@_known
class BoundedSemaphore(Semaphore):
    _kind = "BoundedSemaphore"

    def __init__(self, value=1):
        self._handle = _semaphore_new(value, True)

def _deadline(timeout):
    import time
    return None if timeout is None else time.monotonic() + timeout

def _left(deadline):
    import time
    return None if deadline is None else deadline - time.monotonic()

@_known
class Condition(_Shared):
    _kind = "Condition"

    def __init__(self, lock=None):
        lock = RLock() if lock is None else lock
        if not isinstance(lock, _Lock):
            raise TypeError("a Condition needs a Lock or an RLock of multiprocessing_cpp")
        self._handle = _condition_new(lock._handle)
        self._lock = lock

    def _take(self, handle, item):
        super()._take(handle, item)
        self._lock = _lock_of(_condition_lock(handle))
        return self

    def acquire(self, block=True, timeout=None):
        return self._lock.acquire(block, timeout)

    def release(self):
        self._lock.release()

    def locked(self):
        return self._lock.locked()

    def recover(self):
        return self._lock.recover()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    def wait(self, timeout=None):
        return _condition_wait(self._handle, timeout)

    def wait_for(self, predicate, timeout=None):
        deadline = _deadline(timeout)
        result = predicate()
        while not result:
            left = _left(deadline)
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n=1):
        _condition_notify(self._handle, n)

    def notify_all(self):
        _condition_notify(self._handle, sys.maxsize)

    def __repr__(self):
        return f"<Condition({self._lock!r})>"

@_known
class Event(_Shared):
    _kind = "Event"

    def __init__(self):
        self._handle = _event_new()

    def is_set(self):
        return _event_is_set(self._handle)

    def set(self):
        _event_set(self._handle)

    def clear(self):
        _event_clear(self._handle)

    def wait(self, timeout=None):
        return _event_wait(self._handle, timeout)

    def __repr__(self):
        return f"<Event {'set' if self.is_set() else 'unset'}>"

@_known
class Barrier(_Shared):
    _kind = "Barrier"
    _action = None  # as in Python, only where it was inherited by a fork

    def __init__(self, parties, action=None, timeout=None):
        self._handle = _barrier_new(parties, action is not None, timeout)
        self._action = action

    def wait(self, timeout=None):
        return _barrier_wait(self._handle, self._action, timeout)

    def reset(self):
        _barrier_reset(self._handle)

    def abort(self):
        _barrier_abort(self._handle)

    @property
    def parties(self):
        return _barrier_parties(self._handle)

    @property
    def n_waiting(self):
        return _barrier_waiting(self._handle)

    @property
    def broken(self):
        return _barrier_broken(self._handle)

    def __repr__(self):
        if self.broken:
            return "<Barrier broken>"
        return f"<Barrier waiters={self.n_waiting}/{self.parties}>"
)py";

}  // namespace multiprocessing::detail::pythons::extension
