"""What the Python benchmarks share; prints the lines that benchmarks/measure.hpp describes."""
import sys
import time


class Run:
    """A quick or a full run, as the first argument says."""

    def __init__(self, contender="Python"):
        self.contender = contender
        self.is_quick = sys.argv[1:] == ["quick"]

    def report(self, row, value, x=""):
        print(row, self.contender, x, f"{value:.3f}", sep="\t", flush=True)

    def times(self, row, rounds, work, count=1, x=""):
        """Does `work`, which does something `count` times, in each round."""
        for _ in range(max(rounds // 4, 2) if self.is_quick else rounds):
            start = time.perf_counter_ns()
            work()
            self.report(row, (time.perf_counter_ns() - start) / count, x)
