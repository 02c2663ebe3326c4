import multiprocessing as mp


def produce(items):
    for i in range(1, 6):
        items.put(i * 10)
    items.put(None)


def consume(items):
    total = 0
    while (item := items.get()) is not None:
        print(f"got {item}")
        total += item
    print(f"that was all: {total}")


if __name__ == "__main__":
    items = mp.Queue()
    producer = mp.Process(target=produce, args=(items,))
    consumer = mp.Process(target=consume, args=(items,))
    producer.start()
    consumer.start()
    producer.join()
    consumer.join()
