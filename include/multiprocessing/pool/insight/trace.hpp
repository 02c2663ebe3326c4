// multiprocessing/pool/insight/trace.hpp
//
// Writes which worker ran which task when, as the JSON of Chrome's trace viewer. Perfetto
// (ui.perfetto.dev) opens it too. It shows a line for each worker and a bar for each chunk.
// Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace multiprocessing::detail {

class History;
class WorkerLogs;

/// Writes the tasks that the workers of a pool remember.
/// @throws std::system_error with the errno of fopen, or when something could not be written, e.g.
///         ENOSPC
/// @par Source "Trace Event Format", Google, 2016
void write_trace(const WorkerLogs& logs, const History& history, const std::string& path);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/trace.ipp"
#endif
