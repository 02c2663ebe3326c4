import multiprocessing as mp
import queue


def work(calls, names):
    while (call := calls.get())[1] is not None:
        names.put(call[1])


if __name__ == "__main__":
    # A pool of Python's has neither priorities nor a bound: a queue and a process in its place.
    waiting = queue.PriorityQueue(3)
    calls, names = mp.SimpleQueue(), mp.SimpleQueue()
    worker = mp.Process(target=work, args=(calls, names))
    worker.start()
    calls.put((-9, "under way"))
    for priority, name in [(0, "a report"), (-1, "a clean-up"), (1, "a question")]:
        waiting.put((-priority, name))
    try:
        waiting.put((0, "one too many"), timeout=0.1)
    except queue.Full:
        print("three are waiting")
    print(names.get())
    while not waiting.empty():
        calls.put(waiting.get())
        print(names.get())
    calls.put((0, None))
    worker.join()
