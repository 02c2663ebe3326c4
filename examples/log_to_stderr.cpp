// Logs on standard error. Each line says which process it is from; children log as their parent.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

namespace mp = multiprocessing;

void work(int amount) {
    mp::get_logger().info("{} to do", amount);
    mp::get_logger().debug("below the level: never formatted");
    if (amount > 10) mp::get_logger().warning("{} is much", amount);
}

int main() {
    mp::freeze_support();
    mp::log_to_stderr(mp::INFO);
    for (const int amount : {7, 12}) {
        mp::Process process(work, amount);
        process.start();
        process.join();
    }
    mp::get_logger().error("nothing is left to do");
}
