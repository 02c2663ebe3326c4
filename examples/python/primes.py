import multiprocessing as mp
import time


def is_prime(n):
    if n < 2:
        return False
    divisor = 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            return False
        divisor += 1
    return True


if __name__ == "__main__":
    numbers = range(10_000_000, 10_000_050)
    start = time.perf_counter()
    with mp.Pool() as pool:
        prime = pool.map(is_prime, numbers)
    seconds = time.perf_counter() - start
    print(f"Found primes: {sum(prime)} / {len(prime)} in {seconds:.2f}s")
