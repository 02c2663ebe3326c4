// multiprocessing/heap/shared_heap.hpp
//
// The family's heap as this process has it: the segment with its allocator and process table. The
// first process makes it on first use; its descendants inherit it or map it. Floor 1. Start at
// heap(). SPDX-License-Identifier: MIT
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/robust_mutex.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/heap/allocator.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

/// What is left of objects and processes: objects that nobody has a counted handle on, see
/// object.hpp, and whether there are processes to bury, see burial.hpp.
struct RemainsState {
    std::atomic<Offset> limbo;      // objects that a forked child may still use
    std::atomic<Offset> graveyard;  // objects that are to be destroyed
    std::atomic<Offset> abroad;     // the same, by a process that can
    // Whether to look for dead orphans, and for shadows without copies, at the next end of a
    // process.
    std::atomic<std::uint32_t> has_orphans;
    std::atomic<std::uint32_t> has_shadows;
    RobustMutex lock;      // for taking objects out of either
    RobustMutex sweeping;  // for giving back what a dead process held; before `lock`
};

/// What lies at the beginning of the segment.
struct HeapHeader {
    static constexpr std::uint64_t expected_magic = 0x6d70'6865'6170'0005;  // "mpheap", layout 5

    std::uint64_t magic;
    std::uint64_t size;
    FamilyState family;
    AllocatorState allocator;
    RemainsState remains;
    std::atomic<Offset> descriptor_lot;  // see connection/descriptor_lot.hpp; 0 until it is used
    std::atomic<Offset> fork_server;     // see start_method/fork_server/state.hpp; the same
};

/// A segment, and what lies where in it. Another process's Heap on the same segment has another
/// base.
class Heap {
  public:
    /// Makes a new heap in a new segment. @throws std::system_error EMFILE, ENFILE
    [[gnu::cold]] static std::unique_ptr<Heap> create(Segment segment);

    /// Opens the heap that another process made.
    /// @param mailbox, requests what that process's heap has as such
    /// @throws RuntimeError when the segment is not one of this version of the library
    [[gnu::cold]] static std::unique_ptr<Heap> open(Segment segment, SocketPair mailbox,
                                                    SocketPair requests);

    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
    [[nodiscard]] Allocator& allocator() noexcept { return allocator_; }
    [[nodiscard]] Family& family() noexcept { return family_; }

    /// Returns a pair of datagram sockets that all processes of the family have. Open descriptors
    /// cannot lie in memory, but they can lie in a message that a socket has not yet received. What
    /// goes into `first` comes out of `second`.
    [[nodiscard]] const SocketPair& mailbox() const noexcept { return mailbox_; }

    /// Returns a pair of sockets that all processes of the family have, for their requests to its
    /// fork server, which reads them from `second`. The pair survives the server. The server itself
    /// has only `second`, so that it reads the end of the family as the end of the stream.
    [[nodiscard]] SocketPair& requests() noexcept { return requests_; }

    [[nodiscard]] RemainsState& remains() noexcept { return header().remains; }
    [[nodiscard]] std::atomic<Offset>& descriptor_lot() noexcept { return header().descriptor_lot; }
    [[nodiscard]] std::atomic<Offset>& fork_server() noexcept { return header().fork_server; }

    /// Gives address space back, where RLIMIT_AS has become too small since the segment was mapped:
    /// without it the program could allocate nothing any more. What is used of the segment, and
    /// some more, stays mapped. The rest comes back as it is used, where there is room.
    void fit_address_space() noexcept;

    /// Returns this process's address of a place in the segment.
    template <class T = std::byte>
    [[nodiscard]] T* at(Offset offset) const noexcept {
        if (segment_.is_partial()) [[unlikely]]
            allocator_.extend();
        return reinterpret_cast<T*>(segment_.base() + offset);
    }

    /// The same, where everything in use was covered since the place was known, see
    /// Allocator::cover. It is for code that follows many places at once.
    template <class T = std::byte>
    [[nodiscard]] T* at_covered(Offset offset) const noexcept {
        return reinterpret_cast<T*>(segment_.base() + offset);
    }

    /// Returns the place of an address in the segment.
    [[nodiscard]] Offset offset_of(const void* address) const noexcept {
        return static_cast<Offset>(static_cast<const std::byte*>(address) - segment_.base());
    }

  private:
    Heap(Segment segment, SocketPair mailbox, SocketPair requests);

    [[nodiscard]] HeapHeader& header() const noexcept {
        return *reinterpret_cast<HeapHeader*>(segment_.base());  // mapped in any case
    }
    static constexpr Offset records_at() noexcept { return 1 << 14; }
    static_assert(sizeof(HeapHeader) <= 1 << 14);
    [[nodiscard]] Offset family_at() const noexcept;
    [[nodiscard]] std::uint64_t first_page() const noexcept;

    Segment segment_;
    SocketPair mailbox_;
    SocketPair requests_;
    Allocator allocator_;
    Family family_;
};

