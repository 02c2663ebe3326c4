"""The module multiprocessing_cpp in programs of Python alone: its classes, and processes that Python's own
multiprocessing starts. SPDX-License-Identifier: MIT"""
import array
import copy
import ctypes
import faulthandler
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

import multiprocessing_cpp as mp

METHODS = "fork", "spawn", "forkserver"
LONG = 100  # seconds that nothing takes


# --- what processes do ---

def use_all(queue, lock, value, array, raw, condition, entries, items, barrier, event):
    with lock:
        value.value += 1
    array[0] = 5.5
    raw[1] = 9
    entries[os.getpid()] = os.getppid()
    items.append(True)
    event.set()
    barrier.wait(LONG)
    with condition:
        condition.notify_all()
    queue.put((type(queue).__name__, array[:]))


def hold(lock, event):
    lock.acquire()
    event.set()
    time.sleep(6 * LONG)


def use_for_ever(lock, value, tasks, results):
    while True:
        try:
            with lock:
                value.value += 1
            results.put(tasks.get())
        except mp.AbandonedError:
            lock.recover()
            lock.release()
            value.get_lock().recover()
            value.get_lock().release()


def wait_until_interrupted(event, queue):
    event.set()
    try:
        queue.get()
    except KeyboardInterrupt:
        os._exit(7)


DAEMONS = """
import threading, time
import multiprocessing_cpp as mp
queue, event = mp.Queue(), mp.Event()

def get():
    while True:
        try:
            queue.get(timeout=0.001)
        except mp.Empty:
            pass

def wait():
    while True:
        event.wait(0.001)

def put_and_get():
    own = mp.Queue()
    while True:
        own.put([b"x" * 100_000])
        own.get()

for body in 4 * (get, wait, put_and_get):
    threading.Thread(target=body, daemon=True).start()

class Late:
    def __del__(self):  # when Python is ending already
        time.sleep(0.3)

late = Late()
time.sleep(0.1)
print("end")
"""


class Case(unittest.TestCase):
    def setUp(self):
        faulthandler.dump_traceback_later(240, exit=True)

    def tearDown(self):
        faulthandler.cancel_dump_traceback_later()


