// Runs the Pythons that the machine has. SPDX-License-Identifier: MIT
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace support {

inline std::string to_hex(std::string_view bytes) {
    std::string hex;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
}
inline std::string from_hex(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

/// Runs a shell command with `input` as its standard input, and returns what it prints.
inline std::string output_of(const std::string& command, std::string_view input) {
    const int fd = ::memfd_create("input", 0);
    const bool written = ::write(fd, input.data(), input.size()) == ::ssize_t(input.size());
    ::lseek(fd, 0, SEEK_SET);
    std::FILE* const pipe = ::popen((command + " <&" + std::to_string(fd)).c_str(), "re");
    std::string output;
    char buffer[4096];
    for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, pipe)) != 0;) {
        output.append(buffer, size);
    }
    const int status = ::pclose(pipe);
    ::close(fd);
    if (!written || status != 0) {
        const std::size_t begin = output.size() > 1000 ? output.size() - 1000 : 0;
        throw std::runtime_error("failed: " + command + "\n" + output.substr(begin));
    }
    return output;
}

/// Runs a program of Python. It must not contain a single quote.
inline std::string run_python(const std::string& python, const std::string& program,
                              std::string_view input = {}) {
    return output_of(python + " -c '" + program + "' 2>&1", input);
}

/// Returns the Pythons in PATH, each version once, and those that MULTIPROCESSING_TEST_PYTHONS
/// names, with colons between them.
inline const std::vector<std::string>& pythons() {
    static const std::vector<std::string> found = [] {
        std::vector<std::string> names{"python3"};
        for (int minor = 6; minor < 20; ++minor) {
            names.push_back("python3." + std::to_string(minor));
        }
        if (const char* const more = std::getenv("MULTIPROCESSING_TEST_PYTHONS")) {
            std::istringstream list(more);
            for (std::string name; std::getline(list, name, ':');) names.push_back(name);
        }
        std::set<std::string> versions;
        std::vector<std::string> pythons;
        for (const std::string& name : names) {
            const std::string program =
                " -c \"import sys; print(sys.version)\" 2>/dev/null || true";
            const std::string version = output_of(name + program, {});
            if (!version.empty() && versions.insert(version).second) pythons.push_back(name);
        }
        return pythons;
    }();
    return found;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

}  // namespace support
