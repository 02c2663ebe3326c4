// multiprocessing/process/program.hpp
//
// How this very program is started anew: which file, and what comes before its arguments. Usually
// that is /proc/self/exe. Where the dynamic loader was run by name, with the program as its
// argument, it is the loader. Without /proc there is only the name that the program was started by.
// Floor 3. Start at program_command. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace multiprocessing::detail {

/// A file to run, and the arguments to begin with.
struct ProgramCommand {
    std::string file;
    std::vector<std::string> arguments;
};

/// Gives this process the short name by which ps, top and pgrep know the program. It was run by
/// another name, /proc/self/exe.
void take_program_name() noexcept;

/// Returns how to run this program by the file that it runs from, even if another file has that
/// name by now: the child resolves the link while it still shares this process's memory.
ProgramCommand program_command();

/// Returns how to run this program where there is no /proc.
/// @throws std::system_error ENOENT when its file is not found
ProgramCommand program_command_by_name();

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/program.ipp"
#endif
