// multiprocessing/detail/named_memory.hpp
//
// Memory with a name that unrelated processes find it by. Boost.Interprocess has the names and the
// mappings; here is what it lacks: memory that is taken when a block is made, and errors that name
// the call and the block. Floor 0. Start at create_named_memory. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

using boost::interprocess::shared_memory_object;

/// Throws the std::system_error of a call that failed for the block of this name.
[[noreturn]] inline void throw_name_error(const char* call, const std::string& name,
                                          int error = errno) {
    throw std::system_error(error, std::generic_category(), call + (" \"" + name + "\""));
}

/// Removes the name. The memory lives on for those who have mapped it.
/// @throws std::system_error ENOENT, EACCES
inline void unlink_named_memory(const std::string& name) {
    // It returns whether shm_unlink worked, and leaves errno as that set it.
    if (!shared_memory_object::remove(name.c_str())) throw_name_error("shm_unlink", name);
}

/// Returns the memory that `open` gives; the errors are those of the block of this name.
template <class Open>
shared_memory_object open_memory_object(const std::string& name, Open open) {
    for (;;) {
        try {
            return open(name.c_str());
        } catch (const boost::interprocess::interprocess_exception& error) {
            // Later releases of Boost than 1.81 try again by themselves.
            if (errno_of(error) == EINTR) continue;
            throw_name_error("shm_open", name, errno_of(error));
        }
    }
}

/// Opens memory for reading and writing. @param name without a slash
/// @throws std::system_error ENOENT, EACCES, ENAMETOOLONG, EMFILE
inline shared_memory_object open_named_memory(const std::string& name) {
    return open_memory_object(name, [](const char* text) {
        return shared_memory_object(boost::interprocess::open_only, text,
                                    boost::interprocess::read_write);
    });
}

/// Makes memory of this name, still without a size. @param name without a slash
/// @throws std::system_error EEXIST, EACCES, ENAMETOOLONG, EMFILE
inline shared_memory_object make_named_memory(const std::string& name) {
    return open_memory_object(name, [](const char* text) {
        return shared_memory_object(boost::interprocess::create_only, text,
                                    boost::interprocess::read_write,
                                    boost::interprocess::permissions(0600));
    });
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
// shared_memory_object::truncate would not do: it takes the memory first, so that a large block is
// empty for long to others; it begins again with all of it at each signal; and the kernel may send
// SIGXFSZ.
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
inline mapped_region create_named_memory(const std::string& name, std::int64_t size) {
    const shared_memory_object file = make_named_memory(name);
    try {
        const int fd = file.get_mapping_handle().handle;
        set_memory_size(fd, size);
        return map_file(fd, static_cast<std::size_t>(size));
    } catch (...) {
        shared_memory_object::remove(name.c_str());  // its error, if any, is not the one to report
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
mapped_region create_named_memory(std::string& name, std::int64_t size, MakeName make_name) {
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
inline mapped_region attach_named_memory(const std::string& name) {
    const shared_memory_object file = open_named_memory(name);
    boost::interprocess::offset_t size = 0;
    if (!file.get_size(size)) throw_name_error("fstat", name);
    // Its maker is between shm_open and ftruncate, or was killed there.
    if (size == 0) throw ValueError("the shared memory \"" + name + "\" is empty");
    return map_file(file.get_mapping_handle().handle, static_cast<std::size_t>(size));
}

}  // namespace multiprocessing::detail
