// multiprocessing/pool/insight/report_records.hpp
//
// What the charts of a report are drawn from: the chunks that the workers remember, as the script
// (report_script.hpp) reads them. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/insight/history.hpp"

namespace multiprocessing::detail {

/// The chunks that the workers of a pool remember.
class ReportRecords {
  public:
    [[gnu::cold]] ReportRecords(const WorkerLogs& logs, const History& history);

    [[nodiscard]] bool empty() const noexcept { return records_.empty(); }
    /// Returns since when they are complete, in nanoseconds after the pool's begin. 0: since then.
    [[nodiscard]] double complete_since() const noexcept { return complete_since_; }

    /// Returns them as JSON that may stand within a script element. Times are nanoseconds after the
    /// pool's begin.
    [[nodiscard, gnu::cold]] std::string json(const std::vector<WorkerLoss>& losses) const;

  private:
    struct Record {
        std::uint32_t worker;
        ChunkRecord chunk;
    };
    using Names = std::map<std::uint64_t, std::size_t>;  // places in the list of names, by run

    void collect(std::uint32_t worker, WorkerLog& log, std::uint32_t capacity);
    [[nodiscard]] double since_begin(std::uint64_t moment) const noexcept;

    [[nodiscard]] std::string json_of_span() const;
    [[nodiscard]] std::string json_of_chunks(Names& names) const;
    [[nodiscard]] std::string json_of_names(const Names& names) const;
    [[nodiscard]] static std::string json_of(const std::vector<WorkerLoss>& losses);

    const History& history_;
    const std::uint32_t workers_;
    std::vector<Record> records_;
    double complete_since_ = 0;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/report_records.ipp"
#endif
