import multiprocessing as mp


def work(words, results, letters):
    for word in iter(words.get, None):
        with letters.get_lock():
            letters.value += len(word)
        results.put((word, word.title()))


if __name__ == "__main__":
    words, results = mp.Queue(), mp.Queue()
    letters = mp.Value("i", 0)
    workers = [mp.Process(target=work, args=(words, results, letters)) for _ in range(2)]
    for worker in workers:
        worker.start()

    text = ["python", "and", "C++", "share", "queues"]
    for word in text:
        words.put(word)
    titles = dict(results.get() for _ in text)
    for word in text:
        print(titles[word])

    for _ in workers:
        words.put(None)
    for worker in workers:
        worker.join()
    print(letters.value, "letters")
