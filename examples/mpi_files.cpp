// Each node of an MPI program writes a file of its own: mpirun -n 3 mpi_files
// SPDX-License-Identifier: MIT
#include <multiprocessing/mpi.hpp>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace mp = multiprocessing;

std::filesystem::path folder;  // which all nodes see, as on a cluster

void use_folder(const std::string& path) { folder = path; }

std::filesystem::path file_of(int rank) {
    return folder / ("node" + std::to_string(rank) + ".csv");
}

/// Simulates something, and leaves what is too much for a message in the file of the node.
double simulate(int seed) {
    const double result = std::sqrt(seed);
    // A line is written at once, at the end of the file, so the workers of a node can share it.
    std::ofstream(file_of(mp::mpi::rank()), std::ios::app) << seed << ',' << result << '\n';
    return result;
}

int main() {
    mp::freeze_support();
    mp::mpi::serve();
    use_folder("mpi_files_" + std::to_string(mp::current_process().pid()));
    std::filesystem::create_directory(folder);
    folder = std::filesystem::absolute(folder);

    std::vector<int> seeds(1000);
    std::iota(seeds.begin(), seeds.end(), 0);
    mp::mpi::Pool pool({.processes = 2}, use_folder, folder.string());
    pool.map(simulate, seeds, 10);

    std::size_t lines = 0;
    for (const mp::mpi::Node& node : pool.nodes()) {
        std::ifstream file(file_of(node.rank));
        for (std::string line; std::getline(file, line);) ++lines;
    }
    std::printf("%zu nodes have written %zu lines\n", pool.nodes().size(), lines);
    std::filesystem::remove_all(folder);
}
