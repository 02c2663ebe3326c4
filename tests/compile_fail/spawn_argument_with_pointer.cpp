// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer
// EXPECT: CannotTravel<Image, unsigned char ?\*>
#include <multiprocessing/process.hpp>

struct Image {
    int width;
    unsigned char* pixels;
};
void show(const Image&, int) {}

int main() { multiprocessing::SpawnProcess process(show, Image{}, 1); }
