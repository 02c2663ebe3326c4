// The check that a case leaves nothing behind: no child, no descriptor, none on its way.
// SPDX-License-Identifier: MIT
#pragma once

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <multiprocessing/process.hpp>
#include <multiprocessing/process/lifeline.hpp>
#include <set>
#include <string>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace support {

/// The bytes that descriptors on their way in memory take in the heap's mailbox.
inline int bytes_in_mailbox() {
    int bytes = 0;
    ::ioctl(mp_detail::heap().mailbox().first.get(), SIOCOUTQ, &bytes);
    return bytes;
}

/// The first line of a case: checks at its end that what it opened is closed and what it started
/// has ended.
class NothingLeft {
  public:
    NothingLeft() {
        // What the library opens once and keeps.
        mp_detail::lifeline();
        mp_detail::open_null_device();
        mailbox_ = bytes_in_mailbox();
        descriptors_ = descriptors();
    }
    NothingLeft(const NothingLeft&) = delete;
    NothingLeft& operator=(const NothingLeft&) = delete;
    ~NothingLeft() {
        CHECK_FALSE(has_children());
        CHECK(bytes_in_mailbox() == mailbox_);
        // A server's threads close their connections when these have ended, not when it has.
        eventually([this] { return descriptors() == descriptors_; });
        CHECK(descriptors() == descriptors_);
    }

  private:
    std::set<std::string> descriptors_;
    int mailbox_;
};

}  // namespace support
