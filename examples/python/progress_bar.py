import multiprocessing as mp
import sys
import time


def collatz_steps(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def progress(items, total, desc):
    """The standard library has no progress bar, so this one is in place of tqdm's."""
    start, end = time.monotonic(), "\r" if sys.stderr.isatty() else "\n"
    for done, item in enumerate(items, 1):
        yield item
        if end == "\r" or done == total:
            spent = time.monotonic() - start
            left = spent / done * (total - done)
            clocks = f"{spent // 60:02.0f}:{spent % 60:02.0f}<{left // 60:02.0f}:{left % 60:02.0f}"
            text = f"{desc}: {100 * done // total:3}% {done}/{total} [{clocks}, {done / spent:.4g}/s]"
            print(text, end=end, file=sys.stderr)


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        results = pool.imap_unordered(collatz_steps, range(1, 10_001), 100)
        longest = max(progress(results, total=10_000, desc="collatz"))
    print(longest, "steps at most")
