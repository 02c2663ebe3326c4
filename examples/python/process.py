import multiprocessing as mp


def greet(name):
    print(f"{mp.current_process().name}: hello {name}")


if __name__ == "__main__":
    process = mp.Process(target=greet, args=("bob",), name="greeter")
    process.start()
    process.join()
    print(f"{process.name} ended with {process.exitcode}")
