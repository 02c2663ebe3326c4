// multiprocessing/process/output_capture.ipp
//
// How output is captured and passed on: see output_capture.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/output_capture.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/process/bootstrap.hpp"

namespace multiprocessing::detail {

/// Held while there is an OutputCapture. A forked child finds it free.
inline constinit LocalMutex capturing;

MULTIPROCESSING_INLINE OutputCapture::Stream::Stream(int number)
    : number_(number), memory_(open_descriptor("memfd_create", [] {
          return ::memfd_create("multiprocessing-output", MFD_CLOEXEC);
      })) {
    // A program that the task has started writes behind what is there, too.
    checked(::fcntl(memory_.get(), F_SETFL, O_APPEND), "fcntl");
}

MULTIPROCESSING_INLINE void OutputCapture::Stream::begin() {
    before_ = try_to_open([&] { return ::fcntl(number_, F_DUPFD_CLOEXEC, first_free_descriptor); });
    if (!before_ && errno != EBADF) throw_system_error("fcntl");
    checked(::dup2(memory_.get(), number_), "dup2");
    is_captured_ = true;
}

MULTIPROCESSING_INLINE void OutputCapture::Stream::restore() noexcept {
    if (!std::exchange(is_captured_, false)) return;
    if (before_) {
        ::dup2(before_.get(), number_);  // fails only where a sandbox forbids it
    } else {
        ::close(number_);
    }
}

MULTIPROCESSING_INLINE std::string OutputCapture::Stream::text() const {
    struct stat status {};
    checked(::fstat(memory_.get(), &status), "fstat");
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = retry_on_eintr([&] {
            return ::pread(memory_.get(), text.data() + size, text.size() - size,
                           static_cast<off_t>(size));
        });
        if (count <= 0) break;
        size += static_cast<std::size_t>(count);
    }
    text.resize(size);
    return text;
}

MULTIPROCESSING_INLINE void OutputCapture::Stream::pass_on() const noexcept {
    char part[4096];
    off_t at = 0;
    for (;;) {
        const ssize_t count = ::pread(memory_.get(), part, sizeof part, at);
        if (count <= 0 || ::write(number_, part, static_cast<std::size_t>(count)) != count) return;
        at += count;
    }
}

MULTIPROCESSING_INLINE OutputCapture::OutputCapture() : alone_(capturing, std::try_to_lock) {
    if (!alone_) {
        throw RuntimeError(
            "another captured call runs in this process: what the two print cannot be told "
            "apart. Capture in one thread at a time, and not within a captured call");
    }
    flush_standard_streams();
    try {
        output_.begin();
        error_output_.begin();
    } catch (...) {
        output_.restore();
        throw;
    }
}

MULTIPROCESSING_INLINE OutputCapture::~OutputCapture() {
    if (finished_) return;
    restore();
    output_.pass_on();
    error_output_.pass_on();
}

MULTIPROCESSING_INLINE CapturedText OutputCapture::finish() {
    restore();
    CapturedText text{output_.text(), error_output_.text()};
    finished_ = true;
    return text;
}

MULTIPROCESSING_INLINE void OutputCapture::restore() noexcept {
    try {
        flush_standard_streams();
    } catch (...) {  // of a stream that throws on errors; the rest must be restored all the same
    }
    output_.restore();
    error_output_.restore();
}

}  // namespace multiprocessing::detail
