// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes: give it a cereal serialize\(\) function
// EXPECT: CannotTravel<Buffer, Buffer>
#include <multiprocessing/pool.hpp>

#include <vector>

class Buffer {
  public:
    int size() const { return size_; }

  private:
    int size_ = 0;
    char* bytes_ = nullptr;
};
int size_of(const Buffer& buffer) { return buffer.size(); }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.map(size_of, std::vector<Buffer>(3));
}
