# What the tests of python.hpp call.
import array
import dataclasses
import os
import threading
import time

import collections

Named = collections.namedtuple("Named", "x y z w")


@dataclasses.dataclass
class Data:
    x: int
    y: float
    z: tuple = (0, 0)
    w: tuple = (0, 0)


local = threading.local()
kept = []


def square(x):
    return x * x


def echo(x):
    return x


def type_of(x):
    return type(x).__name__


def show(x):
    return repr(x)


def make(text):
    """Returns what an expression gives."""
    return eval(text, globals())


class Strange(Exception):
    pass


class Speechless(Exception):
    def __str__(self):
        raise ValueError("no words")


class Quitting(Exception):
    def __str__(self):
        raise SystemExit(3)


class Rooted(Exception):
    """It cannot be pickled."""
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()

    def __reduce__(self):
        raise TypeError("it stays here")


def fail(name, text):
    raise make(name)(text)


def fail_late():
    for x in range(3):
        yield x
    raise IndexError("after three")


class Counter:
    @staticmethod
    def twice(x):
        return 2 * x

    @classmethod
    def name(cls):
        return cls.__name__


def count_in_thread():
    """How often this thread has called it."""
    local.count = getattr(local, "count", 0) + 1
    return local.count


def spin(seconds):
    """Runs Python all the time, and so never lets go of the lock by itself."""
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
    return rounds


def loop():
    while True:
        pass


def crash():
    import ctypes
    ctypes.string_at(0)


def leave(status):
    os._exit(status)


def talk(x):
    print("line of", x)
    print("rest of", x, end=";")


def talk_and_leave(x):
    print("last line of", x)
    os._exit(3)


def fork_child():
    """Forks in Python. Returns the child's exit status."""
    pid = os.fork()
    if pid == 0:
        os._exit(sum(range(4)))
    return os.waitpid(pid, 0)[1] >> 8


def fill(view, x):
    for i in range(len(view)):
        view[i] = x


def fill_later(view, x):
    """Goes on in a thread, and then for ever in another one."""
    def later():
        time.sleep(0.1)
        fill(view, x)

    threading.Thread(target=later).start()
    threading.Thread(target=loop).start()


def fill_and_spin(view, x):
    """Writes again and again, until the process is killed."""
    while True:
        fill(view, x)


def square_and_note(notes, x):
    notes[x] = x * x
    notes[-1] += 1
    return x * x


def fork_pool(numbers):
    """Runs a pool of Python's own, whose workers are forked from here."""
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(square, numbers)


def keep(view):
    kept.append(view)


def kept_sum():
    return sum(kept.pop())
