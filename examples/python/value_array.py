import ctypes
import multiprocessing as mp


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


def change(number, numbers, point):
    number.value = 3.25
    for i in range(len(numbers)):
        numbers[i] = -numbers[i]
    point.x += 10


if __name__ == "__main__":
    number = mp.Value("d", 0.0)
    numbers = mp.Array("i", [1, 2, 3, 4, 5])
    point = mp.Value(Point, 1.5, 2.5)

    process = mp.Process(target=change, args=(number, numbers, point))
    process.start()
    process.join()

    print(number.value, numbers[:], f"{point.x} {point.y}", sep="\n")
