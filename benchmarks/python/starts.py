"""What starting a process costs in Python: the twin of starts.cpp."""
import multiprocessing as mp
from measure import Run


def nothing():
    pass


def start_and_join(context):
    process = context.Process(target=nothing)
    process.start()
    process.join()


def pool(context):
    with context.Pool(2):
        pass


if __name__ == "__main__":
    run = Run()
    run.times("start/fork", 20, lambda: start_and_join(mp.get_context("fork")))
    run.times("start/forkserver", 20, lambda: start_and_join(mp.get_context("forkserver")))
    run.times("start/spawn", 8, lambda: start_and_join(mp.get_context("spawn")))
    run.times("start/pool", 8, lambda: pool(mp.get_context("fork")))
