"""What processes of Python do in the tests of mp::python::Process: the function of the first argument."""
import os
import sys
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


def leave(status):
    sys.exit(status)


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
