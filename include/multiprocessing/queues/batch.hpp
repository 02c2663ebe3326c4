// multiprocessing/queues/batch.hpp
//
// Many items that are put, or taken, in one step. What the step needs to know of them is here; it
// knows nothing of their types. Floor 4. Start at OutgoingBatch.
//
// Items are made ready before the queue is locked: values that lie side by side stay where they are
// (see item_batch.hpp), others become records in the memory of this process. Items that are taken
// are only copied while the queue is locked, and read afterwards. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/record.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// How many items at most are put in one step. They lie in one chunk, whose size is to stay within
/// 32 bits, and whose items are far fewer than LineEnd::number can tell apart.
constexpr std::size_t most_in_one_step = std::size_t{1} << 16;

/// Items to be put, in their order.
class OutgoingBatch {
  public:
    OutgoingBatch(const OutgoingBatch&) = delete;
    OutgoingBatch& operator=(const OutgoingBatch&) = delete;

    /// Returns how many items are not put yet.
    [[nodiscard]] virtual std::size_t left() const noexcept = 0;
    /// Returns how many bytes the records of the next `count` items take.
    [[nodiscard]] virtual std::size_t size_of(std::uint32_t count) const noexcept = 0;
    /// Writes the records of the next `count` items one behind the other, all but the head of the
    /// first one. The caller stores it next, and so they count as put.
    /// @returns that head
    virtual RecordHead write(Record first, std::uint32_t count) noexcept = 0;

  protected:
    OutgoingBatch() = default;
    ~OutgoingBatch() = default;
};

/// Room for items that are taken.
class IncomingBatch {
  public:
    IncomingBatch(const IncomingBatch&) = delete;
    IncomingBatch& operator=(const IncomingBatch&) = delete;

    /// Makes room for as many items as there seem to be, for one at least.
    /// @throws std::bad_alloc
    virtual void make_room(std::size_t there) = 0;
    /// Returns how many more items can be taken.
    [[nodiscard]] virtual std::size_t room() const noexcept = 0;
    /// Copies items from `record` on, as long as there are and there is room. The first one is
    /// there.
    /// @param record set to the first that was not copied
    /// @returns how many were copied
    /// @throws std::bad_alloc when nothing has been taken so far
    virtual std::uint32_t take(Record& record) = 0;

  protected:
    /// Returns for how many items to make room when that many seem to be there.
    static constexpr std::size_t room_for(std::size_t there, std::size_t most) noexcept {
        return (std::min)(most, (std::max<std::size_t>)(there, 1));
    }

    IncomingBatch() = default;
    ~IncomingBatch() = default;
};

/// Records in the memory of one process, one behind the other as in a chunk. They own the payloads
/// that they refer to.
class LooseRecords {
  public:
    LooseRecords() = default;
    LooseRecords(const LooseRecords&) = delete;
    LooseRecords& operator=(const LooseRecords&) = delete;
    ~LooseRecords();

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /// Appends a record. @throws std::bad_alloc; then nothing has changed
    void append(RecordHead head, const void* content);

    /// Returns the head of the first record. @pre there is one
    [[nodiscard]] RecordHead head() const noexcept { return head_at(first_); }
    [[nodiscard]] std::span<std::byte> content() noexcept {
        return {bytes_.data() + first_ + sizeof(std::uint64_t), head().size()};
    }
    /// Drops the first record; the caller has taken over what it refers to. Its content stays until
    /// the next append.
    void release_first() noexcept {
        first_ += Record::size_with(head().size());
        --count_;
    }

    /// Returns how many bytes the first `count` records take.
    [[nodiscard]] std::size_t size_of(std::uint32_t count) const noexcept;

  private:
    [[nodiscard]] RecordHead head_at(std::size_t place) const noexcept {
        RecordHead head{};
        std::memcpy(&head, bytes_.data() + place, sizeof(head));
        return head;
    }

    std::vector<std::byte> bytes_;
    std::size_t first_ = 0;  // bytes before the first record
    std::size_t count_ = 0;
};

/// Items that were serialised one by one.
class SerialisedBatch final : public OutgoingBatch {
  public:
    /// Adds an item that is its bytes. @throws std::bad_alloc
    void add(const void* content, std::size_t size) {
        records_.append(RecordHead::make(RecordKind::bytes, size), content);
    }
    /// Adds a message, which is used up. @throws std::bad_alloc
    void add(PayloadBuilder& message);

    [[nodiscard]] std::size_t left() const noexcept override { return records_.count(); }
    [[nodiscard]] std::size_t size_of(std::uint32_t count) const noexcept override {
        return records_.size_of(count);
    }
    RecordHead write(Record first, std::uint32_t count) noexcept override;

  private:
    LooseRecords records_;
};

/// Items that are read one by one after they were taken.
class UnreadBatch : public IncomingBatch {
  public:
    /// @param most how many are taken at most
    explicit UnreadBatch(std::size_t most) noexcept : most_(most) {}

    /// What was taken and not read yet.
    [[nodiscard]] LooseRecords& records() noexcept { return records_; }

    void make_room(std::size_t there) override { room_ = room_for(there, most_); }
    [[nodiscard]] std::size_t room() const noexcept override { return room_; }
    std::uint32_t take(Record& record) override;

  protected:
    ~UnreadBatch() = default;

  private:
    std::size_t most_;
    std::size_t room_ = 0;
    LooseRecords records_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/batch.ipp"
#endif
