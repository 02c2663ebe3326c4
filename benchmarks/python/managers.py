"""What an operation on a manager's dict or list costs in Python: the twin of managers.cpp."""
import multiprocessing as mp

from measure import Run


def set_all(shared, keys):
    for key in keys:
        shared[key] = 2


def get_all(shared, keys):
    for key in keys:
        shared[key]


def append(shared, times):
    for i in range(times):
        shared.append(i)


if __name__ == "__main__":
    run = Run()
    with mp.Manager() as manager:
        keys = [f"key {i}" for i in range(1_000)]
        shared = manager.dict({key: 1 for key in keys})
        run.times("manager/dict set", 6, lambda: set_all(shared, keys), len(keys))
        run.times("manager/dict get", 6, lambda: get_all(shared, keys), len(keys))
        run.times("manager/list append", 4, lambda: append(manager.list(), 1_000), 1_000)
