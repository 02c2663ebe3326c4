import multiprocessing as mp


def square(x):
    return x * x


if __name__ == "__main__":
    with mp.Pool(4) as pool:
        print(pool.map(square, range(0, 10)))
        print(pool.map(square, [30, 20, 10]))
        print(pool.apply(square, (12,)))
