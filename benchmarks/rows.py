"""The rows of the table and the plots: what is measured, against whom, and what is to be reached.

A row's key is what the programs print; see measure.hpp. All values are nanoseconds, unless the unit
says bytes or times.
"""
from dataclasses import dataclass

OURS = "multiprocessing"
SECOND = 1e9


@dataclass(frozen=True)
class Goal:
    """At most so many times what a contender takes, at most so much, or both."""
    times: float | None = None
    of: str | None = None  # the contender
    at_most: float | None = None  # in the value's own unit: nanoseconds, bytes, times

    def is_reached(self, medians):
        """Says whether the medians by contender reach the goal; None where something is missing."""
        ours = medians.get(OURS)
        if ours is None or (self.of and self.of not in medians):
            return None
        if self.times is not None and ours > self.times * medians[self.of]:
            return False
        return self.at_most is None or ours <= self.at_most


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True)
class Plot:
    key: str
    title: str
    x: str
    y: str
    scale: float = 1  # of a value, in nanoseconds, to the unit of the y-axis
    per_x: bool = False  # plots x / value: a throughput
    per_second: bool = False  # plots how often a value fits into a second
    better: str = "lower"  # or higher

    def y_of(self, x, value):
        if self.per_second:
            return SECOND / value
        return x / value if self.per_x else value * self.scale

    def file_name(self):
        return self.key.replace("/", "_").replace(" ", "_") + ".svg"


def times(limit, contender, at_most=None):
    return Goal(times=limit, of=contender, at_most=at_most)


def at_most(value):
    return Goal(at_most=value)


