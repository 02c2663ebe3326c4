import asyncio
from concurrent.futures import ProcessPoolExecutor


def square(x):
    return x * x


def add(a, b):
    return a + b


async def sum_of_squares(executor, a, b):
    loop = asyncio.get_running_loop()
    first = loop.run_in_executor(executor, square, a)
    second = loop.run_in_executor(executor, square, b)
    return await loop.run_in_executor(executor, add, await first, await second)


async def main():
    with ProcessPoolExecutor(2) as executor:
        jobs = sum_of_squares(executor, 3, 4), sum_of_squares(executor, 5, 12)
        print(*await asyncio.gather(*jobs), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
