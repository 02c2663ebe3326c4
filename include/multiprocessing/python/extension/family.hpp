// multiprocessing/python/extension/family.hpp
//
// How a process of Python comes to a family: it is a guest of a C++ program, a fork of a process
// of the family, or was spawned by one and is told by its pickles. Floor 10.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/items.hpp"
#include "multiprocessing/python/passing.hpp"
#include "multiprocessing/start_method/guest.hpp"

namespace multiprocessing::detail::pythons::extension {

inline Reference result(const GuestArgument& argument) {
    const Reference parts[] = {
        result(argument.kind), result(argument.item),
        argument.handle ? make_capsule(argument.handle) : Reference::to(api().None),
        result(argument.value)};
    Reference tuple = raising(api().PyTuple_New(4));
    ssize_t place = 0;
    for (const Reference& part : parts) {
        raising(api().PyTuple_SetItem(tuple.get(), place++, Reference::to(part.get()).release()));
    }
    return tuple;
}

/// Returns what this process was given by the program that started it: kind, item, handle, pickle
/// of each.
inline Reference family_arguments() {
    Reference list = raising(api().PyList_New(0));
    if (!is_guest()) return list;
    const std::vector<GuestArgument> arguments = become_guest(object_layout);
    list = raising(api().PyList_New(static_cast<ssize_t>(arguments.size())));
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        raising(api().PyList_SetItem(list.get(), static_cast<ssize_t>(i),
                                     result(arguments[i]).release()));
    }
    return list;
}

/// Returns a number that no other family of this machine has.
inline std::uint64_t family_number(int segment) {
    struct stat status {};
    detail::checked(::fstat(segment, &status), "fstat");
    return (static_cast<std::uint64_t>(status.st_dev) << 48) ^ status.st_ino;
}
inline std::uint64_t family_token() { return family_number(heap().segment().fd()); }

/// Returns the descriptors that a process needs to come to this family.
inline Reference family_descriptors() {
    Heap& own = heap();
    return result(std::vector<std::int64_t>{own.segment().fd(), own.mailbox().first.get(),
                                            own.mailbox().second.get(), own.requests().first.get(),
                                            own.requests().second.get()});
}

/// Says whether this process has a family already. @throws RuntimeError when it is another one
inline bool family_is_known(std::int64_t token) {
    if (process_heap.load() == nullptr) return false;
    if (family_token() == static_cast<std::uint64_t>(token)) return true;
    throw RuntimeError("this process has made objects of its own before those of its parent came: "
                       "in a module that spawned processes import, make locks, queues and the like "
                       "below `if __name__ == \"__main__\":`");
}

/// Makes this process one of the family of these descriptors, which are its own from now on.
inline void family_join(std::int64_t segment, std::int64_t mailbox, std::int64_t mailbox_out,
                        std::int64_t requests, std::int64_t requests_out, std::int64_t layout) {
    if (static_cast<std::uint64_t>(layout) != object_layout) {
        throw RuntimeError("this process and its parent have different versions of "
                           "multiprocessing_cpp");
    }
    const auto taken = [](std::int64_t fd) { return take_inherited(static_cast<int>(fd)); };
    Heap& heap =
        install_heap(Heap::open(Segment::map(taken(segment)), {taken(mailbox), taken(mailbox_out)},
                                {taken(requests), taken(requests_out)}));
    heap.remains().has_orphans.store(1, std::memory_order_relaxed);  // nobody waits for this one
}
/// Says whether this process has a family.
inline bool family_is_there() { return process_heap.load() != nullptr; }
/// Takes the place in the family's table that the host has for this process.
inline void family_arrive(std::int64_t index, std::int64_t generation) {
    const ProcessId id{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(generation)};
    if (!heap().family().activate(id, ::getpid())) {
        throw RuntimeError("the host has given this process up: it took too long");
    }
    local_process.id.store(Family::pack(id));
}
inline std::int64_t family_layout() { return static_cast<std::int64_t>(object_layout); }

// --- handles ---

inline std::uint64_t handle_offset(const AnyHandle& handle) { return handle.offset(); }

/// Returns a handle on the object at an offset, on which another process has one meanwhile.
/// @throws TypeError when it is an object of another kind
inline AnyHandle handle_at(std::int64_t offset, std::int64_t kind) {
    AnyHandle handle = AnyHandle::from_offset(static_cast<Offset>(offset));
    if (!handle || static_cast<std::int64_t>(handle.object()->kind()) != kind) {
        throw TypeError("the object that has arrived is not what it is said to be");
    }
    return handle;
}
inline std::int64_t handle_kind(const AnyHandle& handle) {
    return static_cast<std::int64_t>(handle.object()->kind());
}

}  // namespace multiprocessing::detail::pythons::extension
