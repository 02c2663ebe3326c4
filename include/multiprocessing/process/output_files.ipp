// multiprocessing/process/output_files.ipp
//
// How standard output and error are redirected: see output_files.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/output_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/file.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void OutputFiles::make_absolute() {
    for (std::string* name : {&stdout_file, &stderr_file}) {
        if (!name->empty()) *name = absolute_pattern(*name);
    }
}

MULTIPROCESSING_INLINE void refuse_output_files(const OutputFiles& files, const char* what) {
    if (files.is_empty()) return;
    throw ValueError(std::string("stdout_file and stderr_file need a process: ") + what +
                     " prints where the whole program does");
}

/// Has a standard stream stand for a file.
[[gnu::cold]] MULTIPROCESSING_INLINE void redirect(int stream, const std::string& name) {
    const Descriptor file = try_to_open([&] {
        return retry_on_eintr(
            [&] { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); });
    });
    if (!file) throw std::system_error(errno, std::generic_category(), "open of " + name);
    checked(::dup2(file.get(), stream), "dup2");
}

MULTIPROCESSING_INLINE void redirect_output(const OutputFiles& files, std::string_view worker) {
    const auto name_of = [&](const std::string& pattern) {
        return log_file_name(pattern, worker, "{worker}");
    };
    if (!files.stdout_file.empty()) {
        redirect(STDOUT_FILENO, name_of(files.stdout_file));
        // A process that is killed cannot write what it holds back. With a buffer of its own: where
        // a forked process has a stream that was used before, glibc would go on filling the old one
        // (puts(); since 2.37 printf() too).
        static char buffer[BUFSIZ];
        std::setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
    }
    if (!files.stderr_file.empty()) redirect(STDERR_FILENO, name_of(files.stderr_file));
}

}  // namespace multiprocessing::detail
