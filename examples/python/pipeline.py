import multiprocessing as mp
from collections import Counter

END = None  # since 3.13 a queue has shutdown() here too


def read(lines):
    for line in ["to be", "or not", "to be", "that is", "the question"]:
        lines.put(line)
    lines.put(END)
    lines.put(END)


def compute(lines, counts):
    while (line := lines.get()) is not END:
        counts.put(Counter(line.replace(" ", "")))
    counts.put(END)


def merge(counts):
    total, ended = Counter(), 0
    while ended < 2:
        letters = counts.get()
        if letters is END:
            ended += 1
        else:
            total.update(letters)
    for letter, count in sorted(total.items()):
        if count > 2:
            print(letter, count)


if __name__ == "__main__":
    lines, counts = mp.Queue(2), mp.Queue(2)
    stages = [mp.Process(target=read, args=(lines,)), mp.Process(target=merge, args=(counts,))]
    stages += [mp.Process(target=compute, args=(lines, counts)) for _ in range(2)]
    for stage in stages:
        stage.start()
    for stage in stages:
        stage.join()
