// multiprocessing/process/lifeline.hpp
//
// A lifeline is a pipe by which a child learns that its parent has ended, however that happened.
// The parent alone holds the writing end, so the kernel closes it when the parent ends. The child
// has asked the kernel for SIGKILL when that happens. No thread watches. Unlike with
// prctl(PR_SET_PDEATHSIG), what counts is the parent process, not the thread that started the
// child.
//
// Where a child ends with its parent, and the parent ends with its own parent, the child has the
// pipes of both, and so on. On a loaded machine each process takes a while to end, and these times
// must not add up. Floor 3. Start at die_with_parent. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

/// The reading ends of the parent's pipe and of those that the parent itself depends on, nearest
/// first. Ancestors beyond `most` count indirectly, through those in between.
class Lifelines {
  public:
    static constexpr std::size_t most = 16;

    void add(Descriptor end) noexcept {
        if (count_ < most) ends_[count_++] = std::move(end);
    }
    void clear() noexcept {
        while (count_ != 0) ends_[--count_].reset();
    }
    [[nodiscard]] const Descriptor* begin() const noexcept { return ends_.data(); }
    [[nodiscard]] const Descriptor* end() const noexcept { return ends_.data() + count_; }

  private:
    std::array<Descriptor, most> ends_;
    std::size_t count_ = 0;
};

/// Returns the reading ends of the parent's pipe and of those above it. Called once, in a forked
/// child.
Lifelines take_inherited_lifelines() noexcept;

/// Returns this process's lifeline. When the program has closed the old one, it is a new one; the
/// children that depended on the old one have then ended.
/// @throws std::system_error EMFILE, ENFILE
PipeEnds& lifeline();

/// Returns the reading ends for a child of this process that does not inherit them.
/// @param dies_with_parent whether it needs more than the first
std::vector<int> lifelines_for_child(bool dies_with_parent);

/// Opens the pipe of a reading end anew, through /proc. The owner of a signal belongs to the open
/// file. All children have inherited that from the parent, and each needs one of its own.
/// @returns none where there is no /proc
/// @throws std::system_error EMFILE, ENFILE
Descriptor reopen_lifeline(int read);

/// Has the kernel kill the process when the holder of the pipe's writing end ends, but not if that
/// has happened already.
/// @param own a descriptor for which nobody else has set an owner
/// @returns whether it could be arranged
bool arm_lifeline(int own, pid_t pid) noexcept;

/// In a child: arranges that it is killed when its parent ends, or a process that the parent
/// depends on.
/// @throws std::system_error EMFILE, ENFILE; EAGAIN without /proc
void die_with_parent(Lifelines lifelines);

/// In a child that ends with its parent: makes it the leader of a process group that ends with the
/// parent as a whole. So the programs that it starts do not outlive their purpose.
void lead_group_that_dies_with_parent() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/lifeline.ipp"
#endif
