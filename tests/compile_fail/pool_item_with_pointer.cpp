// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer
// EXPECT: send the object itself
// EXPECT: CannotTravel<Image, unsigned char ?\*>
#include <multiprocessing/pool.hpp>

#include <vector>

struct Image {
    int width;
    unsigned char* pixels;
};
int brightness(const Image& image) { return image.width; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.map(brightness, std::vector<Image>(3));
}
