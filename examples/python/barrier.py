import multiprocessing as mp


def work(index, barrier, squares, sums):
    squares[index] = index * index
    barrier.wait()
    sums[index] = sum(squares)


if __name__ == "__main__":
    barrier = mp.Barrier(3)
    squares, sums = mp.Array("i", 3), mp.Array("i", 3)
    processes = [mp.Process(target=work, args=(i, barrier, squares, sums)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(squares[:], sums[:], sep="\n")
