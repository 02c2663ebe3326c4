import multiprocessing as mp


def steps(n):
    count = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


def work(tasks, results, done):
    for begin, end in iter(tasks.get, None):
        most, number = max((steps(n), n) for n in range(begin, end))
        with done.get_lock():
            done.value += 1
        results.put((begin, end, number, most))


if __name__ == "__main__":
    tasks, results = mp.Queue(), mp.Queue()
    done = mp.Value("i", 0)
    workers = [mp.Process(target=work, args=(tasks, results, done)) for _ in range(2)]
    for worker in workers:
        worker.start()

    ranges = [(begin, begin + 5000) for begin in range(1, 20_000, 5000)]
    for task in ranges:
        tasks.put(task)
    for begin, end, number, steps in sorted(results.get() for _ in ranges):
        print(f"{begin} to {end - 1}: {number} takes {steps} steps")

    for _ in workers:
        tasks.put(None)
    for worker in workers:
        worker.join()
    print(done.value, "ranges, exit codes", [worker.exitcode for worker in workers])
