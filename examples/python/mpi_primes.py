# Counts the primes below 200,000: mpirun -n 3 python3 -m mpi4py.futures mpi_primes.py
from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor


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
    numbers = range(200_000)
    with MPIPoolExecutor() as pool:
        prime = list(pool.map(is_prime, numbers, chunksize=500))
    nodes = MPI.COMM_WORLD.Get_size() - 1
    print(f"Found primes: {sum(prime)} / {len(prime)} on {nodes} nodes")