FORK = "fork, _exit, waitpid"
STANDARD = "regex and future"
COMPILERS = ["g++", "clang++-16"]
PAYLOADS = ["64 KiB", "1 MiB", "16 MiB", "64 MiB"]
SECTIONS = {
    "Processes": [
        Row("start/fork", "start + join, fork", "µs", times(1.25, FORK)),
        Row("start/forkserver", "start + join, forkserver", "µs", times(1.6, FORK)),
        Row("start/spawn", "start + join, spawn", "µs",
            times(1.15, "posix_spawn of a C++ program")),
        Row("start/pool", "Pool(2), create + terminate", "µs",
            times(2, "two of fork, _exit, waitpid")),
    ],
    "Pool": [
        Row("pool/map by 1", "map of x*x, chunksize 1, a task", "µs", at_most(500)),
        Row("pool/map", "map of x*x, default chunks, an item", "ns", at_most(10)),
        Row("pool/apply", "apply, both run", "µs", at_most(2_000)),
        Row("pool/apply by 1", "apply, a pool of one worker", "µs", at_most(2_000)),
        Row("pool/apply by 2", "… of two", "µs", at_most(2_000)),
        Row("pool/apply by 4 a core", "… of four a core", "µs", times(2, "one worker, asleep")),
        Row("pool/apply parked", "apply, both asleep", "µs", times(1.5, "futex ping-pong")),
        Row("pool/imap_unordered", "imap_unordered, a task of 1,000,000", "µs"),
        Row("pool/imap_unordered memory", "… the parent grows by", "MiB", at_most(10 * 2**20)),
        Row("pool/speed-up", "8 sums of 2,000,000 roots", "ms", times(1 / 1.9, "sequential")),
        Row("pool/stuck task", "stuck task, task_timeout 0.2, to the next", "ms",
            at_most(SECOND)),
        Row("pool/terminate stopped", "terminate, workers have stopped", "ms", at_most(SECOND)),
    ],
    "Queue": [
        Row("queue/64 B", "64 B, one to one", "ns", times(2, "Boost spsc_queue", 100)),
        Row("queue/64 B in batches", "64 B, one to one, batches of 100", "ns", at_most(12)),
        Row("queue/int in batches", "an int, one to one, batches of 100", "ns", at_most(12)),
        Row("queue/64 B bounded", "64 B, maxsize 1,000", "ns", times(1, "Boost message_queue")),
        Row("queue/64 B two by two", "64 B, two to two", "ns", times(2, "one to one")),
        Row("queue/round trip", "round trip, both run", "ns", times(4, "a shared flag")),
        Row("queue/1 MiB in turn", "1 MiB, put and get in turn", "µs", times(1.3, "two memcpys")),
        Row("queue/1 MiB bounded", "1 MiB, maxsize 4", "µs", times(1.3, "two memcpys")),
        Row("queue/1 MiB", "1 MiB", "µs", times(1.3, "two memcpys")),
    ],
    "Large values, there and back": [
        row
        for size in PAYLOADS for row in (
            Row(f"payload/apply {size}", f"by apply, {size}", "µs", times(2.5, "4 memcpys")),
            Row(f"payload/first apply {size}", "… for the first time", "µs",
                times(1.3, "4 copies into fresh memory")),
            Row(f"payload/queue {size}", f"by two queues, {size}", "µs", times(2, "4 memcpys")),
            Row(f"payload/first queue {size}", "… for the first time", "µs",
                times(1.3, "4 copies into fresh memory")))
    ],
    "Pipe": [
        Row("pipe/64 B", "64 B", "ns", times(1.2, "a raw pipe")),
        Row("pipe/64 B into", "64 B, recv_bytes_into", "ns", times(1.2, "a raw pipe")),
        Row("pipe/64 B struct", "64 B, a struct", "ns", times(1.2, "a raw pipe")),
        Row("pipe/64 B duplex", "64 B, duplex", "ns", times(1.2, "a raw socket pair")),
        Row("pipe/64 B struct duplex", "64 B, a struct, duplex", "ns",
            times(1.2, "a raw socket pair")),
        Row("pipe/round trip", "64 B, there and back, duplex", "µs",
            times(1.2, "a raw socket pair")),
        Row("pipe/1 MiB", "1 MiB", "µs", times(1, "a raw pipe")),
        Row("pipe/1 MiB into", "1 MiB, recv_bytes_into", "µs", times(1, "a raw pipe")),
        Row("pipe/1 MiB vector", "1 MiB, a vector", "µs", times(1, "a raw pipe")),
        Row("pipe/1 MiB duplex", "1 MiB, duplex", "µs", times(1.2, "a raw socket pair")),
        Row("pipe/1 MiB vector duplex", "1 MiB, a vector, duplex", "µs",
            times(1.2, "a raw socket pair")),
    ],
    "Listener and Client, Unix socket": [
        Row("remote/round trip", "8 numbers as a pickle, there and back", "µs", at_most(10_000)),
        Row("remote/call", "a call of a manager's method", "µs", at_most(10_000)),
        Row("remote/1 MiB", "1 MiB", "µs", times(1.3, "a raw socket pair")),
        Row("remote/1 MiB into", "1 MiB, recv_bytes_into", "µs", times(1.3, "a raw socket pair")),
        Row("remote/connect", "a connection, with its handshake", "µs"),
    ],
    "Nodes of an MPI program, rank 0 and two more": [
        Row("mpi/map by 1", "map of x*x, chunksize 1, an item", "µs", at_most(10_000)),
        Row("mpi/map by 1000", "map of x*x, chunksize 1,000, an item", "ns", times(0.5, "mpi4py")),
        Row("mpi/apply", "apply", "µs", times(1, "mpi4py")),
    ],
    "Locks and values": [
        Row("lock/Lock", "Lock, acquire + release", "ns", at_most(20)),
        Row("lock/RLock", "RLock, the same", "ns", at_most(20)),
        Row("lock/Semaphore", "Semaphore, the same", "ns", at_most(20)),
        Row("lock/Value", "Value += 1", "ns", at_most(25)),
        Row("lock/value of two", "Value += 1 by two processes", "ns", at_most(100)),
        Row("lock/value under a Lock of two", "… under a Lock of its own", "ns", at_most(100)),
        Row("lock/memory", "a Lock takes", "B", at_most(64)),
    ],
    "Manager": [
        Row("manager/dict set", "d[k] = v of 1,000", "ns",
            times(1.6, "unordered_map, robust mutex")),
        Row("manager/dict get", "d[k] of 1,000", "ns", times(1.2, "unordered_map, robust mutex")),
        Row("manager/dict get by 2", "… by two processes, each", "ns", times(1.2, "one reader")),
        Row("manager/dict get while set", "… while another process sets", "ns", at_most(1_500)),
        Row("manager/list append", "l.append(v)", "ns", at_most(400)),
    ],
    "Shared objects": [
        Row("shared/map of 8", "a map of 100,000, an entry read by each of 8", "ns",
            times(1.3, "a private map, alone")),
        Row("shared/map", "… by one process", "ns", times(1.3, "a private map")),
        Row("shared/hand-over", "the map to 8 spawned processes, memory", "MiB",
            at_most(2**20)),
    ],
    "Side by side: map, a worker a core": [
        Row("peers/x*x", "map of x*x, as each divides the items, an item", "ns"),
        Row("peers/x*x by 1", "map of x*x, one by one, an item", "ns"),
        Row("peers/microsecond by 1", "tasks of 1 µs, one by one, a task", "µs"),
        Row("peers/millisecond by 1", "tasks of 1 ms, one by one, a task", "µs",
            times(1.1, "threads, std::function")),
    ],
    "Python": [
        Row("python/map", "Pool.map of a function of Python, chunks of 1,000, an item", "ns",
            times(1.2, "Python")),
        Row("python/apply", "apply of a function of Python", "µs", at_most(15_000)),
        Row("python/queue", "a number through a Queue, Python to Python", "µs",
            times(1 / 3, "Python")),
        Row("python/64 KiB", "a text of 64 KiB, the same", "µs", times(1, "Python")),
        Row("python/64 KiB bytes", "bytes of 64 KiB, the same", "µs", times(1, "Python")),
        Row("python/8 MiB", "an array of 8 MiB as a block, there and a number back", "ms",
            times(1 / 3, "Python")),
    ],
    "Side by side: memory that processes share": [
        Row("shared/build", "a map of 100,000 built and dropped, an entry", "ns",
            times(1, "Boost managed_shared_memory")),
        Row("shared/blocks", "blocks of 16 to 1,024 B, a block taken and given back", "ns",
            times(1, "Boost managed_shared_memory")),
        Row("shared/blocks of two", "… by each of two processes at once", "ns",
            times(1, "Boost managed_shared_memory")),
    ],
    "Inside": [
        Row("travel/vector of structs", "10,000 structs of 16 B, there and back", "µs",
            times(1.5, "two copies")),
        Row("heap/64 B", "a block of 64 B, taken and given back", "ns"),
    ],
    "The heap after a day": [
        Row("heap/day memory", "memory above 16 MiB to what is alive, at worst", "×", at_most(1.5)),
        Row("heap/day address space", "address space used to the most that was alive", "×",
            at_most(2)),
        Row("heap/day left", "memory when all is given back", "MiB"),
        Row("heap/day time", "a block, 16 B to 64 MiB: taken, touched, given back", "ns"),
    ],
    **{f"Compile, {compiler} -O2": [
        Row(f"compile/{compiler}/pool_map", "Pool.map, multiprocessing.hpp", "s",
            times(2, STANDARD)),
        Row(f"compile/{compiler}/pool_map compiled", "… and multiprocessing::compiled", "s",
            times(0.9, STANDARD)),
        Row(f"compile/{compiler}/process compiled", "Process, multiprocessing/process.hpp, the same",
            "s", times(0.5, STANDARD)),
        Row(f"compile/{compiler}/queue compiled", "Queue, multiprocessing/queues.hpp, the same",
            "s", times(0.45, STANDARD)),
    ] for compiler in COMPILERS},
}
# Why a goal is missed, where it is on some machines.
WHY = {
    **{f"payload/{way} {size}": "Its 4 memcpys stay in the cache of one core. Between two cores "
       "the same copies take what the row's last contender says: that is the bound."
       for way in ("apply", "queue") for size in PAYLOADS[:2]},
    **{f"payload/{way} 64 MiB": "malloc takes blocks of more than 32 MiB from the kernel each "
       "time: the two vectors that are read into, one on each side, are fresh memory, which is in "
       "huge pages only where the kernel has some to give."
       for way in ("apply", "queue")},
    "start/forkserver": "Two more wake-ups than a fork, that of the server and that of the "
    "caller. What they take in a virtual machine varies from run to run.",
    **{row: "Each task is claimed, and each result committed, so that no kill loses one: several "
       "cache lines change their core where the flag of the queue's round trip is one."
       for row in ("pool/apply", "pool/apply by 1", "pool/apply by 2")},
    "pool/apply parked": "The contender's processes do nothing but wake each other. These look "
    "for more work first, for as long as a wake-up takes, before they sleep.",
    "queue/64 B": "Each item is committed by itself, by a locked instruction, so that no kill "
    "loses one and any process may put. spsc_queue has one writer and no such promise.",
    "queue/64 B in batches": "An item of 64 B is a cache line that goes from core to core, and is "
    "copied on each side. What that takes differs by machine.",
    "queue/round trip": "Two commits, each of which moves its own cache line besides the items'.",
    **{f"pipe/{what}": "A message is 96 bytes with the header that tells its type and size, and "
       "takes what a raw pipe takes for 96. Raw messages of 64 bytes are a cache line each."
       for what in ("64 B", "64 B into", "64 B struct")},
    "pipe/1 MiB vector duplex": "At the limit: it varies from run to run.",
    **{f"payload/first apply {size}": "At the limit: a page of shared memory costs more to take "
       "than one of one's own, and here that is most of the time." for size in PAYLOADS},
    "lock/Lock": "Two locked instructions, which take longer on some processors than on others; see "
    "the robust mutex.",
    **{f"lock/{what}": "Two locked instructions, as for a Lock, and a count for the case that the "
       "process is killed while it holds it." for what in ("RLock", "Semaphore")},
    "compile/clang++-16/pool_map compiled": "At the limit: clang++-16 takes less for regex than "
    "g++ does, and that is what it is measured against.",
    **{f"compile/{compiler}/pool_map": "A library of headers compiles its machinery in each "
       "program; multiprocessing::compiled does not." for compiler in COMPILERS},
}
ROWS = {row.key: row for rows in SECTIONS.values() for row in rows}

