// A table in shared memory that the workers of a pool read: handing it over copies nothing.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/shared_objects.hpp>

#include <iostream>
#include <numeric>
#include <string>

namespace mp = multiprocessing;

using Table = mp::shared::map<mp::shared::string, mp::shared::vector<double>>;

double total(const mp::Shared<Table>& table, const std::string& name) {
    const auto& row = table.frozen().find(name)->second;
    return std::accumulate(row.begin(), row.end(), 0.0);
}

void add_row(const mp::Shared<Table>& table, const std::string& name, int count) {
    table.with([&](Table& t) {
        for (int i = 0; i < count; ++i) t[name.c_str()].push_back(i * 0.5);
    });
}

int main() {
    mp::freeze_support();
    mp::Shared<Table> table;
    mp::Process a(add_row, table, "ash", 3), b(add_row, table, "birch", 5);
    a.start(), b.start();
    a.join(), b.join();
    table.freeze();  // from now on it is read without a lock

    mp::Pool pool(2);
    for (const double sum : pool.map(mp::partial(total, table), {"ash", "birch"})) {
        std::cout << sum << '\n';
    }
    std::cout << table << '\n';
}
