// multiprocessing/remote/connection/socket_file.hpp
//
// The file of a Unix socket that listens: who makes it removes it, and nobody else. What a killed
// process leaves is a folder that nobody has locked; the next one that makes such a folder removes
// it. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

/// The file that bind(2) makes, and perhaps a folder around it. The object removes both.
class SocketFile {
  public:
    SocketFile() = default;
    SocketFile(const SocketFile&) = delete;
    SocketFile& operator=(const SocketFile&) = delete;
    ~SocketFile() { remove(); }

    /// Makes a folder that only this user can look into, below $TMPDIR or /tmp.
    /// @returns the path for a socket in it @throws std::system_error EACCES, ENOSPC
    std::string make_folder();

    /// Says that the file is there now. @param path empty: there is none
    void was_made(const std::string& path);

    /// Removes what this process has made: not what a forked process has inherited, and not what
    /// somebody has put in its place.
    void remove() noexcept;

  private:
    std::string path_;
    std::string folder_;
    Descriptor lock_;  // on the folder
    pid_t maker_ = 0;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/connection/socket_file.ipp"
