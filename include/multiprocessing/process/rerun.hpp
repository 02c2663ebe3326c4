// multiprocessing/process/rerun.hpp
//
// Starts this very program anew, as a child or as the fork server; or another program, as a guest
// of the family. The segment and what else the family shares go along as open descriptors. It uses
// vfork and exec, so the cost does not grow with this process's memory. Mirrors CPython
// Lib/multiprocessing/util.py, spawnv_passfds. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <vector>

namespace multiprocessing::detail {

struct Inheritance;
struct ProgramCommand;

/// Whether main has called freeze_support(). Without that, a rerun would be a second main.
inline constinit std::atomic<bool> freeze_support_was_called{false};

/// @throws RuntimeError when main has not called freeze_support()
void require_freeze_support();

/// Runs this program in the part that `inheritance` says.
/// @param label     an argument for people who look at ps; the program does not read it
/// @param lifelines descriptors that are passed too
/// @returns its pid
/// @throws std::system_error EAGAIN, ENOMEM, EMFILE, ENOENT (no /proc, and no name to run it by)
pid_t rerun_program(Inheritance inheritance, const std::string& label,
                    const std::vector<int>& lifelines);

/// Runs another program, which joins the family. @param last its last argument
/// @returns its pid
/// @throws std::system_error as rerun_program; with the program's name: ENOENT, EACCES, …
pid_t run_program(const ProgramCommand& program, Inheritance inheritance, const std::string& last,
                  const std::vector<int>& lifelines);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/rerun.ipp"
#endif
