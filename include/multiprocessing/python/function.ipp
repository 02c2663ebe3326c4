// multiprocessing/python/function.ipp
//
// How functions of Python are found, see function.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/function.hpp"

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pythons {

inline std::string checked_name(std::string name) {
    const std::size_t colon = name.find(':');
    if (colon == 0 || colon == std::string::npos || colon + 1 == name.size() ||
        name.find(':', colon + 1) != std::string::npos) {
        throw ValueError("the name of a function of Python is \"module:name\", not \"" + name +
                         "\"");
    }
    return name;
}

/// Returns what `resolve` finds.
inline Reference resolve(std::string_view module, std::string_view name) {
    const Reference texts[] = {make_text(module), make_text(name)};
    return checked(call_object(interpreter().resolve, texts[0].get(), texts[1].get()));
}

inline Object* find_function(const std::string& name) {
    // By thread, so that it needs no lock, which a fork could leave locked.
    static thread_local std::unordered_map<std::string, Object*> known;
    const auto found = known.find(name);
    if (found != known.end()) return found->second;
    const std::size_t colon = name.find(':');
    const std::string_view text = name;
    Reference function = resolve(text.substr(0, colon), text.substr(colon + 1));
    // Kept for good: what else would end the reference, when a thread ends?
    return known.emplace(name, function.release()).first->second;
}

}  // namespace multiprocessing::detail::pythons

namespace multiprocessing::python {

inline void import(const std::string& module) {
    detail::pythons::with_python([&] { (void)detail::pythons::resolve(module, ""); });
}

}  // namespace multiprocessing::python
