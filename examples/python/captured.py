import contextlib
import io
import multiprocessing as mp


def simulate(seed):
    print("seed", seed)
    if seed == 3:
        raise ArithmeticError("it does not converge")
    print("converged after", 10 * seed, "steps")
    return seed * seed


def captured(seed):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        try:
            return simulate(seed), None, text.getvalue()
        except ArithmeticError as error:
            return None, error, text.getvalue()


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        for result, error, text in pool.map(captured, [1, 2, 3, 4]):
            if error is None:
                print("result", result)
            else:
                print("error:", error)
            print(text, end="")
