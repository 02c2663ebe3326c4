import multiprocessing as mp


def count_primes(part):
    numbers = range(part * 2_000, (part + 1) * 2_000)
    return sum(n > 1 and all(n % i for i in range(2, int(n**0.5) + 1)) for n in numbers)


if __name__ == "__main__":
    # No worker dies here: Pool would wait for its result for ever. And there is no report.
    with mp.Pool(4) as pool:
        print(sum(pool.map(count_primes, range(40), 1)), "primes")
