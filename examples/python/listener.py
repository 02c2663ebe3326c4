import multiprocessing as mp
from multiprocessing.connection import Client, Listener


def ask(address, number):
    with Client(address, authkey=b"secret") as connection:
        connection.send(number)
        if connection.recv() != number * number:
            raise SystemExit(1)


if __name__ == "__main__":
    with Listener(authkey=b"secret", backlog=10) as listener:
        clients = [mp.Process(target=ask, args=(listener.address, i)) for i in range(10)]
        for client in clients:
            client.start()
        total = 0
        for _ in clients:
            with listener.accept() as connection:
                number = connection.recv()
                connection.send(number * number)
                total += number
        for client in clients:
            client.join()
    print("the ten clients had the numbers from 0 to 9:", str(total == 45).lower())
    for client in clients:
        print(client.exitcode, end=" ")
    print()
