import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from signal import SIGABRT


def divide_twelve(n):
    if n == 0:
        os.abort()
    return 12 // n


if __name__ == "__main__":
    # A Pool would wait for the dead worker's result for ever. An executor fails all its calls, says
    # nothing of the signal, and is of no use any more: hence a new one for each call.
    for n in [1, 0, 3]:
        with ProcessPoolExecutor(1) as executor:
            try:
                print(executor.submit(divide_twelve, n).result())
            except BrokenProcessPool:
                print(f"the worker died of signal {SIGABRT:d}")
    with ProcessPoolExecutor(1) as executor:
        print("the pool goes on:", executor.submit(divide_twelve, 4).result())
