// multiprocessing/pool/insight/report_records.ipp
//
// How the records are collected and written: see report_records.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/report_records.hpp"

#include <algorithm>
#include <atomic>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/insight/report_text.hpp"

namespace multiprocessing::detail {

/// Returns the items of a list with commas between them. @param append appends the next item
template <class Items, class Append>
std::string json_list(const Items& items, Append append) {
    std::string json = "[";
    for (const auto& item : items) {
        if (json.size() != 1) json += ",";
        append(json, item);
    }
    return json + "]";
}

[[gnu::cold]] MULTIPROCESSING_INLINE std::string whole_text(double number) {
    return std::to_string(static_cast<long long>(number));
}

MULTIPROCESSING_INLINE ReportRecords::ReportRecords(const WorkerLogs& logs, const History& history)
    : history_(history), workers_(logs.size()) {
    for (std::uint32_t slot = 0; slot < workers_; ++slot) {
        collect(slot, logs[slot], logs.capacity());
    }
}

MULTIPROCESSING_INLINE void ReportRecords::collect(std::uint32_t worker, WorkerLog& log,
                                                   std::uint32_t capacity) {
    const std::uint64_t end = log.recorded.load(std::memory_order_acquire);
    std::uint64_t first = end - std::min<std::uint64_t>(end, capacity);
    bool is_complete = first == 0;
    for (; first < end; ++first) {
        const auto record = log.read(first, capacity);
        if (!record) {
            is_complete = false;
            continue;
        }
        if (!is_complete) {
            complete_since_ = (std::max)(complete_since_, since_begin(record->begin));
            is_complete = true;
        }
        records_.push_back({worker, *record});
    }
}

MULTIPROCESSING_INLINE double ReportRecords::since_begin(std::uint64_t moment) const noexcept {
    return static_cast<double>(moment) - static_cast<double>(history_.begin());
}

MULTIPROCESSING_INLINE std::string ReportRecords::json(
    const std::vector<WorkerLoss>& losses) const {
    Names names;
    const std::string chunks = json_of_chunks(names);
    return "{\"workers\":" + std::to_string(workers_) + json_of_span() + ",\"chunks\":" + chunks +
           ",\"names\":" + json_of_names(names) + ",\"losses\":" + json_of(losses) + "}";
}

MULTIPROCESSING_INLINE std::string ReportRecords::json_of_span() const {
    double begin = empty() ? 0 : since_begin(records_.front().chunk.begin);
    double end = begin;
    for (const Record& record : records_) {
        begin = (std::min)(begin, since_begin(record.chunk.begin));
        end = (std::max)(end, since_begin(record.chunk.begin + record.chunk.duration));
    }
    return ",\"begin\":" + whole_text(begin) + ",\"end\":" + whole_text(end);
}

MULTIPROCESSING_INLINE std::string ReportRecords::json_of_chunks(Names& names) const {
    return json_list(records_, [&](std::string& json, const Record& record) {
        const ChunkRecord& chunk = record.chunk;
        const std::uint64_t run = history_.run_of(chunk.call);
        const std::size_t name = names.try_emplace(run, names.size()).first->second;
        json += "[" + std::to_string(record.worker) + "," + whole_text(since_begin(chunk.begin));
        for (const std::uint64_t number :
             {chunk.duration, std::uint64_t{chunk.call}, std::uint64_t{chunk.first},
              std::uint64_t{chunk.items}, std::uint64_t{chunk.pid}, std::uint64_t{name}}) {
            json += "," + std::to_string(number);
        }
        json += "]";
    });
}

MULTIPROCESSING_INLINE std::string ReportRecords::json_of_names(const Names& names) const {
    std::vector<std::uint64_t> runs(names.size());
    for (const auto& [run, place] : names) runs[place] = run;
    return json_list(runs, [this](std::string& json, std::uint64_t run) {
        const CallName name = history_.name_of_run(run);
        json += "{\"text\":" + json_text(name.function) +
                ",\"stream\":" + (name.is_stream ? "true" : "false") + "}";
    });
}

MULTIPROCESSING_INLINE std::string ReportRecords::json_of(const std::vector<WorkerLoss>& losses) {
    return json_list(losses, [](std::string& json, const WorkerLoss& loss) {
        json += "{\"worker\":" + std::to_string(loss.worker) +
                ",\"when\":" + whole_text(loss.when * 1e9) + ",\"what\":" + json_text(loss.what) +
                "}";
    });
}

}  // namespace multiprocessing::detail
