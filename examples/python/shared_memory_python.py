import multiprocessing as mp
from multiprocessing import shared_memory


def change(list_name):
    items = shared_memory.ShareableList(name=list_name)
    print("Python finds", *items)
    items[0] *= 2

    block = shared_memory.SharedMemory(create=True, size=3)
    block.buf[:] = bytes([1, 2, 3])
    items[1] = block.name


if __name__ == "__main__":
    items = shared_memory.ShareableList([21, "place for a name"])
    process = mp.Process(target=change, args=(items.shm.name,))
    process.start()
    process.join()

    block = shared_memory.SharedMemory(name=items[1])
    print("C++ finds", items[0], *block.buf)  # here, the parent
    block.unlink()
    items.shm.unlink()
