"""The twin of python.cpp; and queues between two processes of Python, ours beside Python's own."""
import array
import multiprocessing

from measure import Run
from tasks import square

try:
    import multiprocessing_cpp
except ImportError as error:
    multiprocessing_cpp = None
    reason = error


def put(queue, item, times):
    for _ in range(times):
        queue.put(item)


def stream(make_queue, item, times):
    """Items from one process to another, where each is looked at."""
    queue = make_queue(64)
    child = multiprocessing.Process(target=put, args=(queue, item, times))
    child.start()
    for _ in range(times):
        queue.get()
    child.join()


def exchange(make_queue, item, times):
    """Items there and a number back, so that one is on its way at a time."""
    there, back = make_queue(), make_queue()
    child = multiprocessing.Process(target=answer, args=(there, back, times))
    child.start()
    back.get()
    for _ in range(times):
        there.put(item)
        back.get()
    child.join()


def answer(there, back, times):
    back.put(0)
    for _ in range(times):
        item = there.get()
        back.put(item[0])


def measure_queues(run, make_queue, array_of_8_mib):
    run.times("python/queue", 8, lambda: stream(make_queue, 1, 20_000), 20_000)
    run.times("python/64 KiB", 8, lambda: stream(make_queue, "x" * (64 << 10), 2_000), 2_000)
    run.times("python/64 KiB bytes", 8, lambda: stream(make_queue, b"x" * (64 << 10), 2_000), 2_000)
    run.times("python/8 MiB", 8, lambda: exchange(make_queue, array_of_8_mib, 20), 20)


if __name__ == "__main__":
    python = Run()
    with multiprocessing.Pool(2) as pool:
        pool.map(square, range(100), 1)
        python.times("python/map", 8, lambda: pool.map(square, range(100_000), 1_000), 100_000)
        python.times("python/apply", 8, lambda: [pool.apply(square, (n,)) for n in range(500)], 500)
    numbers = array.array("d", bytes(8 << 20))
    try:
        import numpy
        numbers = numpy.frombuffer(numbers)
    except ImportError:
        pass
    measure_queues(python, multiprocessing.Queue, numbers)
    if multiprocessing_cpp is None:
        import sys
        print(f"Not measured: {reason}", file=sys.stderr)
    else:
        if isinstance(numbers, array.array):
            numbers = memoryview(numbers)
        measure_queues(Run("multiprocessing"), multiprocessing_cpp.Queue, numbers)
