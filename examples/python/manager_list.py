import multiprocessing as mp


def append_multiples(n, items):
    for i in range(1, 4):
        items.append(n * i)


if __name__ == "__main__":
    with mp.Manager() as manager:
        items = manager.list([1, 2])
        processes = [mp.Process(target=append_multiples, args=(n, items)) for n in (10, 100)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        items.sort()
        print(items[:])
        items.reverse()
        items.pop()
        print(f"{len(items)} items, the last is {items[-1]}")
