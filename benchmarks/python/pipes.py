"""What a message through a pipe costs in Python: the twin of pipes.cpp."""
import multiprocessing as mp

from measure import Run

SIZES = [8**i for i in range(1, 9)] + [64 << 20]


def send(connection, message, times):
    for _ in range(times):
        connection.send_bytes(message)


def echo(connection, times):
    for _ in range(times):
        connection.send(connection.recv())


def stream(message, times, duplex=False):
    receiver, sender = mp.Pipe(duplex)
    child = mp.Process(target=send, args=(sender, message, times))
    child.start()
    for _ in range(times):
        receiver.recv_bytes()
    child.join()


def round_trips(times):
    here, there = mp.Pipe()
    child = mp.Process(target=echo, args=(there, times))
    child.start()
    for _ in range(times):
        here.send([1.0] * 8)
        here.recv()
    child.join()


if __name__ == "__main__":
    run = Run()
    run.times("pipe/64 B", 4, lambda: stream(b"x" * 64, 20_000), 20_000)
    run.times("pipe/64 B duplex", 4, lambda: stream(b"x" * 64, 20_000, True), 20_000)
    run.times("pipe/1 MiB", 4, lambda: stream(b"x" * (1 << 20), 100), 100)
    run.times("pipe/1 MiB duplex", 4, lambda: stream(b"x" * (1 << 20), 100, True), 100)
    run.times("pipe/round trip", 4, lambda: round_trips(2_000), 2_000)
    for size in SIZES:
        times = min(5_000, max(2, (20 << 20) // (size + 4_096)))
        run.times("pipe/size", 2, lambda: stream(b"x" * size, times), times, size)
