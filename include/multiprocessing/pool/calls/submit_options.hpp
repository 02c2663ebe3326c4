// multiprocessing/pool/calls/submit_options.hpp
//
// How a call is to be run. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// What the maker of a call asks for, besides what it is to run: a part of AsyncOptions.
struct CallWish {
    int priority = 0;
    Timeout submit_timeout = std::nullopt;
    Timeout timeout = std::nullopt;
};

/// How a pool takes a call.
struct SubmitOptions {
    bool of_stream = false;     // each chunk's end is told, all errors count; also when closed
    bool caller_waits = false;  // for its end, as the next thing it does
    CallWish wish = {};
    std::uint32_t number = 0;  // of the call, for the records of workers; 0: the pool's own
};

/// @param most calls that may wait @throws Full always
[[noreturn, gnu::cold]] void throw_no_place(std::size_t most);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/submit_options.ipp"
#endif
