"""What processes of Python do in the tests of mp::python::Process: the function of the first argument."""
import array
import atexit
import os
import pickle
import sys
import threading
import time

import multiprocessing_cpp as mp


def describe(queue, *others):
    queue.put([type(other).__name__ for other in others])


def change_all(queue, joinable, simple, value, array, raw, entries, items, event, semaphore):
    """Reads and changes each of them."""
    joinable.put(joinable.get() + 1)
    joinable.task_done()
    simple.put((simple.get(), b"bytes", None, 1.5))
    value.value += 1
    with array.get_lock():
        array[1] = array[0] + 0.5
    raw[2] = 7
    entries["python"] = {"list": [1, 2]}
    entries["cpp"] += 1
    items.append(items.pop(0))
    event.set()
    semaphore.release()
    queue.put("changed")


def echo(queue, results):
    for item in iter(queue.get, None):
        results.put(item)


def hold(lock, event):
    lock.acquire()
    event.set()
    time.sleep(600)


def find_abandoned(lock, results):
    try:
        lock.acquire(timeout=60)
    except mp.AbandonedError as error:
        results.put(type(error).__name__)
    lock.recover()
    lock.release()


def wait(event, queue):
    event.set()
    queue.get()


def start_program(results, command, *objects):
    program = mp.Program(command, *objects)
    results.put(program.exitcode)
    program.start()
    results.put(program.pid)
    program.join()
    results.put((program.name, program.exitcode, program.is_alive()))


def use_namespace(space, results):
    results.put((space.rate, space.name, space.numbers, space.value))
    space.name = {"new": space.name}
    try:
        space.odd
    except TypeError as error:
        results.put("odd" in str(error))


def put_arrays(queue, back, numbers):
    """Arrays by numpy where it is there, and memoryviews."""
    try:
        import numpy
        queue.put(numpy.arange(numbers, dtype="f8"))
        queue.put(numpy.arange(numbers, dtype="f4").reshape(2, -1))
    except ImportError:
        queue.put(memoryview(array.array("d", range(numbers))))
        queue.put(memoryview(array.array("f", range(numbers))).cast("B").cast("f", (2, numbers // 2)))
    queue.put(("bytes", pickle.PickleBuffer(b"\7" * 100_000)))
    back.get()  # until C++ has read them


def describe_array(queue, results):
    view = memoryview(queue.get())
    results.put((view.readonly, view.shape, view.nbytes, view[3], os.getpid()))


def exchange_objects(queue, results):
    """Uses what comes as items, and puts what is made here."""
    lock, event, numbers, (inner, value) = queue.get()
    with lock:
        numbers[1] = 2.5
        value.value += 1
    inner.put("inner")
    event.set()
    made = mp.Lock()
    results.put({"lock": made, "same": inner, "numbers": numbers})
    results.put(mp.Array("i", [1, 2, 3]))
    event.clear()
    event.wait(60)
    results.put(made.locked())


def drop_items(queue, results):
    """Has each item for a moment, as the last process that does."""
    for item in iter(queue.get, None):
        results.put(len(item))
        queue.get()
        del item
        results.put("dropped")


def bury_program(queue, results, command, event):
    program = mp.Program(command, event)
    program.start()
    event.wait(100)
    program.kill()
    program.join()
    results.put(program.exitcode)
    queue.get()


def change_memory(block, vector, frozen, array, results):
    block.buf[1] = 7
    with vector.lock() as view:
        view[2] = 2 * view[1]
    array[1] = 5
    refused = 0
    try:
        frozen.lock().__enter__()
    except ValueError:
        refused += 1
    try:
        frozen.frozen()[0] = 3
    except TypeError:
        refused += 1
    results.put((block.size, bytes(block.buf[:3]), list(frozen.frozen()), len(vector), refused))


def pass_on(command, *objects):
    program = mp.Program(command, *objects)
    program.start()
    program.join()
    sys.exit(program.exitcode)


def leave(status):
    sys.exit(status)


def leave_at_once(status):
    os._exit(status)


def leave_by_import():
    import leaving


def end_with_threads(results):
    """Ends while one thread waits for good, and after another one has done its work."""
    def late():
        time.sleep(0.2)
        results.put("thread")

    threading.Thread(target=mp.Event().wait, daemon=True).start()
    threading.Thread(target=late).start()
    atexit.register(results.put, "at the end")


def fail(text):
    raise ValueError(text)


def use_everything(lock, value, tasks, results, entries):
    """For ever, until it is killed."""
    while True:
        with lock:
            value.value += 1
        results.put((os.getpid(), tasks.get()))
        entries["latest"] = value.value


def guarded(lock, value, tasks, results, entries):
    while True:
        try:
            use_everything(lock, value, tasks, results, entries)
        except mp.AbandonedError:
            for abandoned in lock, value.get_lock():
                abandoned.recover()
                abandoned.release()


function, *arguments = mp.arguments
globals()[function](*arguments)
