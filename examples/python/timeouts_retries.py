import multiprocessing as mp
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


def wait_for_ever(event):
    event.wait()


def succeed_at_third_try(tries):
    tries.value += 1
    if tries.value < 3:
        os.abort()
    return 42


def apply_with_retries(retries, function, *args):
    for _ in range(retries + 1):
        with ProcessPoolExecutor(1) as executor:  # one whose worker died is of no use any more
            try:
                return executor.submit(function, *args).result()
            except BrokenProcessPool as error:
                lost = error
    raise lost


if __name__ == "__main__":
    with mp.Manager() as manager:
        never = manager.Event()
        tries = manager.Value("i", 0)
        with mp.Pool(2) as pool:
            stuck = pool.apply_async(wait_for_ever, (never,))
            try:
                stuck.get(0.1)
            except mp.TimeoutError:
                print("no result after 0.1 seconds")
            try:
                stuck.get(0.9)
            except mp.TimeoutError:
                pool.terminate()  # there are no time limits for tasks: the pool ends as a whole
                print("stopped after a second")
        print(apply_with_retries(2, succeed_at_third_try, tries), end="")
        print(f" after {tries.value} tries")
