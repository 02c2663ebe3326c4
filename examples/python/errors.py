import multiprocessing as mp


class ParseError(RuntimeError):
    pass


def parse(text):
    if not text:
        raise ValueError("there is nothing to parse")
    if not text[0].isdigit():
        raise ParseError(f"{text} is not a number")
    return int(text[0])


if __name__ == "__main__":
    with mp.Pool(2) as pool:
        results = [pool.apply_async(parse, (text,)) for text in ["1", "two", "3", ""]]
        for result in results:
            try:
                print(result.get())
            except ParseError as error:
                print(f"ParseError: {error}")
            except ValueError as error:
                print(f"invalid argument: {error}")
