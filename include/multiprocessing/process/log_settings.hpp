// multiprocessing/process/log_settings.hpp
//
// How a child that has no copy of its parent's memory comes to log as its parent does: the level
// and the outlets travel in the message that it starts with. Floor 3. SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail {

class InputArchive;
class OutputArchive;

/// Writes this process's log settings into a child's message.
void save_logging(OutputArchive& archive);

/// Does the same for a process of another machine. A handler that holds memory of this one, such as
/// a queue, stays here; the other process then logs to standard error.
void save_logging_for_other_machine(OutputArchive& archive);

/// Reads what save_logging wrote. From then on this process logs in the same way.
void load_logging(InputArchive& archive);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/log_settings.ipp"
#endif
