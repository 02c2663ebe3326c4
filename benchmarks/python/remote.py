"""What a connection of a Listener and a Client costs in Python: the twin of remote.cpp."""
import multiprocessing as mp
from multiprocessing.connection import Client, Listener
from multiprocessing.managers import BaseManager

from measure import Run

KEY = b"key"


def echo(address, times):
    with Client(address, authkey=KEY) as connection:
        for _ in range(times):
            connection.send(connection.recv())


def send(address, message, times):
    with Client(address, authkey=KEY) as connection:
        for _ in range(times):
            connection.send_bytes(message)


def greet(address, times):
    for _ in range(times):
        with Client(address, authkey=KEY) as connection:
            connection.recv_bytes()


def with_child(work, *arguments):
    """Returns the listener, and the child that connects to it."""
    listener = Listener(authkey=KEY, backlog=8)
    child = mp.Process(target=work, args=(listener.address, *arguments))
    child.start()
    return listener, child


def round_trips(times):
    listener, child = with_child(echo, times)
    with listener.accept() as connection:
        for _ in range(times):
            connection.send([1.0] * 8)
            connection.recv()
    child.join()
    listener.close()


class Adder:
    def add(self, a, b):
        return a + b


class Manager(BaseManager):
    pass


Manager.register("Adder", Adder)


def calls(times):
    with Manager(authkey=KEY) as manager:
        adder = manager.Adder()
        for _ in range(times):
            adder.add(1.0, 2.0)


def stream(message, times):
    listener, child = with_child(send, message, times)
    with listener.accept() as connection:
        for _ in range(times):
            connection.recv_bytes()
    child.join()
    listener.close()


def connect(times):
    listener, child = with_child(greet, times)
    for _ in range(times):
        with listener.accept() as connection:
            connection.send_bytes(b"")
    child.join()
    listener.close()


if __name__ == "__main__":
    run = Run()
    run.times("remote/round trip", 4, lambda: round_trips(2_000), 2_000)
    run.times("remote/call", 4, lambda: calls(2_000), 2_000)
    run.times("remote/1 MiB", 4, lambda: stream(b"x" * (1 << 20), 100), 100)
    run.times("remote/connect", 4, lambda: connect(300), 300)
