import sys

import multiprocessing_cpp as mp

tasks, results = mp.Queue(), mp.Queue()
done = mp.Value("i", 0)
workers = [mp.Program(sys.argv[1], tasks, results, done) for _ in range(2)]
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
