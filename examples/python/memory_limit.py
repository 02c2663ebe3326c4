import multiprocessing as mp
import resource

MIB = 1 << 20
kept = []  # by a worker, for as long as it lives


def leak(megabytes):
    kept.extend(bytes(MIB) for _ in range(megabytes))
    return len(kept)


def limit_memory(megabytes):
    # Address space: all that the kernel limits for a process, so a generous number.
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * MIB, megabytes * MIB))


if __name__ == "__main__":
    with mp.Pool(1, maxtasksperchild=3) as pool:  # a pool of Python's counts tasks, not bytes
        for megabytes in pool.map(leak, [40] * 5, 1):
            print(megabytes, "MiB")
    with mp.Pool(1, limit_memory, (1000,)) as pool:
        try:
            pool.apply(leak, (100_000,))
        except MemoryError:
            print("it took too much")
    with mp.Pool(1) as pool:
        print(pool.apply(leak, (1,)), "MiB")
