import multiprocessing as mp


def answer(connection):
    while True:
        numbers = connection.recv()
        if not numbers:
            break
        connection.send(f"{sum(numbers)} in all")


if __name__ == "__main__":
    here, there = mp.Pipe()
    process = mp.Process(target=answer, args=(there,))
    process.start()
    here.send([1, 2, 3])
    print(here.recv())
    here.send([40, 2])
    print(here.recv())
    here.send([])
    process.join()
