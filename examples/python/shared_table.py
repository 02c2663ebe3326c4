import multiprocessing as mp


def total(table, name):
    return sum(table[name])


def add_row(table, name, count):
    table[name] = [i * 0.5 for i in range(count)]


if __name__ == "__main__":
    with mp.Manager() as manager:
        table = manager.dict()
        a = mp.Process(target=add_row, args=(table, "ash", 3))
        b = mp.Process(target=add_row, args=(table, "birch", 5))
        a.start()
        b.start()
        a.join()
        b.join()
        table = dict(sorted(table.items()))

    with mp.Pool(2) as pool:
        for sum_ in pool.starmap(total, [(table, "ash"), (table, "birch")]):
            print(f"{sum_:g}")
    print(f"<Shared {table}>")
