import multiprocessing as mp


def wait_for(event, started):
    event.wait()
    with started.get_lock():
        started.value += 1


if __name__ == "__main__":
    event = mp.Event()
    started = mp.Value("i", 0)
    a = mp.Process(target=wait_for, args=(event, started))
    b = mp.Process(target=wait_for, args=(event, started))
    a.start()
    b.start()

    print("set" if event.wait(0.1) else "not set")
    print(started.value, "have started")
    event.set()
    a.join()
    b.join()
    print("set" if event.is_set() else "not set")
    print(started.value, "have started")
