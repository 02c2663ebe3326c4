import functools
import multiprocessing as mp
import os
import sys
import time
import zlib

from progress_bar import progress

LIMIT = 255


def steps_of(x, y):
    re, im = x, y
    for steps in range(LIMIT):
        re2, im2 = re * re, im * im
        if re2 + im2 > 4:
            return steps
        im = 2 * re * im + y
        re = re2 - im2 + x
    return LIMIT


def render(picture, row):
    width, height = picture
    scale = 0.012 / width
    pixels = bytearray()
    for column in range(width):
        x = -0.744 + scale * (column - width // 2)
        y = 0.1314 + scale * (row - height // 2)
        t = steps_of(x, y) / LIMIT
        u = 1 - t
        for share in (9 * u * t * t * t, 15 * u * u * t * t, 8.5 * u * u * u * t):
            pixels.append(int(255 * share))
    return bytes(pixels)


if __name__ == "__main__":
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 1800
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
    height = width * 2 // 3
    with mp.Pool(processes) as pool:
        start = time.perf_counter()
        alone = b"".join(render((width, height), row) for row in range(height))
        sequential = time.perf_counter() - start

        start = time.perf_counter()
        rendered = pool.imap(functools.partial(render, (width, height)), range(height), 4)
        pixels = b"".join(progress(rendered, total=height, desc="rows"))
        parallel = time.perf_counter() - start

    print(f"{width} x {height} pixels, checksum {zlib.adler32(pixels):08x}")
    print(f"Sequential: {sequential:.3f}s")
    print(f"Parallel:   {parallel:.3f}s in {processes} processes")
    print(f"Speed-up:   {sequential / parallel:.2f}x")
    if len(sys.argv) > 3:
        with open(sys.argv[3], "wb") as file:
            file.write(b"P6\n%d %d\n255\n" % (width, height) + pixels)
    sys.exit(0 if pixels == alone else 1)
