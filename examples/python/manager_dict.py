import multiprocessing as mp


def count_words(text, counts, lock):
    for word in text.split():
        with lock:  # here `+=` is two steps
            counts[word] += 1


if __name__ == "__main__":
    with mp.Manager() as manager:
        counts = manager.dict({"the": 0, "cat": 0, "sat": 0, "mat": 0})
        lock = manager.Lock()
        a = mp.Process(target=count_words, args=("the cat sat", counts, lock))
        b = mp.Process(target=count_words, args=("the mat the cat", counts, lock))
        a.start()
        b.start()
        a.join()
        b.join()
        for word, count in counts.items():
            print(word, count)
