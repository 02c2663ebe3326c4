// multiprocessing/mpi/parts.hpp
//
// A part of a batch as bytes, and its results as bytes. The master makes a batch as any pool does
// (pool/tasks/batch.hpp); a part is some of its consecutive chunks. The node makes a batch of its
// own of them, and its workers run that. None of this knows the types of the function, the items
// and the results: what the node gets are the very bytes that a worker would read, and what the
// master gets back are those that a worker has written. Functions are told by their place in the
// program, which is the same file on all nodes. Floor 9. Start at write_part.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "multiprocessing/pool/tasks/batch.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// The sizes of what lies in a batch as plain bytes; 0: serialised, or nothing.
struct PlainSizes {
    std::uint64_t item;
    std::uint64_t result;
};

/// Some consecutive chunks of a batch.
struct ChunkRange {
    std::uint32_t begin;
    std::uint32_t end;

    [[nodiscard]] std::uint32_t size() const noexcept { return end - begin; }
};

/// @throws ValueError when a batch's message has handles: they stand for memory of this machine
void refuse_handles(const Batch& batch);

/// Returns how many bytes the items and the plain results of a range take.
[[nodiscard]] std::uint64_t bytes_of(Batch& batch, const PlainSizes& sizes, ChunkRange range);

/// What a part asks for besides.
struct PartWish {
    std::int32_t priority;
    std::uint32_t call;  // its number at rank 0, the low bits: for the records of the workers
    double timeout;      // seconds for each task; below 0: the pool's
};

/// Writes some chunks of a batch.
void write_part(OutputArchive& archive, Batch& batch, const PlainSizes& sizes, ChunkRange range,
                const PartWish& wish);

/// What is done between the pieces of a long copy: who copies gigabytes shall not look dead.
using Meanwhile = std::function<void()>;

/// Copies bytes. @param meanwhile called between pieces of `copied_at_a_time`; empty: nothing
void copy_in_pieces(std::byte* to, std::span<const std::byte> from, const Meanwhile& meanwhile);
constexpr std::size_t copied_at_a_time = 8u << 20;  // bytes: some milliseconds

/// A part that has come.
struct ReceivedPart {
    BatchOwner batch;
    PartWish wish;
    std::uint64_t result_size;
};

/// Makes a batch of what write_part has written.
/// @throws std::bad_alloc; ProcessError when the bytes are damaged
ReceivedPart read_part(std::span<const std::byte> bytes, const Meanwhile& meanwhile = {});

/// Writes what became of a finished chunk.
/// @param place where it was run, for the texts of errors that say that a worker has died
void write_outcome(OutputArchive& archive, Batch& batch, std::uint32_t index,
                   std::uint64_t result_size, const std::string& place,
                   const Meanwhile& meanwhile = {});

/// Reads what write_outcome has written into a chunk of the master's batch, as if a worker had done
/// so; all but the store that finishes the chunk.
/// @throws std::bad_alloc when the heap is full; ProcessError when the bytes are damaged
void read_outcome(InputArchive& archive, Batch& batch, std::uint32_t index,
                  std::uint64_t result_size);

}  // namespace multiprocessing::detail

#include "multiprocessing/mpi/parts.ipp"
