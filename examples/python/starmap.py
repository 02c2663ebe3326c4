import functools
import multiprocessing as mp


def power(base, exponent):
    return base**exponent


if __name__ == "__main__":
    with mp.Pool() as pool:
        calls = [(2, 10), (3, 4), (10, 3)]
        print(pool.starmap(power, calls))
        print(pool.map(functools.partial(power, 2), [1, 2, 3, 4]))
