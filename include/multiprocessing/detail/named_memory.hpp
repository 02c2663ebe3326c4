// multiprocessing/detail/named_memory.hpp
//
// Memory with a name that unrelated processes find it by (shm_open), and its mapping. Floor 0.
// Start at create_named_memory. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// A shared mapping of a file from its beginning, or none.
class SharedMapping {
  public:
    SharedMapping() = default;
    /// @throws std::system_error ENOMEM, ENODEV
    SharedMapping(int fd, std::size_t size)
        : SharedMapping(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), size,
                        "mmap") {}
    SharedMapping(SharedMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    SharedMapping& operator=(SharedMapping&& other) noexcept {
        if (this != &other) {
            reset();
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    ~SharedMapping() { reset(); }

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
    [[nodiscard]] explicit operator bool() const noexcept { return bytes_.data() != nullptr; }

    /// Maps the same memory a second time; it needs neither a descriptor nor a name any more.
    /// @throws std::system_error ENOMEM
    [[nodiscard]] SharedMapping duplicate() const {
        if (!*this) return {};
        // An old size of 0 leaves the old mapping of shared memory in place, see mremap(2).
        return {::mremap(bytes_.data(), 0, bytes_.size(), MREMAP_MAYMOVE), bytes_.size(), "mremap"};
    }

    /// munmap cannot fail for a mapping that is there as a whole.
    void reset() noexcept {
        if (*this) ::munmap(bytes_.data(), bytes_.size());
        bytes_ = {};
    }

  private:
    SharedMapping(void* base, std::size_t size, const char* call) {
        if (base == MAP_FAILED) throw_system_error(call);
        bytes_ = {static_cast<std::byte*>(base), size};
    }

    std::span<std::byte> bytes_;
};

/// Throws the std::system_error of a call that failed for the block of this name.
[[noreturn]] inline void throw_name_error(const char* call, const std::string& name,
                                          int error = errno) {
    throw std::system_error(error, std::generic_category(), call + (" \"" + name + "\""));
}

/// Removes the name. The memory lives on for those who have mapped it.
/// @throws std::system_error ENOENT, EACCES
inline void unlink_named_memory(const std::string& name) {
    if (::shm_unlink(("/" + name).c_str()) == -1) throw_name_error("shm_unlink", name);
}

/// Opens memory for reading and writing. @param name without a slash
/// @throws std::system_error ENOENT, EACCES, ENAMETOOLONG, EMFILE; with O_CREAT | O_EXCL EEXIST
inline Descriptor open_named_memory(const std::string& name, int flags = 0) {
    const std::string path = "/" + name;
    Descriptor file(retry_on_eintr([&] { return ::shm_open(path.c_str(), flags | O_RDWR, 0600); }));
    if (!file) throw_name_error("shm_open", name);
    return file;
}

/// Takes the memory of a file now: ftruncate alone makes a hole, and whoever touches it when the
/// file system is full gets SIGBUS.
/// @throws std::system_error ENOSPC
inline void reserve_memory(int fd, off_t size) {
    // A signal ends the call, and tmpfs then gives back what it had taken (shmem_fallocate in
    // mm/shmem.c). Under a rain of signals a large block would never be had in one piece.
    constexpr off_t smallest_piece = 1 << 16;
    off_t piece = size;
    for (off_t done = 0; done < size;) {
        const off_t length = std::min(piece, size - done);
        const int error = ::posix_fallocate(fd, done, length);
        if (error == 0) {
            done += length;
        } else if (error == EINTR) {
            piece = std::max(length / 2, smallest_piece);
        } else {
            throw_system_error("posix_fallocate", error);
        }
    }
}

/// Gives a new file its size, for good. @throws std::system_error ENOSPC, EFBIG
inline void set_memory_size(int fd, std::int64_t size) {
    // Beyond this limit the kernel would send SIGXFSZ, which ends the process.
    struct rlimit limit {};
    check(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    if (std::cmp_greater(size, limit.rlim_cur)) throw_system_error("ftruncate", EFBIG);
    // First, and at once: who opens the name meanwhile finds it with its size, or still empty.
    check(retry_on_eintr([&] { return ::ftruncate(fd, size); }), "ftruncate");
    reserve_memory(fd, size);
}

/// Makes memory of this name and size, all zero.
/// @throws std::system_error EEXIST, ENOSPC, EFBIG, ENOMEM, EACCES, EMFILE; then the name is not
///         there, unless it was before
inline SharedMapping create_named_memory(const std::string& name, std::int64_t size) {
    const Descriptor file = open_named_memory(name, O_CREAT | O_EXCL);
    try {
        set_memory_size(file.get(), size);
        return {file.get(), static_cast<std::size_t>(size)};
    } catch (...) {
        ::shm_unlink(("/" + name).c_str());  // its error, if any, is not the one to report
        throw;
    }
}

/// Returns a name as CPython makes them: psm_ and 8 hexadecimal digits.
/// @par Source CPython Lib/multiprocessing/shared_memory.py, _make_filename
inline std::string random_memory_name() {
    std::uint8_t random[4];
    check(::getrandom(random, sizeof random, 0), "getrandom");  // ≤ 256 bytes come whole
    std::string name = "psm_";
    for (const unsigned byte : random) {
        name += "0123456789abcdef"[byte >> 4];
        name += "0123456789abcdef"[byte & 15];
    }
    return name;
}

/// Makes memory under a new name, which `name` then has. @param make_name gives names to try
template <class MakeName>
SharedMapping create_named_memory(std::string& name, std::int64_t size, MakeName make_name) {
    for (;;) {
        name = make_name();
        try {
            return create_named_memory(name, size);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::file_exists) throw;
        }
    }
}

/// Maps all of the memory of this name, whoever made it.
/// @throws std::system_error ENOENT, EACCES, ENOMEM, EMFILE @throws ValueError when it is empty
inline SharedMapping attach_named_memory(const std::string& name) {
    const Descriptor file = open_named_memory(name);
    struct stat status {};
    check(::fstat(file.get(), &status), "fstat");
    // Its maker is between shm_open and ftruncate, or was killed there.
    if (status.st_size == 0) throw ValueError("the shared memory \"" + name + "\" is empty");
    return {file.get(), static_cast<std::size_t>(status.st_size)};
}

}  // namespace multiprocessing::detail