class Queues(Case):
    def test_items_come_out_in_order_and_as_they_were(self):
        queue = mp.Queue()
        items = [None, 1, -2.5, "text", b"bytes", (1, [2, {3: {4}}]), 2 ** 100, "x" * 1000, "x" * 5_000_000,
                 ValueError("why"), threading.Thread, os.path.join]
        for item in items:
            queue.put(item)
        self.assertEqual(queue.qsize(), len(items))
        for item in items:
            got = queue.get()
            self.assertEqual(repr(got), repr(item))
        self.assertTrue(queue.empty())

    def test_empty_full_and_timeouts(self):
        queue = mp.Queue(1)
        self.assertRaises(mp.Empty, queue.get, False)
        self.assertRaises(mp.Empty, queue.get_nowait)
        begin = time.monotonic()
        self.assertRaises(mp.Empty, queue.get, timeout=0.25)
        self.assertGreaterEqual(time.monotonic() - begin, 0.25)
        self.assertRaises(mp.Empty, queue.get, True, -1)
        queue.put(1)
        self.assertTrue(queue.full())
        self.assertRaises(mp.Full, queue.put, 2, False)
        self.assertRaises(mp.Full, queue.put, "x" * 100_000, True, 0.25)
        self.assertRaises(mp.Full, queue.put_nowait, 2)
        self.assertEqual(queue.get(), 1)
        self.assertRaises(TypeError, queue.get, True, "soon")
        self.assertRaises(ValueError, queue.get, True, float("nan"))

    def test_close_and_shutdown(self):
        queue = mp.Queue()
        queue.put(1)
        self.assertRaises(AssertionError, queue.join_thread)
        queue.shutdown()
        self.assertRaises(mp.ShutDown, queue.put, 2)
        self.assertEqual(queue.get(), 1)
        self.assertRaises(mp.ShutDown, queue.get)
        queue.close()
        queue.join_thread()
        self.assertRaises(ValueError, queue.put, 1)
        self.assertRaises(ValueError, queue.get)

    def test_joinable_and_simple(self):
        queue = mp.JoinableQueue()
        queue.put(1)
        self.assertEqual(queue.get(), 1)
        threading.Timer(0.1, queue.task_done).start()
        queue.join()
        self.assertRaises(ValueError, queue.task_done)
        simple = mp.SimpleQueue()
        self.assertTrue(simple.empty())
        simple.put("a")
        self.assertEqual(simple.get(), "a")
        simple.close()
        self.assertRaises(ValueError, simple.get)

    def test_what_cannot_be_pickled_is_not_put(self):
        queue = mp.Queue()
        self.assertRaises(Exception, queue.put, lambda: 1)
        self.assertTrue(queue.empty())

    def test_threads_wait_without_the_global_lock(self):
        queue, results = mp.Queue(), mp.Queue()
        threads = [threading.Thread(target=lambda: results.put(queue.get() + 1)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(8):
            queue.put(number)
        self.assertEqual(sorted(results.get(timeout=LONG) for _ in threads), list(range(1, 9)))
        for thread in threads:
            thread.join()


def in_heap(memory):
    """Whether memory is that of the family."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if begin <= address < end:
                return "memfd" in line
    return False


def heap_bytes():
    return os.fstat(mp._family_descriptors()[0]).st_blocks * 512


def numpy_or_skip(case):
    try:
        import numpy
        return numpy
    except ImportError:
        case.skipTest("there is no numpy")


def forget_numpy_and_forward(queue, results):
    for name in list(sys.modules):
        if name.split(".")[0] == "numpy":
            del sys.modules[name]
    sys.modules["numpy"] = None
    mp._numpy_array = None
    for item in iter(queue.get, None):
        try:
            item = type(item).__name__, item.format, item.shape, item.tobytes()
        except Exception as error:
            item = repr(error)
        results.put(item)


def use_items(queue, results):
    for item in iter(queue.get, None):
        results.put(item)


class Blocks(Case):
    def there_and_back(self, item):
        queue = mp.Queue()
        queue.put(item)
        return queue.get()

    def test_memoryviews(self):
        for letter in "bBhHiIqQfd":
            for size in 0, 1, 7, 9000, 300_000:
                numbers = array.array(letter, [n % 100 for n in range(size)])
                got = self.there_and_back(memoryview(numbers))
                self.assertEqual((got.format, got.shape, got.readonly), (letter, (size,), False))
                self.assertEqual(got.tobytes(), numbers.tobytes())
                if got.nbytes >= mp._large_block:
                    self.assertTrue(in_heap(got))
        table = memoryview(bytes(range(256)) * 1000).cast("B", (1000, 256))
        got = self.there_and_back([table])[0]
        self.assertEqual((got.shape, got.readonly, got == table), ((1000, 256), True, True))
        got = self.there_and_back(memoryview(bytes(200_000))[::2])
        self.assertEqual((got.nbytes, got.contiguous), (100_000, True))
        got = self.there_and_back(memoryview((ctypes.c_long * 10_000)(*range(10_000))))
        self.assertEqual((got.format, got[9_999]), ("q", 9_999))
        self.assertRaises(TypeError, self.there_and_back, memoryview((ctypes.py_object * 2)()))

    def test_bytes_stay_bytes(self):
        for item in b"x" * 300_000, bytearray(b"y") * 300_000, array.array("d", bytes(800_000)), "z" * 300_000:
            got = self.there_and_back(item)
            self.assertEqual((type(got), got), (type(item), item))
        got = self.there_and_back(pickle.PickleBuffer(bytearray(300_000)))
        self.assertTrue(in_heap(memoryview(got)))

    def test_numpy_arrays(self):
        numpy = numpy_or_skip(self)
        big = numpy.arange(60_000, dtype="f8")
        for item in (big, big.reshape(300, 200), big.reshape(300, 200).T, big.reshape(300, 200)[::2, ::3], big[5:],
                     big.astype(">i4"), big.astype("c16"), big.astype("M8[s]"), big.astype("f2"), big[:0],
                     big[:3].astype("i1"), numpy.float64(3).reshape(()), numpy.array(["text", "s"] * 9000),
                     numpy.zeros(9000, dtype=[("a", "i4"), ("b", "f8")]), big > 7, numpy.zeros((0, 4)),
                     numpy.asfortranarray(big.reshape(300, 200))):
            got = self.there_and_back({"array": item})["array"]
            self.assertEqual((got.dtype, got.shape), (item.dtype, item.shape))
            self.assertTrue(numpy.array_equal(got, item))
            if got.nbytes >= mp._large_block and got.dtype.kind != "M":  # which gives no buffer
                self.assertTrue(got.flags.writeable)
                self.assertTrue(in_heap(got.reshape(-1, order="A").view("u1")))
        anything = numpy.array([1, "two", None] * 9000, dtype=object)
        self.assertTrue(numpy.array_equal(self.there_and_back(anything), anything))
        constant = big.copy()
        constant.flags.writeable = False
        self.assertFalse(self.there_and_back(constant).flags.writeable)

    def test_a_block_is_the_receivers_own(self):
        numpy = numpy_or_skip(self)
        queue = mp.Queue()
        sent = numpy.zeros(100_000)
        queue.put(sent)
        sent[0] = 1
        queue.put(sent)
        first, second = queue.get(), queue.get()
        first[1] = 5
        self.assertEqual((first[0], second[0], second[1]), (0, 1, 0))

    def test_a_block_lives_as_long_as_a_view_and_no_longer(self):
        queue = mp.Queue()
        queue.put(memoryview(b"1" * 8_000_000))
        kept = queue.get()[5:6]
        before = heap_bytes()
        for number in range(60):
            queue.put(memoryview(bytes([number])) if number % 2 else memoryview(bytearray(8_000_000)))
            queue.get()
        for number in range(60):
            queue.put(memoryview(bytearray(8_000_000)))
            if number % 10 == 9:
                while not queue.empty():
                    queue.get()
        self.assertLess(heap_bytes() - before, 200_000_000)
        self.assertRaises(mp.Full, lambda: [full.put(memoryview(bytearray(8_000_000)), False) for full in
                                            [mp.Queue(1)] for _ in range(9)])
        for _ in range(30):
            left = mp.Queue()
            left.put(memoryview(bytearray(8_000_000)))
        self.assertLess(heap_bytes() - before, 200_000_000)
        self.assertEqual(bytes(kept), b"1")

    def test_without_numpy(self):
        numpy = numpy_or_skip(self)
        queue, results = mp.Queue(), mp.Queue()
        process = multiprocessing.get_context("fork").Process(target=forget_numpy_and_forward, args=(queue, results),
                                                             daemon=True)
        process.start()
        for item, letter, shape in (
                (numpy.arange(50_000.0), "d", (50_000,)), (numpy.arange(6, dtype="i2").reshape(2, 3), "h", (2, 3)),
                (numpy.ones((200, 300), order="F"), "d", (60_000,)), (numpy.zeros(9000, "c16"), "B", (144_000,)),
                (numpy.zeros(9, ">u4"), "B", (36,)), (numpy.zeros((0, 2)), "d", (0,)),
                ((numpy.arange(60_000) > 3)[::2], "?", (30_000,))):
            queue.put(item)
            self.assertEqual(results.get(timeout=LONG), ("memoryview", letter, shape, item.tobytes("A")))
        queue.put(None)
        process.join(LONG)

    def test_objects_are_items(self):
        for method in METHODS:
            with self.subTest(method):
                queue, results = mp.Queue(), mp.SimpleQueue()
                process = multiprocessing.get_context(method).Process(target=use_items, args=(queue, results),
                                                                     daemon=True)
                process.start()
                manager = mp.Manager()
                for item in (mp.Queue(3), mp.SimpleQueue(), mp.JoinableQueue(), mp.Lock(), mp.RLock(), mp.Semaphore(2),
                             mp.BoundedSemaphore(2), mp.Condition(), mp.Event(), mp.Barrier(2), mp.Value("i", 3),
                             mp.Array("d", 3), manager.dict(), manager.list(), queue):
                    queue.put([item, {1: item}])
                    first, second = results.get()
                    self.assertEqual((first, type(first)), (item, type(item)))
                    self.assertIs(first, second[1])
                numbers = mp.RawArray("i", 9000)
                queue.put(numbers)
                results.get()[5] = 3
                self.assertEqual(numbers[5], 3)
                queue.put(None)
                process.join(LONG)
                self.assertEqual(process.exitcode, 0)

    def test_an_object_lives_in_an_item(self):
        queue = mp.Queue()
        inner = mp.Queue()
        inner.put("still there")
        queue.put((inner, memoryview(bytes(100_000))))
        del inner
        self.assertEqual(queue.get()[0].get(), "still there")
        lock = mp.Lock()
        with mp.Manager() as manager:
            entries, items = manager.dict(), manager.list()
            entries["lock"] = lock
            entries.update(other=[lock])
            items.extend([lock, 2])
            items.append(memoryview(bytes(100_000)))
            items.reverse()
            self.assertEqual((entries["lock"], entries["other"], items[2]), (lock, [lock], lock))
            self.assertEqual(items[0].nbytes, 100_000)

    def test_what_cannot_be_pickled_leaves_nothing_behind(self):
        queue = mp.Queue()
        self.assertRaises(Exception, queue.put, [mp.Lock(), memoryview(bytes(100_000)), lambda: 1])
        self.assertRaises(RuntimeError, pickle.dumps, mp.Lock())
        self.assertTrue(queue.empty())


class Locks(Case):
    def test_lock(self):
        lock = mp.Lock()
        with lock as taken:
            self.assertTrue(taken)
            self.assertTrue(lock.locked())
            self.assertFalse(lock.acquire(False))
            self.assertFalse(lock.acquire(timeout=0.15))
            self.assertEqual(repr(lock), "<Lock(owner=MainProcess)>")
        self.assertRaises(ValueError, lock.release)
        self.assertEqual(repr(lock), "<Lock(owner=None)>")

    def test_rlock(self):
        lock = mp.RLock()
        with lock, lock:
            self.assertEqual(repr(lock), "<RLock(MainProcess, 2)>")
            got = []
            thread = threading.Thread(target=lambda: got.append(lock.acquire(False)))
            thread.start()
            thread.join()
            self.assertEqual(got, [False])
        self.assertRaises(AssertionError, lock.release)

    def test_semaphores(self):
        semaphore = mp.Semaphore(0)
        self.assertFalse(semaphore.acquire(False))
        semaphore.release()
        with semaphore:
            self.assertTrue(semaphore.locked())
        self.assertEqual(semaphore.get_value(), 1)
        self.assertRaises(ValueError, mp.BoundedSemaphore(2).release)
        self.assertRaises(ValueError, mp.Semaphore, -1)

    def test_condition(self):
        condition = mp.Condition()
        self.assertRaises(AssertionError, condition.wait)
        self.assertRaises(AssertionError, condition.notify)
        with condition:
            self.assertFalse(condition.wait(0.1))
            self.assertFalse(condition.wait_for(lambda: False, 0.1))
            self.assertTrue(condition.wait_for(lambda: True))
        state = []

        def wake():
            with condition:
                state.append(1)
                condition.notify()

        threading.Timer(0.1, wake).start()
        with condition:
            self.assertTrue(condition.wait_for(lambda: state, LONG))
        lock = mp.Lock()
        with mp.Condition(lock):
            self.assertTrue(lock.locked())
        self.assertRaises(TypeError, mp.Condition, mp.Semaphore())
        self.assertRaises(TypeError, mp.Condition, threading.Lock())

    def test_event(self):
        event = mp.Event()
        self.assertFalse(event.wait(0.15))
        threading.Timer(0.1, event.set).start()
        self.assertTrue(event.wait(LONG))
        self.assertTrue(event.is_set())
        event.clear()
        self.assertFalse(event.is_set())

    def test_barrier(self):
        ran = []
        barrier = mp.Barrier(3, action=lambda: ran.append(1))
        got = []
        threads = [threading.Thread(target=lambda: got.append(barrier.wait())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((sorted(got), ran, barrier.parties, barrier.n_waiting), ([0, 1, 2], [1], 3, 0))
        self.assertRaises(mp.BrokenBarrierError, barrier.wait, 0.1)
        self.assertTrue(barrier.broken)
        barrier.reset()
        self.assertFalse(barrier.broken)
        barrier.abort()
        self.assertRaises(threading.BrokenBarrierError, barrier.wait)
        self.assertRaises(ZeroDivisionError, mp.Barrier(1, lambda: 1 / 0).wait)
        self.assertRaises(mp.BrokenBarrierError, mp.Barrier(2, timeout=0.1).wait)
        self.assertRaises(ValueError, mp.Barrier, 0)


class Memory(Case):
    def test_values(self):
        value = mp.Value("i", 3)
        value.value += 1
        with value.get_lock():
            value.value += 1
        self.assertEqual(value.get_obj().value, 5)
        self.assertRaises(TypeError, setattr, value, "value", "five")
        self.assertEqual(mp.Value(ctypes.c_double, 2.5).value, 2.5)
        self.assertEqual(mp.Value("l", 2 ** 40).value, 2 ** 40)
        self.assertEqual(mp.Value("d", 1.5, lock=False).value, 1.5)
        lock = mp.Lock()
        with mp.Value("c", b"x", lock=lock) as _:
            self.assertTrue(lock.locked())
        self.assertRaises(TypeError, mp.Value, "z")
        self.assertRaises(TypeError, mp.Value, ctypes.Structure)
        self.assertRaises(AttributeError, mp.Value, "i", 1, lock=threading.Lock())
        self.assertRaises(TypeError, mp.Value, "i", 1, 2)
        self.assertRaises(TypeError, mp.RawValue, "i", 1, 2)
        self.assertRaises(TypeError, mp.SharedVector)

    def test_arrays(self):
        array = mp.Array("d", [1, 2, 3])
        array[1] = 7
        self.assertEqual((array[:], len(array), list(array), array[-1]), ([1, 7, 3], 3, [1, 7, 3], 3))
        array[:2] = [8, 9]
        self.assertEqual(list(memoryview(array.get_obj()).cast("B").cast("d")), [8, 9, 3])
        self.assertRaises(IndexError, array.__getitem__, 3)
        text = mp.Array("c", b"hello")
        text.value = b"no"
        self.assertEqual((text.value, text.raw), (b"no", b"no\0lo"))
        self.assertEqual(mp.Array("h", 4)[:], [0] * 4)
        self.assertEqual(list(mp.RawArray("q", range(3))), [0, 1, 2])
        self.assertRaises(ValueError, mp.Array, "i", -1)
        self.assertRaises(MemoryError, mp.RawArray, "d", 2 ** 60)

    def test_memory_lives_as_long_as_a_view(self):
        view = memoryview(mp.RawArray("B", 100_000)).cast("B")
        others = [mp.RawArray("B", b"\xff" * 100_000) for _ in range(5)]
        self.assertEqual(bytes(view), bytes(100_000))
        del others

    def test_numpy_sees_the_same_memory(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("there is no numpy")
        array = mp.RawArray("d", 1_000_000)
        seen = numpy.frombuffer(array)
        seen[:] = 2
        self.assertEqual(array[999_999], 2)
        del array
        self.assertEqual(seen.sum(), 2_000_000)


class Managers(Case):
    def test_dict(self):
        with mp.Manager() as manager:
            entries = manager.dict(a=1)
            entries[1] = 2
            entries[True] = 3
            entries[1, "x", None, 2.5] = [1]
            entries["\0z"] = 9
            entries[b"k"] = "v"
            expected = {"a": 1, 1: 3, (1, "x", None, 2.5): [1], "\0z": 9, b"k": "v"}
            self.assertEqual(entries.copy(), expected)
            self.assertEqual(str(entries), str(expected))
            self.assertEqual((len(entries), list(entries)), (5, list(expected)))
            self.assertTrue(1.0 in entries)
            self.assertFalse("b" in entries)
            self.assertEqual(entries.popitem(), (b"k", "v"))
            self.assertEqual((entries.pop("a"), entries.pop("a", None), entries.get("a", 5)), (1, None, 5))
            self.assertEqual((entries.setdefault("a", 6), entries.setdefault("a", 7)), (6, 6))
            del entries["a"]
            for call in entries.__getitem__, entries.__delitem__, entries.pop:
                self.assertRaises(KeyError, call, "a")
            self.assertRaises(TypeError, entries.__setitem__, frozenset(), 1)
            self.assertRaises(TypeError, entries.__setitem__, float("nan"), 1)
            entries.update({"x": 1}, y=2)
            self.assertEqual(entries["y"], 2)
            entries.clear()
            self.assertEqual(entries.items(), [])
            self.assertRaises(KeyError, entries.popitem)
        self.assertRaises(ValueError, entries.get, 1)
        self.assertRaises(ValueError, manager.dict)

    def test_namespace(self):
        with mp.Manager() as manager:
            space = manager.Namespace(rate=0.5, names=["a"])
            space.lock = mp.Lock()
            space.rate *= 2
            self.assertEqual((space.rate, space.names, type(space.lock)), (1.0, ["a"], mp.Lock))
            del space.lock
            self.assertEqual(str(space), "Namespace(names=['a'], rate=1.0)")
            self.assertRaises(AttributeError, getattr, space, "lock")
            self.assertRaises(AttributeError, delattr, space, "lock")
            self.assertFalse(hasattr(space, "_private"))
            queue = mp.Queue()
            queue.put(space)
            queue.get().rate = 7
            self.assertEqual(space.rate, 7)
        self.assertRaises(ValueError, getattr, space, "rate")

    def test_list(self):
        manager = mp.Manager()
        items = manager.list([3, 1, 2])
        plain = [3, 1, 2]
        for change in (
                lambda l: l.append(5), lambda l: l.sort(), lambda l: l.insert(1, 9), lambda l: l.insert(-1, 8),
                lambda l: l.remove(1), lambda l: l.extend([7, 7]), lambda l: l.__setitem__(slice(1, 3), [4]),
                lambda l: l.__setitem__(slice(None, None, 2), [0] * len(l[::2])), lambda l: l.__delitem__(-1),
                lambda l: l.__delitem__(slice(0, 2)), lambda l: l.reverse(), lambda l: l.__imul__(2),
                lambda l: l.sort(key=lambda x: -x, reverse=True), lambda l: l.__setitem__(0, "zero"),
                lambda l: l.pop(), lambda l: l.pop(0)):
            change(plain)
            change(items)
            self.assertEqual(items.copy(), plain)
        self.assertEqual((items[0], items[-1], items[1:], len(items)), (plain[0], plain[-1], plain[1:], len(plain)))
        self.assertEqual((items.index(plain[1]), items.count(plain[1])), (plain.index(plain[1]), plain.count(plain[1])))
        self.assertEqual((items + [1], items * 2, list(items)), (plain + [1], plain * 2, plain))
        self.assertRaises(ValueError, items.remove, "absent")
        self.assertRaises(IndexError, items.__getitem__, 100)
        self.assertRaises(ZeroDivisionError, items.sort, key=lambda x: 1 / 0)
        self.assertRaises(RuntimeError, items.sort, key=lambda x: len(items))  # it is locked
        self.assertEqual(items.copy(), plain)
        items.clear()
        self.assertRaises(IndexError, items.pop)


class Processes(Case):
    def test_all_objects_go_to_processes_of_each_start_method(self):
        for method in METHODS:
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                manager = mp.Manager()
                shared = (mp.Queue(), mp.Lock(), mp.Value("i", 0), mp.Array("d", 3), mp.RawArray("i", 3),
                          mp.Condition(), manager.dict(), manager.list(), mp.Barrier(3), mp.Event())
                processes = [context.Process(target=use_all, args=shared) for _ in range(3)]
                for process in processes:
                    process.start()
                for process in processes:
                    self.assertEqual(shared[0].get(timeout=LONG), ("Queue", [5.5, 0, 0]))
                for process in processes:
                    process.join(LONG)
                    self.assertEqual(process.exitcode, 0)
                self.assertEqual((shared[2].value, list(shared[4]), len(shared[6]), len(shared[7])),
                                 (3, [0, 9, 0], 3, 3))

    def test_pools_of_python_use_them(self):
        for method in METHODS:
            with self.subTest(method):
                value = mp.Value("i", 5)
                context = multiprocessing.get_context(method)
                with context.Pool(2, initializer=value_of_worker, initargs=(value,)) as pool:
                    self.assertEqual(pool.map(add_to_value, [1, 2, 3]), [6, 7, 8])

    def test_an_object_may_go_while_its_process_starts(self):
        for method in "spawn", "forkserver":
            queue = mp.Queue()
            queue.put(3)
            results = mp.JoinableQueue()
            process = multiprocessing.get_context(method).Process(target=forward, args=(queue, results))
            process.start()
            del queue
            self.assertEqual(results.get(timeout=LONG), 3)
            process.join(LONG)

    def test_a_killed_holder_abandons_its_lock(self):
        for method in METHODS:
            with self.subTest(method):
                lock, event = mp.Lock(), mp.Event()
                process = multiprocessing.get_context(method).Process(target=hold, args=(lock, event))
                process.start()
                self.assertTrue(event.wait(LONG))
                process.kill()
                self.assertRaises(mp.AbandonedError, lock.acquire, True, LONG)
                self.assertRaises(mp.AbandonedError, lock.acquire, False)
                self.assertTrue(lock.recover())
                lock.release()
                with lock:
                    pass
                process.join()

    def test_processes_are_killed_at_any_moment(self):
        wanted = int(os.environ.get("MULTIPROCESSING_TEST_KILLS", 40))
        lock, value, tasks, results = mp.Lock(), mp.Value("q", 0), mp.Queue(8), mp.Queue()
        context = multiprocessing.get_context("fork")
        chance = random.Random(3)

        def start():
            process = context.Process(target=use_for_ever, args=(lock, value, tasks, results))
            process.start()
            return process

        processes = [start() for _ in range(3)]
        faulthandler.dump_traceback_later(240 + 2 * wanted, exit=True)
        for _ in range(wanted):
            for number in range(20):
                tasks.put(number, timeout=LONG)
                self.assertEqual(results.get(timeout=LONG), number)
            time.sleep(chance.random() * 0.003)
            place = chance.randrange(3)
            processes[place].kill()
            processes[place].join()
            processes[place] = start()
        for process in processes:
            process.kill()
            process.join()
        for left in lock, value.get_lock():
            left.recover()
            left.release()
        self.assertGreaterEqual(value.value, 20 * wanted)

    def test_ctrl_c_ends_a_wait_in_a_process(self):
        for method in METHODS:
            event = mp.Event()
            process = multiprocessing.get_context(method).Process(
                target=wait_until_interrupted, args=(event, mp.Queue()))
            process.start()
            self.assertTrue(event.wait(LONG))
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            process.join(LONG)
            self.assertEqual(process.exitcode, 7)

    def test_signals_are_handled_in_all_waits(self):
        full = mp.Queue(1)
        full.put(1)
        lock, condition, joinable = mp.Lock(), mp.Condition(), mp.JoinableQueue()
        lock.acquire()
        condition.acquire()
        joinable.put(1)
        barrier = mp.Barrier(2)

        def interrupt(number, frame):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            for wait in (mp.Queue().get, lambda: full.put(2), lock.acquire, condition.wait, mp.Event().wait,
                         barrier.wait, mp.Semaphore(0).acquire, joinable.join, mp.SimpleQueue().get):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                self.assertRaises(KeyboardInterrupt, wait)
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertTrue(barrier.broken)
        condition.release()  # it was taken again

    def test_handles_do_not_travel_otherwise(self):
        for shared in mp.Queue(), mp.Lock(), mp.Value("i"), mp.RawArray("i", 1), mp.Manager().dict():
            self.assertRaises(RuntimeError, pickle.dumps, shared)
        lock = mp.Lock()
        self.assertEqual((lock == copy.copy(lock), lock == mp.Lock()), (True, False))

    def test_os_fork(self):
        queue = mp.Queue()
        pid = os.fork()
        if pid == 0:
            queue.put(os.getpid())
            os._exit(0)
        self.assertEqual(queue.get(timeout=LONG), pid)
        os.waitpid(pid, 0)

    def test_a_process_with_objects_of_its_own_is_told(self):
        script = ("import multiprocessing_cpp as mp, sys\n"
                  "queue = mp.Queue()\n"
                  "def work(queue): pass\n"
                  "if __name__ == '__main__':\n"
                  "    import multiprocessing\n"
                  "    p = multiprocessing.get_context('spawn').Process(target=work, args=(queue,))\n"
                  "    p.start(); p.join(); sys.exit(p.exitcode)\n")
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.py")
            with open(path, "w") as file:
                file.write(script)
            done = subprocess.run([sys.executable, path], stderr=subprocess.PIPE, timeout=LONG)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"objects of its own", done.stderr)

    def test_programs(self):
        program = mp.Program(["/bin/sh", "-c", "exit 5"], mp.Queue(), 3)
        self.assertEqual((program.pid, program.exitcode, program.is_alive()), (None, None, False))
        program.start()
        program.join()
        self.assertEqual(program.exitcode, 5)
        self.assertRaises(AssertionError, program.start)
        alone = mp.Program("/bin/true", name="true")
        alone.start()
        alone.join(LONG)
        self.assertEqual((alone.name, alone.exitcode), ("true", 0))
        self.assertRaises(FileNotFoundError, mp.Program("/there/is/no/such").start)
        killed = mp.Program(["/bin/sleep", "600"])
        killed.start()
        killed.kill()
        killed.join()
        self.assertEqual(killed.exitcode, -9)
        self.assertRaises(ValueError, mp.Program, [])

    def test_daemon_threads_in_calls_do_not_disturb_the_end(self):
        for _ in range(4):
            done = subprocess.run([sys.executable, "-c", DAEMONS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=LONG)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"end\n", b""))

    def test_the_path_is_left_alone(self):
        done = subprocess.run([sys.executable, "-c", "import sys; before = list(sys.path)\n"
                               "import multiprocessing_cpp; print(before == sys.path)"],
                              stdout=subprocess.PIPE, timeout=LONG)
        self.assertEqual(done.stdout, b"True\n")


def value_of_worker(value):
    global worker_value
    worker_value = value


def add_to_value(number):
    return worker_value.value + number


def forward(queue, results):
    results.put(queue.get(timeout=LONG))


if __name__ == "__main__":
    unittest.main()
