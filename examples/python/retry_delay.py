import multiprocessing as mp
import time


class Busy(Exception):
    pass


def fetch(name, attempt):
    if name != "apples" and attempt < 3:
        raise Busy("come back later")
    return f"{name} at try {attempt}"


def fetch_with_retries(name):
    delay = 0.05
    for attempt in range(1, 5):
        try:
            return fetch(name, attempt)
        except Busy:
            time.sleep(delay)  # a worker waits, and does nothing else
            delay *= 2
    return fetch(name, 5)


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        for line in pool.map(fetch_with_retries, ["apples", "pears", "plums"], 1):
            print(line)
