// multiprocessing/pool/insight/report.hpp
//
// A pool's report: one HTML page that says what the pool has done, with nothing to load besides.
// Its figures are those of PoolStats; its charts are drawn from the records that the workers keep.
// Floor 5. Start at write_report. SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace multiprocessing::detail {

class History;
class WorkerLogs;

/// Writes the page.
/// @throws std::system_error with the errno of fopen, or when something could not be written, e.g.
///         ENOSPC
[[gnu::cold]] void write_report(const WorkerLogs& logs, const History& history,
                                const std::string& path);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/report.ipp"
#endif
