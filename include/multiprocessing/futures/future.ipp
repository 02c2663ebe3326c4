// multiprocessing/futures/future.ipp
//
// The names of classes that a Future prints: see future.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/futures/future.hpp"

#include <cxxabi.h>

#include <typeinfo>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::string class_name(std::string_view name) {
    if (name.find('<') == std::string_view::npos && name.rfind("::") != std::string_view::npos) {
        name.remove_prefix(name.rfind("::") + 2);
    }
    return std::string(name);
}

MULTIPROCESSING_INLINE std::string class_name_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const RemoteError& remote) {
        return class_name(remote.type_name());
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        return type == nullptr ? "an exception" : class_name(demangle(type->name()));
    }
}

}  // namespace multiprocessing::detail