/// The blocks that a process freed last, one of each of the smallest sizes: it takes them again
/// before any other. They lie in the heap, so that the process that buries this one finds them.
struct SpareBlocks {
    static constexpr unsigned classes = 14;  // up to 1,536 bytes

    std::atomic<Offset> blocks[classes];  // 0 none

    // Only this process changes them, so one with a single thread needs no locked instruction. The
    // C library knows of the second thread before there is one.

    /// @returns 0 when there is none
    Offset take(unsigned size_class) noexcept {
        std::atomic<Offset>& spare = blocks[size_class];
        const Offset block = spare.load(std::memory_order_relaxed);
        if (block == 0) return 0;
        // acquire: pairs with keep by another thread.
        if (!__libc_single_threaded) return spare.exchange(0, std::memory_order_acquire);
        spare.store(0, std::memory_order_relaxed);
        return block;
    }
    /// @returns false when there is one already
    bool keep(unsigned size_class, Offset block) noexcept {
        std::atomic<Offset>& spare = blocks[size_class];
        Offset none = spare.load(std::memory_order_relaxed);
        if (none != 0) return false;
        // release: whoever takes it sees all that was done with it before.
        if (!__libc_single_threaded) {
            return spare.compare_exchange_strong(none, block, std::memory_order_release,
                                                 std::memory_order_relaxed);
        }
        spare.store(block, std::memory_order_release);
        return true;
    }
};

/// What this process is in its family.
struct LocalProcess {
    std::atomic<SpareBlocks*> spares{nullptr};  // its own, once it has a ledger
    std::atomic<std::uint64_t> id{0};           // its ProcessId, packed; 0: not in the table yet
    std::atomic<std::uint64_t> forker{0};       // that of the process it is a copy of, where known
    std::atomic<std::uint32_t> fork_depth{0};   // how many forks lie between it and the first exec
};

// One of each in the process. They are constant-initialised and never destroyed: handles in static
// objects need them before main and after it.
inline constinit std::atomic<Heap*> process_heap{nullptr};
inline constinit LocalProcess local_process;

/// Returns how many forks lie between this process and the first exec: what was made at another
/// depth is a copy of something that belongs to a parent.
inline std::uint32_t fork_depth() noexcept {
    return local_process.fork_depth.load(std::memory_order_relaxed);
}

/// Takes over a descriptor that this program was started with.
Descriptor take_inherited(int number);

/// Makes `heap` this process's, unless it has one already. @returns the one it has now
Heap& install_heap(std::unique_ptr<Heap> heap);

/// Makes the heap of a new family, or opens that of an old one.
[[gnu::cold]] Heap& make_or_open_heap();

/// Returns the family's heap; the first call in the first process makes it.
/// @throws std::system_error EMFILE, ENFILE, ENOMEM
[[gnu::always_inline]] inline Heap& heap() {
    Heap* const installed = process_heap.load(std::memory_order_acquire);
    if (installed != nullptr) [[likely]]
        return *installed;
    return make_or_open_heap();
}

// --- the everyday calls ---

/// Returns a small block that this process freed; 0 when it has none of the size.
inline Offset take_spare(std::size_t size) noexcept {
    if (size > largest_small_block) return 0;
    const unsigned size_class = Allocator::small_class(size);
    SpareBlocks* const spares = local_process.spares.load(std::memory_order_acquire);
    return spares == nullptr || size_class >= SpareBlocks::classes ? 0 : spares->take(size_class);
}

/// Returns a block of the family's heap: at least `size` bytes, aligned to 64, content undefined.
/// @throws std::bad_alloc when the segment or the machine has no room
/// @par Processes a process killed inside loses at most the block
[[nodiscard]] inline void* allocate(std::size_t size) {
    Heap& family_heap = heap();
    const Offset spare = take_spare(size);
    return note_taken_over(
        family_heap.at_covered(spare != 0 ? spare : family_heap.allocator().allocate(size)));
}

/// The same for a block whose first `filled` bytes will be written at once.
[[nodiscard]] void* allocate_to_fill(std::size_t size, std::size_t filled);

/// The same with all bytes zero; pages of a large block are taken only as they are touched.
[[nodiscard]] void* allocate_zeroed(std::size_t size);

/// Takes a block back; the pages of a large one are returned to the system. nullptr is fine.
/// @param may_rest that may be a moment later: one of its kind will be needed soon
inline void deallocate(void* block, bool may_rest = false) noexcept {
    if (block == nullptr) return;
    note_given_away(block);
    Heap& family_heap = heap();
    Allocator& allocator = family_heap.allocator();
    const Offset place = family_heap.offset_of(block);
    SpareBlocks* const spares = local_process.spares.load(std::memory_order_acquire);
    if (spares != nullptr) {
        const unsigned size_class = allocator.class_of(place);
        if (size_class < SpareBlocks::classes && spares->keep(size_class, place)) return;
    }
    allocator.deallocate(place, may_rest);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/shared_heap.ipp"
#endif
