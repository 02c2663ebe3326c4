// multiprocessing/detail/named_memory.ipp
//
// Names and sizes: see named_memory.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/named_memory.hpp"

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

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Throws the std::system_error of a call that failed for the block of this name.
[[noreturn]] MULTIPROCESSING_INLINE void throw_name_error(const char* call, const std::string& name,
                                                          int error = errno) {
    throw std::system_error(error, std::generic_category(), call + (" \"" + name + "\""));
}

MULTIPROCESSING_INLINE void unlink_named_memory(const std::string& name) {
    // remove() returns whether shm_unlink worked, and leaves errno as shm_unlink set it.
    if (!shared_memory_object::remove(name.c_str())) throw_name_error("shm_unlink", name);
}

/// Returns the memory that `open` returns. Errors name the block.
template <class Open>
shared_memory_object open_memory_object(const std::string& name, Open open) {
    const StandardStreamsTaken taken;
    for (;;) {
        try {
            return open(name.c_str());
        } catch (const boost::interprocess::interprocess_exception& error) {
            // Releases of Boost after 1.81 try again by themselves.
            if (errno_of(error) == EINTR) continue;
            throw_name_error("shm_open", name, errno_of(error));
        }
    }
}

/// Opens memory for reading and writing. @param name without a slash
/// @throws std::system_error ENOENT, EACCES, ENAMETOOLONG, EMFILE
MULTIPROCESSING_INLINE shared_memory_object open_named_memory(const std::string& name) {
    return open_memory_object(name, [](const char* text) {
        return shared_memory_object(boost::interprocess::open_only, text,
                                    boost::interprocess::read_write);
    });
}

MULTIPROCESSING_INLINE shared_memory_object make_named_memory(const std::string& name) {
    return open_memory_object(name, [](const char* text) {
        return shared_memory_object(boost::interprocess::create_only, text,
                                    boost::interprocess::read_write,
                                    boost::interprocess::permissions(0600));
    });
}

/// Takes the memory of a file now. ftruncate alone makes a hole, and a process that touches a hole
/// gets SIGBUS when the file system is full.
/// @throws std::system_error ENOSPC
MULTIPROCESSING_INLINE void reserve_memory(int fd, off_t size) {
    // A signal ends the call, and tmpfs then gives back what it had taken (shmem_fallocate in
    // mm/shmem.c). If many signals arrive, a large block would never be complete in one piece.
    constexpr off_t smallest_piece = 1 << 16;
    off_t piece = size;
    for (off_t done = 0; done < size;) {
        const off_t length = (std::min)(piece, size - done);
        const int error = ::posix_fallocate(fd, done, length);
        if (error == 0) {
            done += length;
        } else if (error == EINTR) {
            piece = (std::max)(length / 2, smallest_piece);
        } else {
            throw_system_error("posix_fallocate", error);
        }
    }
}

/// Gives a new file its size, for good. @throws std::system_error ENOSPC, EFBIG
// shared_memory_object::truncate would not do. It takes the memory first, so that other processes
// see a large block without its size for long. At each signal it begins again with the whole block.
// And the kernel may send SIGXFSZ.
MULTIPROCESSING_INLINE void set_memory_size(int fd, std::int64_t size) {
    // Beyond this limit the kernel would send SIGXFSZ, which ends the process.
    struct rlimit limit {};
    checked(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    if (std::cmp_greater(size, limit.rlim_cur)) throw_system_error("ftruncate", EFBIG);
    // The size comes first, and at once: a process that opens the name meanwhile finds it with its
    // size, or still empty.
    checked(retry_on_eintr([&] { return ::ftruncate(fd, size); }), "ftruncate");
    reserve_memory(fd, size);
}

MULTIPROCESSING_INLINE mapped_region create_named_memory(const std::string& name,
                                                         std::int64_t size) {
    const shared_memory_object file = make_named_memory(name);
    try {
        const int fd = file.get_mapping_handle().handle;
        set_memory_size(fd, size);
        return map_file(fd, static_cast<std::size_t>(size));
    } catch (...) {
        shared_memory_object::remove(name.c_str());  // an error of it is not the one to report
        throw;
    }
}

MULTIPROCESSING_INLINE std::string random_memory_name() {
    std::uint8_t random[4];
    checked(::getrandom(random, sizeof random, 0), "getrandom");  // up to 256 bytes come whole
    std::string name = "psm_";
    for (const unsigned byte : random) {
        name += "0123456789abcdef"[byte >> 4];
        name += "0123456789abcdef"[byte & 15];
    }
    return name;
}

MULTIPROCESSING_INLINE mapped_region attach_named_memory(const std::string& name) {
    const shared_memory_object file = open_named_memory(name);
    boost::interprocess::offset_t size = 0;
    if (!file.get_size(size)) throw_name_error("fstat", name);
    // The process that makes it is between shm_open and ftruncate, or was killed there.
    if (size == 0) throw ValueError("the shared memory \"" + name + "\" is empty");
    return map_file(file.get_mapping_handle().handle, static_cast<std::size_t>(size));
}

}  // namespace multiprocessing::detail