PLOTS = [
    Plot("peers/by length", "Mapping tasks, as each library divides them by default",
         "length of a task, in µs", "tasks a second", per_second=True, better="higher"),
    Plot("peers/by length by 1", "Mapping tasks, each handed out for itself",
         "length of a task, in µs", "tasks a second", per_second=True, better="higher"),
    Plot("start/memory", "Starting and joining a process", "memory of the parent, in MiB",
         "µs", 1e-3),
    Plot("pool/chunk size", "Pool.map of x*x by the size of its chunks", "items in a chunk",
         "ns an item"),
    Plot("pool/workers", "Pool.map with chunks of one item, by the number of workers", "workers",
         "µs a task", 1e-3),
    Plot("pool/items", "Pool.map of x*x by the number of items", "items", "ns an item"),
    Plot("nodes/busy", "mpi::Pool on simulated nodes of 64 workers", "nodes",
         "workers that are busy, in %", better="higher"),
    Plot("queue/size", "From process to process through a queue", "size of an item",
         "GB a second", per_x=True, better="higher"),
    Plot("queue/round trip by size", "There and back through two queues", "size of an item", "µs",
         1e-3),
    Plot("queue/length", "Put into a queue and taken out later", "items in the queue",
         "ns an item"),
    Plot("pipe/size", "From process to process through a pipe", "size of a message",
         "GB a second", per_x=True, better="higher"),
    Plot("manager/entries", "An operation on a manager's dict", "entries in the dict", "ns"),
    Plot("heap/day", "The heap in the course of a day", "phase", "MiB", 1 / 2**20),
    Plot("lock/live objects", "Making a Lock and taking it", "locks that there are", "ns"),
]
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "B": 1, "MiB": 2**20, "×": 1}
BASE_UNITS = {"B": "B", "MiB": "B", "×": "×"}  # of the values; all others are nanoseconds
