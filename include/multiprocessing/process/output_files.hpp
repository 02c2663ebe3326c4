// multiprocessing/process/output_files.hpp
//
// The files that a process prints to, where it has some of its own. They stand behind the
// descriptors of standard output and error, so they also get what is printed by write(2), and by
// the programs that the process starts. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// The files that a process is to print to; an empty name: where its parent does. "{pid}" and
/// "{worker}" in a name stand for the process's id and for what it is called.
struct OutputFiles {
    std::string stdout_file;
    std::string stderr_file;

    [[nodiscard]] bool is_empty() const noexcept {
        return stdout_file.empty() && stderr_file.empty();
    }
    /// Makes the names absolute: the program may change its folder before a process starts.
    [[gnu::cold]] void make_absolute();
};

/// @throws ValueError if there are files: what is started is no process. @param what e.g. "a
/// thread"
[[gnu::cold]] void refuse_output_files(const OutputFiles& files, const char* what);

/// In a child: from now on, what it prints is appended to the files, each line as it comes.
/// @pre it holds nothing back: flush_standard_streams
/// @param worker what "{worker}" stands for
/// @throws std::system_error with the file's name: ENOENT, EACCES, EMFILE, …
[[gnu::cold]] void redirect_output(const OutputFiles& files, std::string_view worker);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/output_files.ipp"
#endif
