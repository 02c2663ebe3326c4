"""What programs of Python do that join a family in the tests of mp::python::Host: ADDRESS KEY FUNCTION."""
import multiprocessing
import os
import sys
import time

import multiprocessing_cpp as mp


def work(tasks, results, lock, value):
    for task in iter(tasks.get, None):
        with lock:
            value.value += task
        results.put((os.getpid(), task))


def children(tasks, results, lock, value):
    """Has its share done by a child of its own."""
    for method in "fork", "spawn":
        child = multiprocessing.get_context(method).Process(target=work, args=(tasks, results, lock, value))
        child.start()
        child.join()


def make(tasks, results, lock, value):
    """Puts objects that it has made."""
    queue = mp.Queue()
    results.put(queue)
    results.put(queue.get())
    try:
        mp.attach(sys.argv[1], b"secret")
    except RuntimeError:
        results.put("again")


def hold(tasks, results, lock, value):
    kept = tasks.get()
    lock.acquire()
    results.put("held")
    time.sleep(600)
    del kept


def use_for_ever(tasks, results, lock, value):
    while True:
        try:
            with lock:
                value.value += 1
            results.put(memoryview(bytes(100_000)) if value.value % 3 else mp.Lock())
            tasks.put(tasks.get())
        except mp.AbandonedError:
            for abandoned in lock, value.get_lock():
                abandoned.recover()
                abandoned.release()


if __name__ == "__main__":
    try:
        objects = mp.attach(sys.argv[1], sys.argv[2].encode())
    except multiprocessing.AuthenticationError:
        sys.exit(9)
    globals()[sys.argv[3]](*objects)
