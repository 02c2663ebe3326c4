// multiprocessing/remote/managers/servant.ipp
//
// How an object of a server is called: see servant.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/servant.hpp"

#include <algorithm>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

inline const Method* MethodTable::find(std::string_view name) const noexcept {
    for (const Method& method : methods) {
        if (method.name == name) return &method;
    }
    return nullptr;
}

inline std::vector<std::string> MethodTable::names() const {
    std::vector<std::string> names;
    for (const Method& method : methods) names.push_back(method.name);
    return names;
}

inline PlacedArguments place_arguments(const CallArguments& arguments, const Method& method) {
    PlacedArguments placed;
    for (const pickle::object& value : arguments.values) placed.push_back(&value);
    for (const auto& [name, value] : arguments.named) {
        const auto found = std::ranges::find(method.parameters, name);
        if (found == method.parameters.end()) {
            throw TypeError(method.name + "() got an unexpected keyword argument '" + name + "'");
        }
        const auto place = static_cast<std::size_t>(found - method.parameters.begin());
        if (placed.size() <= place) placed.resize(place + 1, nullptr);
        if (placed[place] != nullptr) {
            throw TypeError(method.name + "() got multiple values for argument '" + name + "'");
        }
        placed[place] = &value;
    }
    return placed;
}

inline std::unique_lock<std::recursive_mutex> Servant::turn() {
    return table_->concurrent ? std::unique_lock<std::recursive_mutex>()
                              : std::unique_lock<std::recursive_mutex>(turn_);
}

inline CallResult Servant::call(const Method& method, const CallArguments& arguments) {
    const PlacedArguments placed = place_arguments(arguments, method);
    const auto lock = turn();
    return method.body(object_.get(), placed);
}

inline pickle::object Servant::value() {
    if (!table_->value) {
        throw NoPythonForm("a copy of a " + table_->class_name +
                           " object cannot travel; call its methods, or return what they need");
    }
    const auto lock = turn();
    return table_->value(object_.get());
}

inline std::string Servant::text() {
    if (!table_->text) {
        return "<" + table_->class_name + " object at " + address_text(object_.get()) + ">";
    }
    const auto lock = turn();
    return table_->text(object_.get());
}

}  // namespace multiprocessing::detail
