import math
import multiprocessing as mp
import sys
import time


def heavy_task(n):
    total = 0.0
    for i in range(1, n):
        total += math.sqrt(i)
    return total


if __name__ == "__main__":
    with mp.Pool() as pool:
        limits = [2_000_000] * 8

        start = time.perf_counter()
        expected = [heavy_task(limit) for limit in limits]
        sequential = time.perf_counter() - start

        start = time.perf_counter()
        sums = pool.map(heavy_task, limits)
        parallel = time.perf_counter() - start

    print(f"Sum of roots: {sums[0]:.6f}")
    print(f"Sequential:   {sequential:.3f}s")
    print(f"Parallel:     {parallel:.3f}s")
    print(f"Speed-up:     {sequential / parallel:.2f}x")
    sys.exit(0 if sums == expected else 1)
