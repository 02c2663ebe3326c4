"""The twin of benchmarks/mpi.cpp: mpirun -n 3 python3 -m mpi4py.futures mpi.py [quick]"""
from mpi4py.futures import MPIPoolExecutor

from measure import Run


def square(x):
    return x * x


def main():
    run = Run("mpi4py")
    with MPIPoolExecutor() as pool:
        pool.bootup()
        list(pool.map(square, range(1000)))
        for row, chunk, count in [("mpi/map by 1", 1, 2000), ("mpi/map by 1000", 1000, 200_000)]:
            run.times(row, 12, lambda: list(pool.map(square, range(count), chunksize=chunk)), count)

        def apply():
            for number in range(100):
                pool.submit(square, number).result()

        run.times("mpi/apply", 12, apply, 100)


if __name__ == "__main__":
    main()
