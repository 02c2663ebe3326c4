// multiprocessing/heap/shared_heap.ipp
//
// How a process makes the family's heap, or comes to it: see shared_heap.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/shared_heap.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/inheritance.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE std::unique_ptr<Heap> Heap::create(Segment segment) {
    auto heap = std::unique_ptr<Heap>(new Heap(std::move(segment), make_socket_pair(SOCK_DGRAM),
                                               make_socket_pair(SOCK_SEQPACKET)));
    HeapHeader& header = heap->header();
    header.size = heap->segment_.size();
    heap->allocator_.initialize();
    heap->family_.initialize();
    header.remains.lock.initialize();
    header.remains.sweeping.initialize();
    header.magic = HeapHeader::expected_magic;
    return heap;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::unique_ptr<Heap> Heap::open(Segment segment,
                                                                          SocketPair mailbox,
                                                                          SocketPair requests) {
    auto heap = std::unique_ptr<Heap>(
        new Heap(std::move(segment), std::move(mailbox), std::move(requests)));
    const HeapHeader& header = heap->header();
    if (header.magic != HeapHeader::expected_magic || header.size != heap->segment_.size()) {
        throw RuntimeError("the inherited segment was made by another version of the library");
    }
    return heap;
}

MULTIPROCESSING_INLINE void Heap::fit_address_space() noexcept {
    try {
        constexpr std::size_t reserve = std::size_t{1} << 26;
        const std::size_t share = address_space_share(segment_.mapped());
        if (segment_.mapped() / 2 <= share) return;
        segment_.shrink((std::max)(share, allocator_.used_space() + reserve));
    } catch (...) {
        // Nothing that can be done about it: the limit is what the program wants.
    }
}

MULTIPROCESSING_INLINE Heap::Heap(Segment segment, SocketPair mailbox, SocketPair requests)
    : segment_(std::move(segment)),
      mailbox_(std::move(mailbox)),
      requests_(std::move(requests)),
      allocator_(segment_, header().allocator, records_at(), first_page()),
      family_(header().family, reinterpret_cast<ProcessRecord*>(segment_.base() + family_at())) {
    // All that lies before the first page is used without a look at what is mapped.
    if (!segment_.extend(first_page() * page_size)) throw_system_error("mremap", ENOMEM);
}

MULTIPROCESSING_INLINE Offset Heap::family_at() const noexcept {
    return (records_at() + Allocator::records_size(segment_.size()) + page_size - 1) / page_size *
           page_size;
}

MULTIPROCESSING_INLINE std::uint64_t Heap::first_page() const noexcept {
    return (family_at() + Family::table_size + page_size - 1) / page_size;
}

/// Tells a child that it is another process than the one it is a copy of. It runs in the child,
/// right after any fork.
MULTIPROCESSING_INLINE void note_fork_in_child() noexcept {
    local_process.spares.store(nullptr, std::memory_order_relaxed);  // the parent's
    const std::uint64_t forker = local_process.id.exchange(0, std::memory_order_relaxed);
    if (forker != 0) {
        local_process.forker.store(forker, std::memory_order_relaxed);
        std::uint32_t before = ProcessRecord::none;
        process_heap.load()->family()[Family::unpack(forker)].copies.compare_exchange_strong(
            before, ProcessRecord::some);
    }
    local_process.fork_depth.fetch_add(1, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE Heap& install_heap(std::unique_ptr<Heap> heap) {
    Heap* installed = nullptr;
    // No lock: another thread may fork at any time, and the child would find it locked for ever.
    if (!process_heap.compare_exchange_strong(installed, heap.get(), std::memory_order_acq_rel)) {
        return *installed;  // another thread was faster; ours is unmapped here
    }
    // Also for forks that are not ours: a program may call fork() itself.
    ::pthread_atfork(nullptr, nullptr, note_fork_in_child);
    note_lasting_descriptor(heap->segment().fd());
    return *heap.release();
}

MULTIPROCESSING_INLINE Descriptor take_inherited(int number) {
    Descriptor inherited = out_of_the_way(Descriptor(number));
    checked(::fcntl(inherited.get(), F_SETFD, FD_CLOEXEC), "fcntl");
    return inherited;
}

/// Opens the heap of the family that has started this program anew, and takes this process's place
/// in it.
MULTIPROCESSING_INLINE Heap& open_inherited_heap(const Inheritance& inheritance) {
    Heap& heap = install_heap(
        Heap::open(Segment::map(take_inherited(segment_descriptor)),
                   {take_inherited(mailbox_descriptor), take_inherited(mailbox_descriptor + 1)},
                   {take_inherited(requests_descriptor), take_inherited(requests_descriptor + 1)}));
    local_process.id.store(Family::pack(inheritance.id));
    // The fork server's pid is not this one's, see run_fork_server.
    if (inheritance.role != Role::fork_server) heap.family().activate(inheritance.id, ::getpid());
    return heap;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE Heap& make_or_open_heap() {
    // Static objects come here before main, also in a program that is started anew: what they make
    // lies in the family's heap like everything else.
    const Inheritance& inheritance = take_inheritance();
    if (inheritance.role != Role::none) return open_inherited_heap(inheritance);
    return install_heap(Heap::create(create_family_segment()));
}

MULTIPROCESSING_INLINE void* allocate_to_fill(std::size_t size, std::size_t filled) {
    if (size <= largest_small_block) return allocate(size);
    Heap& family_heap = heap();
    return note_taken_over(
        family_heap.at_covered(family_heap.allocator().allocate_to_fill(size, filled)));
}

MULTIPROCESSING_INLINE void* allocate_zeroed(std::size_t size) {
    Heap& family_heap = heap();
    if (const Offset spare = take_spare(size)) {
        return std::memset(note_taken_over(family_heap.at_covered(spare)), 0, size);
    }
    return note_taken_over(family_heap.at_covered(family_heap.allocator().allocate_zeroed(size)));
}

}  // namespace multiprocessing::detail
