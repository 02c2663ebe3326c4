// multiprocessing/pool/insight/trace.ipp
//
// How a trace file is written: see trace.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/trace.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/insight/report_text.hpp"

namespace multiprocessing::detail {

/// A trace file that is being written. @par Source "Trace Event Format", Google, 2016
class TraceFile {
  public:
    /// @throws std::system_error with the errno of fopen
    explicit TraceFile(const std::string& path) {
        const StandardStreamsTaken taken;
        file_.reset(std::fopen(path.c_str(), "we"));
        if (file_ == nullptr) throw_system_error("fopen");
        std::fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file_.get());
    }

    /// @param place where the worker is; empty: here
    void write_worker(std::uint32_t slot, WorkerLog& log, std::uint32_t capacity,
                      const std::string& place) {
        separate();
        std::fprintf(file_.get(),
                     "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%u,"
                     "\"args\":{\"name\":%s}}",
                     static_cast<int>(::getpid()), slot + 1,
                     json_text("worker " + std::to_string(slot + 1) + place).c_str());
        const std::uint64_t end = log.recorded.load(std::memory_order_acquire);
        for (std::uint64_t i = end - std::min<std::uint64_t>(end, capacity); i < end; ++i) {
            if (const auto record = log.read(i, capacity)) write(slot, *record);
        }
    }

    /// @throws std::system_error when something could not be written, e.g. ENOSPC
    void finish() {
        std::fputs("\n]}\n", file_.get());
        const bool failed = std::ferror(file_.get()) != 0;
        if (std::fclose(file_.release()) != 0 || failed) throw_system_error("fclose");
    }

  private:
    void write(std::uint32_t slot, const ChunkRecord& record) {
        separate();
        std::fprintf(file_.get(),
                     "{\"ph\":\"X\",\"cat\":\"task\",\"name\":\"call %u [%u]\",\"pid\":%d,"
                     "\"tid\":%u,\"ts\":%s,\"dur\":%s,"
                     "\"args\":{\"first\":%u,\"items\":%u,\"worker pid\":%u}}",
                     record.call, record.first, static_cast<int>(::getpid()), slot + 1,
                     microseconds(record.begin).text, microseconds(record.duration).text,
                     record.first, record.items, record.pid);
    }
    static FixedText microseconds(std::uint64_t nanoseconds) noexcept {
        return {static_cast<double>(nanoseconds) * 1e-3, 3};
    }
    void separate() {
        if (written_++ != 0) std::fputs(",\n", file_.get());
    }

    struct Close {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> file_;
    std::uint64_t written_ = 0;
};

MULTIPROCESSING_INLINE void write_trace(const WorkerLogs& logs, const History& history,
                                        const std::string& path) {
    TraceFile file(path);
    for (std::uint32_t slot = 0; slot < logs.size(); ++slot) {
        const WorkerPlace* const place = history.place_of(slot);
        file.write_worker(slot, logs[slot], logs.capacity(),
                          place != nullptr ? " (" + place->text() + ")" : "");
    }
    file.finish();
}

}  // namespace multiprocessing::detail
