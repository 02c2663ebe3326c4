import multiprocessing as mp
import queue
from multiprocessing.managers import BaseManager


class Library(BaseManager):
    pass


class Tally:
    def __init__(self):
        self._counts = {}

    def add(self, word):
        self._counts[word] = self._counts.get(word, 0) + 1

    def counts(self):
        return self._counts


all_texts, the_tally = queue.Queue(), Tally()
Library.register("texts", callable=lambda: all_texts)
Library.register("tally", callable=lambda: the_tally)


def count(address):
    library = Library(address, b"secret")
    library.connect()
    texts, tally = library.texts(), library.tally()
    for text in iter(texts.get, ""):
        for word in text.split():
            tally.add(word)


if __name__ == "__main__":
    library = Library(authkey=b"secret")
    library.start()
    texts, tally = library.texts(), library.tally()
    for text in "the cat sat", "the mat", "the cat", "", "":
        texts.put(text)
    clients = [mp.Process(target=count, args=(library.address,)) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for word, number in sorted(tally.counts().items()):
        print(word, number)
    library.shutdown()
