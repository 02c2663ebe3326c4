// What a raw pipe or socket carries, for the benchmarks that compare with one.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>

/// Writes all of the bytes.
inline void write_all(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t written = ::write(fd, bytes, size);
        if (written <= 0) std::abort();
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
}

/// Reads so many bytes.
inline void read_all(int fd, char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t got = ::read(fd, bytes, size);
        if (got <= 0) std::abort();
        bytes += got;
        size -= static_cast<std::size_t>(got);
    }
}
