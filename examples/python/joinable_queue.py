import multiprocessing as mp


def work(jobs, total):
    while True:
        job = jobs.get()
        with total.get_lock():
            total.value += job * job
        jobs.task_done()


if __name__ == "__main__":
    jobs = mp.JoinableQueue()
    total = mp.Value("l", 0)
    for _ in range(3):
        mp.Process(target=work, args=(jobs, total), daemon=True).start()
    for job in range(1, 101):
        jobs.put(job)
    jobs.join()
    print(total.value)
