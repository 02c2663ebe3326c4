import multiprocessing as mp


def sum_share(index, sums):
    sums[index] = sum(range(index * 1_000_000, (index + 1) * 1_000_000))


if __name__ == "__main__":
    sums = mp.Array("l", 4)
    processes = [mp.Process(target=sum_share, args=(i, sums)) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    print(sums[:])
    print(sum(sums))
