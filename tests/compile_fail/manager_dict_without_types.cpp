// SPDX-License-Identifier: MIT
// EXPECT: a manager's dict needs the types of its keys and values
#include <multiprocessing/managers.hpp>

int main() {
    multiprocessing::Manager manager;
    manager.dict();
}
