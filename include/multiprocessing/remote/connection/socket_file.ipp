// multiprocessing/remote/connection/socket_file.ipp
//
// How the file of a socket gets its place and goes: see socket_file.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/socket_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

constexpr std::string_view folder_prefix = "multiprocessing-listener-";
constexpr const char* socket_name = "listener";

/// Returns where folders are made.
inline std::string temporary_folder() {
    const char* const chosen = ::getenv("TMPDIR");
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 50;
    // In a folder with so long a path no socket could be.
    if (chosen == nullptr || *chosen == '\0' || std::string_view(chosen).size() > longest) {
        return "/tmp";
    }
    return chosen;
}

/// Locks a folder for as long as the descriptor is open, in this process or a forked one.
/// @returns none when somebody else has, or it is no folder
inline Descriptor lock_folder(const std::string& path) {
    Descriptor fd = try_to_open(
        [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); });
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
    return fd;
}

/// Returns whether a path still leads to what was opened.
inline bool is_at(const std::string& path, const Descriptor& fd) {
    struct stat at_path {};
    struct stat opened {};
    return ::stat(path.c_str(), &at_path) == 0 && ::fstat(fd.get(), &opened) == 0 &&
           at_path.st_dev == opened.st_dev && at_path.st_ino == opened.st_ino;
}

/// Removes a folder that a killed process has left, if it is one. Failures are ignored.
inline void remove_if_left(const std::string& path) noexcept {
    const Descriptor lock = lock_folder(path);
    struct stat status {};
    if (!lock || ::fstat(lock.get(), &status) != 0 || status.st_uid != ::geteuid()) return;
    if (::fstatat(lock.get(), socket_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISSOCK(status.st_mode)) {
        (void)::unlinkat(lock.get(), socket_name, 0);
    }
    (void)::rmdir(path.c_str());
}

inline void remove_what_is_left(const std::string& below) {
    const StandardStreamsTaken taken;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(below.c_str()), ::closedir);
    if (folder == nullptr) return;
    while (const dirent* const entry = ::readdir(folder.get())) {
        if (std::string_view(entry->d_name).starts_with(folder_prefix)) {
            remove_if_left(below + "/" + entry->d_name);
        }
    }
}

inline std::string SocketFile::make_folder() {
    const std::string below = temporary_folder();
    remove_what_is_left(below);
    do {
        folder_ = below + "/" + std::string(folder_prefix) + "XXXXXX";
        if (::mkdtemp(folder_.data()) == nullptr) {
            folder_.clear();
            throw_system_error("mkdtemp");
        }
        maker_ = ::getpid();
        lock_ = out_of_the_way(lock_folder(folder_));
        // Another process may have taken it for a dead one's before it was locked.
    } while (!lock_ || !is_at(folder_, lock_));
    return folder_ + "/" + socket_name;
}

inline void SocketFile::was_made(const std::string& path) {
    struct stat status {};
    if (path.empty() || ::stat(path.c_str(), &status) != 0) return;
    path_ = path;
    maker_ = ::getpid();
    device_ = status.st_dev;
    inode_ = status.st_ino;
}

inline void SocketFile::remove() noexcept {
    if (maker_ != ::getpid()) return lock_.reset();
    maker_ = 0;
    struct stat status {};
    if (!path_.empty() && ::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
        status.st_ino == inode_) {
        // Failures are ignored: what another process has removed already is no concern of ours.
        (void)::unlink(path_.c_str());
    }
    if (!folder_.empty()) (void)::rmdir(folder_.c_str());
    lock_.reset();
}

}  // namespace multiprocessing::detail
