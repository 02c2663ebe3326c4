// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes: give it a cereal serialize\(\) function
// EXPECT: CannotTravel<Buffer, Buffer>
#include <multiprocessing/process.hpp>

class Buffer {
  public:
    int size() const { return size_; }

  private:
    int size_ = 0;
    char* bytes_ = nullptr;
};
void show(const Buffer&) {}

int main() { multiprocessing::SpawnProcess process(show, Buffer()); }
