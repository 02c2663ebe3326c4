import multiprocessing as mp
import queue
import threading
from multiprocessing.managers import BaseManager


class Office(BaseManager):
    pass


def work(address):
    office = Office(address, b"secret")
    office.connect()
    tasks, results = office.tasks(), office.results()
    for n in iter(tasks.get, None):
        results.put((n, n * n))


Office.register("tasks")
Office.register("results")

if __name__ == "__main__":
    tasks, results = queue.Queue(), queue.Queue()
    Office.register("tasks", callable=lambda: tasks)
    Office.register("results", callable=lambda: results)
    for n in list(range(1, 7)) + [None, None]:
        tasks.put(n)
    server = Office(authkey=b"secret").get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()

    context = mp.get_context("spawn")
    workers = [context.Process(target=work, args=(server.address,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for n, square in sorted(results.get() for _ in range(6)):
        print(n, "times", n, "is", square)
