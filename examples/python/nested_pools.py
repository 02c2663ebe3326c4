import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor


def square(x):
    return x * x


def sum_of_squares(n):
    with mp.Pool(2) as pool:
        return sum(pool.map(square, range(1, n + 1)))


if __name__ == "__main__":
    # Not a Pool: its workers are daemons, which may have no children. An executor's are none.
    with ProcessPoolExecutor(2) as executor:
        print(list(executor.map(sum_of_squares, [10, 20, 30])))
