"""The functions that pools call in benchmarks/python.cpp and its twin."""


def square(x):
    return x * x
