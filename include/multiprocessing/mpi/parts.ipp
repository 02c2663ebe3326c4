// multiprocessing/mpi/parts.ipp
//
// The bytes of a part and of its results: see parts.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/parts.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/tasks/results.hpp"
#include "multiprocessing/process/state.hpp"

namespace multiprocessing::detail {

/// What the bytes of a part begin with. The message's beginning follows, which holds the function;
/// then, of serialised items, where each chunk starts; then the items.
struct PartHead {
    std::uint64_t first_item;   //  0  place of its first item in the call
    std::uint64_t item_count;   //  8
    std::uint64_t item_size;    // 16  bytes; 0: serialised
    std::uint64_t result_size;  // 24  bytes; 0: none, or serialised
    std::uint64_t function;     // 32  see portable_mark
    std::uint64_t beginning;    // 40  of the message, in bytes
    std::uint64_t items;        // 48  bytes
    std::uint32_t chunk_size;   // 56  items
    std::uint32_t chunk_count;  // 60
    PartWish wish;              // 64
};
static_assert(sizeof(PartHead) == 80);

/// What the bytes of a chunk's outcome begin with. The plain results follow, then the segments and
/// the errors.
struct OutcomeHead {
    std::uint64_t plain;     //  0  bytes
    std::uint32_t segments;  //  8
    std::uint32_t errors;    // 12
    std::uint32_t failures;  // 16  items
    std::uint32_t unused;    // 20
};
static_assert(sizeof(OutcomeHead) == 24);

/// What is before the bytes of a segment, and of an error.
struct RunHead {
    std::uint64_t size;            //  0  of what follows, in bytes
    std::uint32_t item;            //  8  its first item, in the chunk
    std::uint32_t count;           // 12  items
    std::uint32_t thrown_by_task;  // 16  of an error: see ErrorHead
    std::uint32_t attempts;        // 20
};
static_assert(sizeof(RunHead) == 24);

/// Returns a function's mark (see function_mark) as a distance in the program, which is the same in
/// all ranks; 0 for one elsewhere. It serves to name the function in texts.
inline std::uint64_t portable_mark(std::uint64_t mark) {
    const bool is_address = (mark & 1) != 0;
    const std::uintptr_t place = is_address ? mark >> 1 : mark;
    if (!main_image().contains(place)) return 0;
    return (place - main_image().base) << 1 | (is_address ? 1 : 0);
}
/// Counterpart of portable_mark.
inline std::uint64_t own_mark(std::uint64_t portable) {
    const std::uintptr_t place = main_image().base + (portable >> 1);
    if (portable == 0 || !main_image().contains(place)) return 0;
    return (portable & 1) != 0 ? place << 1 | 1 : place;
}

inline PayloadView message_of(const Batch& batch) noexcept {
    return PayloadView(heap().at(batch.message));
}

inline void refuse_handles(const Batch& batch) {
    if (message_of(batch).handles().empty()) return;
    throw ValueError(
        "an argument holds a handle (Queue, Lock, Value, Connection and the like), which stands "
        "for "
        "memory of this machine: it cannot go to another node. Send what it holds instead");
}

/// Returns where in a batch's message the serialised items of a chunk begin; for the chunk after
/// the last one, where they end.
inline std::uint64_t start_of(Batch& batch, std::uint32_t chunk) noexcept {
    if (chunk == batch.chunk_count()) return message_of(batch).bytes().size();
    return batch.at<std::uint64_t>(batch.chunk_starts)[chunk];
}

inline std::uint64_t items_before(const Batch& batch, std::uint32_t chunk) noexcept {
    return (std::min)(std::uint64_t{chunk} * batch.chunk_size, batch.item_count);
}

/// Returns the bytes of a range's items.
inline std::span<const std::byte> items_of(Batch& batch, const PlainSizes& sizes,
                                           ChunkRange range) {
    if (sizes.item == 0) {
        const std::uint64_t begin = start_of(batch, range.begin);
        return message_of(batch).bytes().subspan(begin, start_of(batch, range.end) - begin);
    }
    const std::uint64_t first = items_before(batch, range.begin);
    const std::uint64_t count = items_before(batch, range.end) - first;
    return {batch.at<const std::byte>(batch.items) + first * sizes.item, count * sizes.item};
}

inline std::uint64_t bytes_of(Batch& batch, const PlainSizes& sizes, ChunkRange range) {
    const std::uint64_t items = items_before(batch, range.end) - items_before(batch, range.begin);
    return items_of(batch, sizes, range).size() + items * sizes.result;
}

inline void write_part(OutputArchive& archive, Batch& batch, const PlainSizes& sizes,
                       ChunkRange range, const PartWish& wish) {
    const auto message = message_of(batch).bytes();
    const std::uint64_t first = items_before(batch, range.begin);
    const auto beginning = sizes.item == 0 ? message.first(start_of(batch, 0)) : message;
    const auto items = items_of(batch, sizes, range);
    const PartHead head{batch.first_item + first,
                        items_before(batch, range.end) - first,
                        sizes.item,
                        sizes.result,
                        portable_mark(batch.function),
                        beginning.size(),
                        items.size(),
                        batch.chunk_size,
                        range.size(),
                        wish};
    const std::size_t starts = sizes.item == 0 ? range.size() * sizeof(std::uint64_t) : 0;
    archive.reserve(sizeof head + beginning.size() + starts + items.size());
    archive.write(&head, sizeof head);
    archive.write(beginning.data(), beginning.size());
    for (std::uint32_t chunk = range.begin; starts != 0 && chunk < range.end; ++chunk) {
        archive.write_size(start_of(batch, chunk) - start_of(batch, range.begin));
    }
    archive.write(items.data(), items.size());
}

/// Calls `copy` with a piece after the other.
template <class Copy>
void for_each_piece(std::span<const std::byte> bytes, const Meanwhile& meanwhile, Copy copy) {
    for (; bytes.size() > copied_at_a_time; bytes = bytes.subspan(copied_at_a_time)) {
        copy(bytes.first(copied_at_a_time));
        if (meanwhile) meanwhile();
    }
    if (!bytes.empty()) copy(bytes);
}

inline void copy_in_pieces(std::byte* to, std::span<const std::byte> from,
                           const Meanwhile& meanwhile) {
    for_each_piece(from, meanwhile, [&to](std::span<const std::byte> piece) {
        std::memcpy(to, piece.data(), piece.size());
        to += piece.size();
    });
}

/// Does the same to the end of an archive.
inline void write_in_pieces(OutputArchive& archive, std::span<const std::byte> bytes,
                            const Meanwhile& meanwhile) {
    archive.reserve(bytes.size());
    for_each_piece(bytes, meanwhile, [&archive](std::span<const std::byte> piece) {
        archive.write(piece.data(), piece.size());
    });
}

/// Gives a batch the message that consists of these two.
inline void place_message(Batch& batch, std::span<const std::byte> beginning,
                          std::span<const std::byte> rest, const Meanwhile& meanwhile) {
    const PayloadHeader header{beginning.size() + rest.size(), 0, 0};
    const std::size_t size = sizeof header + padded_to_8(header.size);
    auto* place = batch.at<std::byte>(place_of_message(batch));
    if (size > small_message) place = static_cast<std::byte*>(allocate(size));
    std::memcpy(place, &header, sizeof header);
    std::memcpy(place + sizeof header, beginning.data(), beginning.size());
    copy_in_pieces(place + sizeof header + beginning.size(), rest, meanwhile);
    batch.message = heap().offset_of(place);
}

inline ReceivedPart read_part(std::span<const std::byte> bytes, const Meanwhile& meanwhile) {
    InputArchive archive(bytes);
    PartHead head;
    archive.read_into(&head, sizeof head);
    const bool is_plain = head.item_size != 0;
    const std::uint64_t chunks =
        head.chunk_size == 0 ? 0 : (head.item_count + head.chunk_size - 1) / head.chunk_size;
    if (chunks == 0 || chunks != head.chunk_count) throw_damaged("its chunks do not fit its items");
    if (is_plain && head.items / head.item_size != head.item_count) {
        throw_damaged("its items are too few");
    }
    const std::span beginning(archive.take(head.beginning), head.beginning);
    BatchOwner batch =
        allocate_batch({head.item_count, head.chunk_size, head.item_size, head.result_size});
    batch->first_item = head.first_item;
    batch->function = own_mark(head.function);
    auto* const starts = batch->at<std::uint64_t>(batch->chunk_starts);
    for (std::uint32_t chunk = 0; !is_plain && chunk < head.chunk_count; ++chunk) {
        std::uint64_t start = 0;
        archive.read_into(&start, sizeof start);
        starts[chunk] = head.beginning + start;
    }
    const std::span items(archive.take(head.items), head.items);
    if (is_plain) copy_in_pieces(batch->at<std::byte>(batch->items), items, meanwhile);
    place_message(*batch, beginning, is_plain ? std::span<const std::byte>() : items, meanwhile);
    return {std::move(batch), head.wish, head.result_size};
}

/// Writes an exception after its head.
inline void write_error(OutputArchive& archive, RunHead head, const std::exception_ptr& error) {
    const std::size_t begin = archive.size();
    archive.write(&head, sizeof head);
    archive.forget_shared();  // an archive of its own reads it
    save_exception(archive, error, state().name(), ::getpid());
    head.size = archive.size() - begin - sizeof head;
    archive.overwrite(begin, &head, sizeof head);
}

/// Returns an error that says that a worker has died, or was killed, with the node in it; null for
/// another one.
inline std::exception_ptr with_node(const std::exception_ptr& error, const std::string& place) {
    try {
        std::rethrow_exception(error);
    } catch (const WorkerLost& lost) {
        return std::make_exception_ptr(
            WorkerLost(lost.what() + place, lost.exitcode(), lost.pid(),
                       LostTask{lost.item(), lost.attempts(), lost.reason()}));
    } catch (const TimeoutError& late) {
        return std::make_exception_ptr(TimeoutError(
            late.what() + place, LostTask{late.item(), late.attempts(), late.reason()}));
    } catch (...) {
        return nullptr;
    }
}

inline std::exception_ptr handle_error(const char* what) {
    return std::make_exception_ptr(
        ValueError(std::string(what) +
                   " holds a handle (Queue, Lock, Value, Connection and the like), which stands "
                   "for memory of the node: it cannot go to another one. Return what it holds"));
}

/// Writes one error of a chunk, as it is, or as one that tells more.
inline void write_recorded_error(OutputArchive& archive, Offset error, const std::string& place) {
    const PayloadView payload(heap().at(error));
    InputArchive source(payload.bytes(), payload.handles());
    const auto head = source.read<ErrorHead>();
    RunHead run{0, head.item, head.count, head.thrown_by_task, head.attempts};
    if (!payload.handles().empty()) return write_error(archive, run, handle_error("an exception"));
    const auto bytes = payload.bytes().subspan(sizeof(ErrorHead));
    if (head.thrown_by_task == 0) {
        if (const auto told = with_node(load_exception(source), place)) {
            return write_error(archive, run, told);
        }
    }
    run.size = bytes.size();
    archive.write(&run, sizeof run);
    archive.write(bytes.data(), bytes.size());
}

inline void write_outcome(OutputArchive& archive, Batch& batch, std::uint32_t index,
                          std::uint64_t result_size, const std::string& place,
                          const Meanwhile& meanwhile) {
    const Chunk& chunk = batch.chunks()[index];
    OutcomeHead head{batch.size_of(index) * result_size, 0, 0, chunk.failures.load(), 0};
    const std::size_t begin = archive.size();
    archive.write(&head, sizeof head);
    const auto* const results = batch.at<const std::byte>(batch.results);
    write_in_pieces(archive, {results + items_before(batch, index) * result_size, head.plain},
                    meanwhile);

    std::vector<Offset> segments = segments_of(chunk);
    std::vector<Offset> refused;
    for (; !segments.empty(); segments.pop_back()) {
        const PayloadView payload(heap().at(segments.back()));
        if (!payload.handles().empty()) {
            refused.push_back(segments.back());
            continue;
        }
        SegmentHead segment;
        std::memcpy(&segment, payload.bytes().data(), sizeof segment);
        const auto bytes = payload.bytes().subspan(sizeof segment);
        const RunHead run{bytes.size(), segment.first, segment.count, 0, 0};
        archive.write(&run, sizeof run);
        write_in_pieces(archive, bytes, meanwhile);
        ++head.segments;
    }
    for (const Offset segment : refused) {
        const auto of = head_of<SegmentHead>(segment);
        write_error(archive, {0, of.first, of.count, 1, 1}, handle_error("a result"));
        ++head.errors;
        head.failures += of.count;
    }
    // The first one that was noted last, as the list has them.
    for (Offset error = chunk.error.load(std::memory_order_acquire); error != 0;
         error = head_of<ErrorHead>(error).previous) {
        write_recorded_error(archive, error, place);
        ++head.errors;
    }
    archive.overwrite(begin, &head, sizeof head);
}

/// Makes a payload of a head and what comes after it. @returns its place in the heap
template <class Head>
Offset make_payload_of(const Head& head, std::span<const std::byte> rest) {
    const PayloadHeader header{sizeof head + rest.size(), 0, 0};
    auto* const block = static_cast<std::byte*>(allocate(sizeof header + padded_to_8(header.size)));
    std::memcpy(block, &header, sizeof header);
    std::memcpy(block + sizeof header, &head, sizeof head);
    if (!rest.empty()) std::memcpy(block + sizeof header + sizeof head, rest.data(), rest.size());
    return heap().offset_of(block);
}

inline void read_outcome(InputArchive& archive, Batch& batch, std::uint32_t index,
                         std::uint64_t result_size) {
    Chunk& chunk = batch.chunks()[index];
    const std::uint32_t size = batch.size_of(index);
    OutcomeHead head;
    archive.read_into(&head, sizeof head);
    if (head.plain != size * result_size) throw_damaged("its results are of another size");
    archive.read_into(batch.at<std::byte>(batch.results) + items_before(batch, index) * result_size,
                      head.plain);
    const auto next_run = [&] {
        RunHead run;
        archive.read_into(&run, sizeof run);
        if (run.item >= size || run.count > size - run.item) {
            throw_damaged("it tells of items that there are not");
        }
        return run;
    };
    for (std::uint32_t i = 0; i < head.segments; ++i) {
        const RunHead run = next_run();
        const std::span bytes(archive.take(run.size), run.size);
        const SegmentHead segment{chunk.output.load(), run.item, run.count};
        chunk.output.store(make_payload_of(segment, bytes), std::memory_order_release);
    }
    struct Recorded {
        RunHead run;
        std::span<const std::byte> bytes;
    };
    std::vector<Recorded> errors;
    for (std::uint32_t i = 0; i < head.errors; ++i) {
        const RunHead run = next_run();
        errors.push_back({run, {archive.take(run.size), static_cast<std::size_t>(run.size)}});
    }
    // Where only the first error counts, it is that of the first item. Else the oldest comes first
    // into the list; see find_error.
    std::ranges::reverse(errors);
    if (batch.keep_errors == 0 && !errors.empty()) {
        errors = {*std::ranges::min_element(errors, {},
                                            [](const Recorded& error) { return error.run.item; })};
    }
    for (const auto& [run, bytes] : errors) {
        const ErrorHead error{chunk.error.load(), run.item, run.count, run.thrown_by_task,
                              run.attempts};
        chunk.error.store(make_payload_of(error, bytes), std::memory_order_release);
    }
    chunk.failures.store(head.failures, std::memory_order_relaxed);
}

}  // namespace multiprocessing::detail
