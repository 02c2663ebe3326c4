// multiprocessing/process/message.hpp
//
// What a child that has no copy of its parent's memory is told at its start: who it is, and its
// target. Mirrors CPython Lib/multiprocessing/spawn.py, get_preparation_data. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

class Lifelines;
struct ProcessIdentity;
class Target;

/// Writes what the child needs to the heap. The message, and with it the objects that its handles
/// stand for, live until the child was seen to have ended.
/// @throws std::bad_alloc
std::shared_ptr<void> make_start_message(const ProcessIdentity& identity, const Target* target);

/// Lives the rest of the life of the process `id`, which was given `message`.
/// @param lifelines of its parent, and of those that the parent depends on
[[noreturn]] void run_start_message(Offset message, ProcessId id, Lifelines lifelines) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/message.ipp"
#endif
