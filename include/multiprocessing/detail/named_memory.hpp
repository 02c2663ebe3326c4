// multiprocessing/detail/named_memory.hpp
//
// Memory with a name, by which unrelated processes find it. Boost.Interprocess has the names and
// the mappings. This file adds what it lacks: the memory is taken when the block is made, and
// errors name the call and the block. Floor 0. Start at create_named_memory.
// SPDX-License-Identifier: MIT
#pragma once

#include <boost/interprocess/shared_memory_object.hpp>
#include <cstdint>
#include <string>
#include <system_error>

#include "multiprocessing/detail/mapped_region.hpp"

namespace multiprocessing::detail {

using boost::interprocess::shared_memory_object;

/// Removes the name. The memory lives on for the processes that have mapped it.
/// @throws std::system_error ENOENT, EACCES
void unlink_named_memory(const std::string& name);

/// Makes memory of this name, which has no size yet. @param name without a slash
/// @throws std::system_error EEXIST, EACCES, ENAMETOOLONG, EMFILE
shared_memory_object make_named_memory(const std::string& name);

/// Makes memory of this name and size, all zero.
/// @throws std::system_error EEXIST, ENOSPC, EFBIG, ENOMEM, EACCES, EMFILE; then the name does
///         not exist, unless it existed before
mapped_region create_named_memory(const std::string& name, std::int64_t size);

/// Returns a random name in the form of CPython's: psm_ and 8 hexadecimal digits.
/// @par Source CPython Lib/multiprocessing/shared_memory.py, _make_filename
std::string random_memory_name();

/// Makes memory under a new name, and sets `name` to it. @param make_name returns a name to try
template <class MakeName>
mapped_region create_named_memory(std::string& name, std::int64_t size, MakeName make_name) {
    for (;;) {
        name = make_name();
        try {
            return create_named_memory(name, size);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::file_exists) throw;
        }
    }
}

/// Maps the whole memory of this name, whichever process made it.
/// @throws std::system_error ENOENT, EACCES, ENOMEM, EMFILE @throws ValueError if it is empty
mapped_region attach_named_memory(const std::string& name);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/named_memory.ipp"
#endif
