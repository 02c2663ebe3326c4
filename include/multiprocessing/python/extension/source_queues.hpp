// multiprocessing/python/extension/source_queues.hpp
//
// Queue, SimpleQueue and JoinableQueue of the module multiprocessing_cpp, in Python. Mirrors
// CPython Lib/multiprocessing/queues.py. Floor 10. SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail::pythons::extension {

inline constexpr const char* source_of_queues = R"py(
@_known
class Queue(_Shared):
    """A queue of any objects that can be pickled. An item is in the queue when put() returns, also
    when this process is killed right after."""
    _kind = "Queue"
    _item = "object"
    _closed = False

    def __init__(self, maxsize=0):
        self._handle = _queue_new(maxsize)

    def put(self, obj, block=True, timeout=None):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        item = _plain_dumps(obj, 4) if type(obj) in _plain else _dumps(obj, True)
        if not _queue_put(self._handle, item, block, timeout):
            raise Full

    def get(self, block=True, timeout=None):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        item = _queue_get(self._handle, block, timeout, _loads)
        if item is None:
            raise Empty
        return item[0] if len(item) == 1 else _loads(item)  # a large one has been read already

    def put_nowait(self, obj):
        self.put(obj, False)

    def get_nowait(self):
        return self.get(False)

    def qsize(self):
        return _queue_size(self._handle)

    def empty(self):
        return _queue_size(self._handle) == 0

    def full(self):
        return _queue_full(self._handle)

    def close(self):
        self._closed = True

    def join_thread(self):
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self):
        pass

    def shutdown(self, immediate=False):
        """Ends the puts of all processes, and the gets once the queue is empty, or at once."""
        _queue_shutdown(self._handle, immediate)

    def __repr__(self):
        maxsize = _queue_maxsize(self._handle)
        return (f"<{self._kind} size={self.qsize()}" +
                (f" maxsize={maxsize}>" if maxsize else ">"))

@_known
class SimpleQueue(_Shared):
    _kind = "SimpleQueue"
    _item = "object"
    _closed = False

    def __init__(self):
        self._handle = _queue_new(0)

    def put(self, obj):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        _queue_put(self._handle, _dumps(obj, True), True, None)

    def get(self):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        item = _queue_get(self._handle, True, None, _loads)
        return item[0] if len(item) == 1 else _loads(item)

    def empty(self):
        return _queue_size(self._handle) == 0

    def close(self):
        self._closed = True

@_known
class JoinableQueue(Queue):
    _kind = "JoinableQueue"

    def task_done(self):
        if not _queue_task_done(self._handle):
            raise ValueError("task_done() called too many times")

    def join(self):
        _queue_join(self._handle, None)
)py";

}  // namespace multiprocessing::detail::pythons::extension
