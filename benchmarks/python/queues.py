"""What an item through a queue costs in Python: the twin of queues.cpp."""
import multiprocessing as mp

from measure import Run

SIZES = [8**i for i in range(1, 9)] + [64 << 20]


def put(queue, item, times):
    for _ in range(times):
        queue.put(item)


def echo(there, back, times):
    for _ in range(times):
        back.put(there.get())


def stream(item, times):
    queue = mp.Queue(64)
    child = mp.Process(target=put, args=(queue, item, times))
    child.start()
    for _ in range(times):
        queue.get()
    child.join()


def round_trips(item, times):
    there, back = mp.Queue(), mp.Queue()
    child = mp.Process(target=echo, args=(there, back, times))
    child.start()
    for _ in range(times):
        there.put(item)
        back.get()
    child.join()


if __name__ == "__main__":
    run = Run()
    run.times("queue/64 B", 4, lambda: stream(b"x" * 64, 20_000), 20_000)
    run.times("queue/round trip", 4, lambda: round_trips(1, 1_000), 1_000)
    run.times("queue/1 MiB", 4, lambda: stream(b"x" * (1 << 20), 50), 50)
    for size in SIZES:
        times = min(5_000, max(2, (20 << 20) // (size + 4_096)))
        run.times("queue/size", 2, lambda: stream(b"x" * size, times), times, size)
        some = max(times // 5, 2)
        run.times("queue/round trip by size", 2, lambda: round_trips(b"x" * size, some), some, size)
