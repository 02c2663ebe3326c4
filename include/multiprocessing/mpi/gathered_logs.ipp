// multiprocessing/mpi/gathered_logs.ipp
//
// The bytes of a node's logs: see gathered_logs.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/gathered_logs.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/insight/memory.hpp"

namespace multiprocessing::detail {

/// What the bytes of a node's logs begin with. Its workers follow, then its losses.
struct ToldHead {
    std::uint64_t now;       //  0  by the node's clock, as what follows
    std::uint64_t begin;     //  8  of the pool
    std::uint64_t lost;      // 16
    std::uint64_t retries;   // 24
    std::uint32_t workers;   // 32
    std::uint32_t capacity;  // 36  records of each worker; 0: none are told
    std::uint32_t losses;    // 40
    std::uint32_t unused;    // 44
};
static_assert(sizeof(ToldHead) == 48);

/// A worker's log. `records` records follow, whose numbers begin with `first`.
struct ToldWorker {
    std::uint64_t items;                                     //   0
    std::uint64_t busy;                                      //   8
    std::uint64_t idle;                                      //  16
    std::uint64_t startup;                                   //  24
    std::uint64_t failed;                                    //  32
    std::uint64_t retried;                                   //  40
    std::uint64_t recorded;                                  //  48
    std::uint64_t memory;                                    //  56
    std::uint64_t first;                                     //  64
    std::uint32_t records;                                   //  72
    std::uint32_t starts;                                    //  76
    std::uint32_t pid;                                       //  80
    std::uint32_t unused;                                    //  84
    std::array<ChunkRecord, SlowestRecords::count> slowest;  // 88
};
static_assert(sizeof(ToldWorker) == 88 + 32 * SlowestRecords::count);

/// Returns a log's latest records: as many as its worker has not written over meanwhile.
inline std::vector<ChunkRecord> latest_records(WorkerLog& log, std::uint32_t capacity,
                                               std::uint64_t end) {
    std::vector<ChunkRecord> records;
    for (std::uint64_t number = end - (std::min)(end, std::uint64_t{capacity}); number < end;
         ++number) {
        const auto record = log.read(number, capacity);
        if (!record) {
            records.clear();  // those before it may be gone too
        } else {
            records.push_back(*record);
        }
    }
    return records;
}

inline void write_log(OutputArchive& archive, WorkerLog& log, std::uint32_t capacity, pid_t pid) {
    const auto total = [](const std::atomic<std::uint64_t>& figure) {
        return figure.load(std::memory_order_relaxed);
    };
    // acquire: pairs with the release in record_chunk, as in ReportRecords.
    const std::uint64_t end = log.recorded.load(std::memory_order_acquire);
    const std::vector<ChunkRecord> records = latest_records(log, capacity, end);
    const ToldWorker told{total(log.items),
                          total(log.busy),
                          total(log.idle),
                          total(log.startup),
                          total(log.failed),
                          total(log.retried),
                          end,
                          pid == 0 ? 0 : own_memory_of(pid),
                          end - records.size(),
                          static_cast<std::uint32_t>(records.size()),
                          log.starts.load(),
                          log.pid.load(),
                          0,
                          log.slowest.read()};
    archive.write(&told, sizeof told);
    archive.write(records.data(), records.size() * sizeof(ChunkRecord));
}

inline void write_logs(OutputArchive& archive, const Supervisor& supervisor, WhichRecords which) {
    const WorkerLogs logs = supervisor.board().logs();
    const History history = supervisor.history();
    const std::uint32_t capacity = which == WhichRecords::none ? 0 : logs.capacity();
    const ToldHead head{monotonic_now(),
                        history.begin(),
                        history.lost(),
                        history.retries(),
                        logs.size(),
                        capacity,
                        static_cast<std::uint32_t>(history.losses().size()),
                        0};
    archive.write(&head, sizeof head);
    for (std::uint32_t slot = 0; slot < logs.size(); ++slot) {
        write_log(archive, logs[slot], capacity, history.present_pid(slot));
    }
    for (const WorkerLoss& loss : history.losses()) {
        archive(loss.when, loss.worker, loss.pid, loss.exitcode, loss.is_tried_again, loss.what);
    }
}

inline ToldHead head_of_told(const ToldLogs& told) {
    InputArchive archive(told.bytes);
    ToldHead head;
    archive.read_into(&head, sizeof head);
    // Before memory is asked for: so many workers take at least so many bytes.
    if (head.workers > archive.remaining() / sizeof(ToldWorker)) {
        throw_damaged("its workers are too few");
    }
    return head;
}

inline GatheredLogs::GatheredLogs(History calls, const std::vector<ToldLogs>& told)
    : history_(std::move(calls)) {
    std::uint32_t workers = 0;
    std::uint32_t capacity = 0;
    for (const ToldLogs& each : told) {
        const ToldHead head = head_of_told(each);
        workers += head.workers;
        capacity = (std::max)(capacity, head.capacity);
    }
    logs_ = LocalLogs(workers, capacity);
    WorkerLogs view = logs_.view();
    for (const ToldLogs& each : told) take(each, view);
}

/// Puts a node's logs behind those that are there.
inline void GatheredLogs::take(const ToldLogs& told, WorkerLogs& logs) {
    InputArchive archive(told.bytes);
    ToldHead head;
    archive.read_into(&head, sizeof head);
    const std::uint64_t shift = told.middle == 0 ? 0 : told.middle - head.now;  // may wrap round
    const std::uint32_t first_worker = taken_;
    for (std::uint32_t i = 0; i < head.workers; ++i) {
        ToldWorker worker;
        archive.read_into(&worker, sizeof worker);
        if (worker.records > logs.capacity()) throw_damaged("it has more records than there are");
        WorkerLog& log = logs[taken_++];
        log.items.store(worker.items);
        log.busy.store(worker.busy);
        log.idle.store(worker.idle);
        log.startup.store(worker.startup);
        log.failed.store(worker.failed);
        log.retried.store(worker.retried);
        log.starts.store(worker.starts);
        log.pid.store(worker.pid);
        for (auto each = worker.slowest.rbegin(); each != worker.slowest.rend(); ++each) {
            if (each->duration != 0) log.slowest.note(*each);
        }
        for (std::uint32_t place = 0; place < worker.records; ++place) {
            ChunkRecord record;
            archive.read_into(&record, sizeof record);
            record.begin += shift;
            log.ring()[(worker.first + place) % logs.capacity()].store(record);
        }
        if (logs.capacity() != 0) log.recorded.store(worker.recorded);
        history_.note_place({told.rank, told.host, worker.memory});
    }
    std::vector<WorkerLoss> losses(head.losses);
    for (WorkerLoss& loss : losses) {
        archive(loss.when, loss.worker, loss.pid, loss.exitcode, loss.is_tried_again, loss.what);
        loss.worker += first_worker;
        // From seconds after the node's pool was made to seconds after the call of rank 0's.
        loss.when +=
            static_cast<double>(static_cast<std::int64_t>(head.begin + shift - history_.begin())) *
            1e-9;
    }
    history_.add(head.lost, head.retries, losses);
}

}  // namespace multiprocessing::detail
