"""What mapping a function over items costs in Python, beside joblib and pebble: peers.cpp's twin."""
import multiprocessing as mp
import os
import sys
import time

from measure import Run

try:
    import joblib
except ImportError:
    joblib = None
try:
    import pebble
except ImportError:
    pebble = None

LENGTHS = [1, 10, 100, 1_000]  # of a task, in microseconds


def square(x):
    return x * x


def work(steps):
    """Counted and not timed: a task that was interrupted has still to do all of it."""
    for _ in range(steps):
        pass
    return steps


def steps_of(microseconds):
    """How many steps of `work` take that long; the least of some measurements counts."""
    least = float("inf")
    for _ in range(50):
        start = time.perf_counter_ns()
        work(10_000)
        least = min(least, time.perf_counter_ns() - start)
    return max(1, int(microseconds * 1e3 / (least / 10_000)))


def peers(pool, pebbles, cores):
    """Who maps, by name: each a function of a task, its items and the items a chunk, or None."""
    yield "Python", pool.map
    if joblib:
        yield "joblib", lambda task, items, chunk: joblib.Parallel(
            n_jobs=cores, batch_size=chunk or "auto")(joblib.delayed(task)(x) for x in items)
    if pebbles:
        yield "pebble", lambda task, items, chunk: list(
            pebbles.map(task, items, chunksize=chunk or 1).result())


def take_turns(row, contenders, rounds, task, items, chunk=None, x=""):
    """Measures all in turn, and compares what they computed with what they should."""
    expected = [task(item) for item in items]

    def check(apply):
        if apply(task, items, chunk) != expected:
            sys.exit("peers.py: one of them computed something else")

    for _ in range(rounds):
        for run, apply in contenders:
            run.times(row, 1, lambda: check(apply), len(items), x)


def bench(contenders, is_quick):
    rounds = 1 if is_quick else 3
    take_turns("peers/x*x", contenders, rounds, square, range(20_000))
    take_turns("peers/x*x by 1", contenders, rounds, square, range(2_000), 1)
    take_turns("peers/microsecond by 1", contenders, rounds, work, [steps_of(1)] * 2_000, 1)
    take_turns("peers/millisecond by 1", contenders, rounds, work, [steps_of(1_000)] * 40, 1)
    for length in LENGTHS:
        items = [steps_of(length)] * min(max(20_000 // length, 40), 2_000)
        take_turns("peers/by length", contenders, rounds, work, items, x=length)
        take_turns("peers/by length by 1", contenders, rounds, work, items, 1, x=length)


def main():
    for module, name in [(joblib, "joblib"), (pebble, "pebble")]:
        if module is None:
            print(f"peers.py: not measured: {name}. Debian has it as python3-{name}.",
                  file=sys.stderr)
    cores = len(os.sched_getaffinity(0))
    pebbles = pebble.ProcessPool(max_workers=cores) if pebble else None
    with mp.Pool(cores) as pool:
        contenders = [(Run(name), apply) for name, apply in peers(pool, pebbles, cores)]
        for _, apply in contenders:
            apply(square, range(100), None)  # all workers have started
        bench(contenders, contenders[0][0].is_quick)
    if pebbles:
        pebbles.close()
        pebbles.join()


if __name__ == "__main__":
    main()
