// SPDX-License-Identifier: MIT
// EXPECT: a manager's list needs the type of its items
#include <multiprocessing/managers.hpp>

int main() {
    multiprocessing::Manager manager;
    manager.list();
}
