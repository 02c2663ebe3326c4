import json
import multiprocessing as mp
import statistics


def judge(trend, mean):
    arrow = {"rising": "/", "falling": "\\"}[trend]
    return f"{arrow} {mean:.2f} degrees, {'warm' if mean > 10 else 'cold'}"


def trend(readings):
    return "rising" if readings[-1] > readings[0] else "falling"


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        stations = pool.map(json.loads, ["[12.5, 14, 17.5]", "[3, 2.5, 0.5, -2]", "[20, 25]"])
        means = pool.map(statistics.fmean, stations)
        for readings, mean in zip(stations, means):
            print(pool.apply(judge, (trend(readings), mean)))
        try:
            pool.apply(judge, ("unknown", 0))
        except KeyError as error:
            print("KeyError:", *error.args)
