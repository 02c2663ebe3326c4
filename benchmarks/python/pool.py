"""What a pool costs in Python: the twin of pool.cpp."""
import math
import multiprocessing as mp

from measure import Run


def square(x):
    return x * x


def low_bits(x):
    return x & 7


def sum_of_roots(n):
    return sum(math.sqrt(i) for i in range(1, n))


def drain(results):
    for _ in results:
        pass


if __name__ == "__main__":
    run = Run()
    items = range(20_000)
    with mp.Pool(2) as pool:
        run.times("pool/map by 1", 4, lambda: pool.map(square, items, 1), len(items))
        run.times("pool/map", 8, lambda: pool.map(square, items), len(items))
        run.times("pool/apply", 4, lambda: [pool.apply(square, (i,)) for i in range(200)], 200)
        run.times("pool/imap_unordered", 2,
                  lambda: drain(pool.imap_unordered(low_bits, items)), len(items))
        for size in [1, 4, 16, 64, 256, 1_024, 4_096]:
            run.times("pool/chunk size", 4, lambda: pool.map(square, items, size), len(items), size)
        for count in [1_000, 10_000, 100_000, 1_000_000][:3 if run.is_quick else 4]:
            run.times("pool/items", 2, lambda: pool.map(square, range(count)), count, count)
        if not run.is_quick:
            run.times("pool/speed-up", 1, lambda: pool.map(sum_of_roots, [2_000_000] * 8))
