import multiprocessing as mp


def count(counter, lock):
    for _ in range(1000):
        with lock:
            counter.value += 1


if __name__ == "__main__":
    counter = mp.RawValue("i", 0)
    lock = mp.Lock()
    processes = [mp.Process(target=count, args=(counter, lock)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(counter.value)
