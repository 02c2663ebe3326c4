# Each node writes a file of its own: mpirun -n 3 python3 -m mpi4py.futures mpi_files.py
import math
import os
import pathlib
import shutil

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

folder = None


def use_folder(path):
    global folder
    folder = pathlib.Path(path)


def file_of(rank):
    return folder / f"node{rank}.csv"


def simulate(seed):
    result = math.sqrt(seed)
    with open(file_of(MPI.COMM_WORLD.Get_rank()), "a") as file:
        file.write(f"{seed},{result:g}\n")
    return result


if __name__ == "__main__":
    use_folder(f"mpi_files_{os.getpid()}")
    folder.mkdir()
    folder = folder.absolute()

    with MPIPoolExecutor(initializer=use_folder, initargs=(str(folder),)) as pool:
        list(pool.map(simulate, range(1000), chunksize=10))
    ranks = range(1, MPI.COMM_WORLD.Get_size())
    lines = sum(len(file_of(rank).read_text().splitlines()) for rank in ranks)
    print(f"{len(ranks)} nodes have written {lines} lines")
    shutil.rmtree(folder)
