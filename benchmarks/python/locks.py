"""What locks and values cost in Python: the twin of locks.cpp and inside.cpp."""
import multiprocessing as mp

from measure import Run


def add(value, times):
    for _ in range(times):
        with value.get_lock():
            value.value += 1


def add_in_two(value, each):
    other = mp.Process(target=add, args=(value, each))
    other.start()
    add(value, each)
    other.join()


def acquire_and_release(lock, times):
    for _ in range(times):
        lock.acquire()
        lock.release()


def make(times):
    for _ in range(times):
        mp.Lock()


if __name__ == "__main__":
    run = Run()
    for row, lock in [("lock/Lock", mp.Lock()), ("lock/RLock", mp.RLock()),
                      ("lock/Semaphore", mp.Semaphore(1))]:
        run.times(row, 8, lambda: acquire_and_release(lock, 50_000), 50_000)
    run.times("lock/Value", 8, lambda: add(mp.Value("i", 0), 20_000), 20_000)
    run.times("lock/value of two", 4, lambda: add_in_two(mp.Value("i", 0), 50_000), 100_000)
    run.times("lock/live objects", 4, lambda: make(1_000), 1_000, 100)
