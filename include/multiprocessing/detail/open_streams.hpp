// multiprocessing/detail/open_streams.hpp
//
// The C streams that a program has open, beside the standard streams. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>

#if defined(__GLIBC__)
// glibc's own functions to walk its list of streams. They are exported since 2.2, but no header
// that glibc installs declares them.
extern "C" {
struct _IO_FILE* _IO_iter_begin();
struct _IO_FILE* _IO_iter_end();
struct _IO_FILE* _IO_iter_next(struct _IO_FILE*);
struct _IO_FILE* _IO_iter_file(struct _IO_FILE*);
void _IO_list_lock();
void _IO_list_unlock();
}
#endif

namespace multiprocessing::detail {

/// Returns whether the stream still holds back what was written to it. It makes no call, as there
/// is hardly ever something.
inline bool has_pending_output(const std::FILE* stream) noexcept {
    return stream->_IO_write_ptr != stream->_IO_write_base;
}

/// Calls `use(stream)` for each stream that the program has open. Where the C library does not tell
/// which these are, it does so only for standard output and standard error.
/// @pre no other thread opens or closes one
template <class Use>
void for_each_open_stream(Use use) {
#if defined(__GLIBC__)
    for (auto* at = ::_IO_iter_begin(); at != ::_IO_iter_end(); at = ::_IO_iter_next(at)) {
        use(::_IO_iter_file(at));
    }
#else
    use(stdout);
    use(stderr);
#endif
}

/// Flushes every stream that no other thread is using: such a thread may sit in a read for ever.
void flush_open_streams() noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/open_streams.ipp"
#endif
