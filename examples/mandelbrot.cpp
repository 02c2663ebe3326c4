// Renders a part of the Mandelbrot set: by itself, then row by row in a pool; and shows the gain.
//     mandelbrot [WIDTH [PROCESSES [FILE.ppm]]]
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <ranges>
#include <string>

namespace mp = multiprocessing;

struct Picture {
    int width, height;
};

constexpr int limit = 255;

/// Counts the steps until the point has left the circle around 0, up to the limit.
int steps_of(double x, double y) {
    double re = x, im = y;
    for (int steps = 0; steps < limit; ++steps) {
        const double re2 = re * re, im2 = im * im;
        if (re2 + im2 > 4) return steps;
        im = 2 * re * im + y;
        re = re2 - im2 + x;
    }
    return limit;
}

/// Returns red, green and blue of each pixel in a row, a byte each.
std::string render(const Picture& picture, int row) {
    const double scale = 0.012 / picture.width;
    std::string pixels;
    for (int column = 0; column < picture.width; ++column) {
        const double x = -0.744 + scale * (column - picture.width / 2);
        const double y = 0.1314 + scale * (row - picture.height / 2);
        const double t = static_cast<double>(steps_of(x, y)) / limit, u = 1 - t;
        for (const double share : {9 * u * t * t * t, 15 * u * u * t * t, 8.5 * u * u * u * t}) {
            pixels += static_cast<char>(static_cast<unsigned char>(255 * share));
        }
    }
    return pixels;
}

/// Returns the Adler-32 checksum.
std::uint32_t checksum(const std::string& bytes) {
    std::uint32_t a = 1, b = 0;
    for (const char byte : bytes) {
        a = (a + static_cast<unsigned char>(byte)) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main(int argc, char** argv) {
    mp::freeze_support();
    const int width = argc > 1 ? std::stoi(argv[1]) : 1800;
    const int processes = argc > 2 ? std::stoi(argv[2]) : mp::process_cpu_count();
    const Picture picture{width, width * 2 / 3};
    const auto rows = std::views::iota(0, picture.height);
    mp::Pool pool(processes);

    std::string alone, pixels;
    auto start = std::chrono::steady_clock::now();
    for (const int row : rows) alone += render(picture, row);
    const double sequential = seconds_since(start);

    start = std::chrono::steady_clock::now();
    auto rendered = pool.imap(mp::partial(render, picture), rows, 4);  // in order, 4 at a time
    for (const std::string& row : mp::progress(
             rendered, {.total = static_cast<std::uint64_t>(picture.height), .desc = "rows"})) {
        pixels += row;
    }
    const double parallel = seconds_since(start);

    std::printf("%d x %d pixels, checksum %08x\n", picture.width, picture.height, checksum(pixels));
    std::printf("Sequential: %.3fs\nParallel:   %.3fs in %d processes\nSpeed-up:   %.2fx\n",
                sequential, parallel, processes, sequential / parallel);
    if (argc > 3) {
        std::ofstream file(argv[3], std::ios::binary);
        file << "P6\n" << picture.width << ' ' << picture.height << "\n255\n" << pixels;
        if (!file.flush()) {
            std::perror(argv[3]);
            return 1;
        }
    }
    return pixels == alone ? 0 : 1;
}
