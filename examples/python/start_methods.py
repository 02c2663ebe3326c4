import multiprocessing as mp

setting = 1


def show(argument):
    print(f"the global is {setting}, the argument {argument}")


def run(context):
    print(f"{context.get_start_method()}: ", end="", flush=True)
    process = context.Process(target=show, args=(3,))
    process.start()
    process.join()


if __name__ == "__main__":
    setting = 2
    run(mp.get_context("fork"))
    run(mp.get_context("spawn"))
    run(mp.get_context("forkserver"))
