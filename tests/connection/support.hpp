// What the tests of connections share.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/connection.hpp>

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "tests/nothing_left.hpp"
#include "tests/synchronize/support.hpp"

using support::NothingLeft;
using support::Watchdog;

namespace support {

/// Runs `call` and returns the errno of the std::system_error that it throws; 0 when it throws
/// none.
template <class Call>
int errno_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

/// Bytes that differ from one message, and one place, to another.
inline std::string pattern(std::size_t size, unsigned seed = 0) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>((i * 2654435761u + seed * 40503u) >> 13);
    }
    return text;
}

/// Leaves this process `count` descriptors that it can open, until the end of the scope.
class FewDescriptors {
  public:
    explicit FewDescriptors(unsigned count) {
        ::getrlimit(RLIMIT_NOFILE, &old_);
        rlimit limit = old_;
        limit.rlim_cur = 0;
        for (unsigned free = 0; free < count + 1; ++limit.rlim_cur) {
            free += ::fcntl(static_cast<int>(limit.rlim_cur), F_GETFD) < 0;
        }
        --limit.rlim_cur;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &old_); }

  private:
    rlimit old_{};
};

}  // namespace support

using support::errno_of;
using support::pattern;
