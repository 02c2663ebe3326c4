// multiprocessing/logging/fields.hpp
//
// Fields of the program's own in each record that a thread logs. Mirrors the `extra` of CPython
// Lib/logging, LoggerAdapter. Floor 2. Start at LogFields. SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/logging/event.hpp"

namespace multiprocessing {

/// While it lives, each record that this thread logs has these fields, for the handlers.
///
///     const mp::LogFields fields{{"request", "17"}, {"user", name}};
///
/// They may be nested; a record has the fields of all, the outermost first. An object ends in the
/// thread that made it, and in the reverse order, as scopes do.
/// @par Processes a child does not take them over
class LogFields {
  public:
    /// Begins to give records these fields, each a name and a text.
    LogFields(std::initializer_list<std::pair<std::string, std::string>> fields)
        : fields_(fields), outer_(innermost_) {
        innermost_ = this;
    }
    LogFields(const LogFields&) = delete;
    LogFields& operator=(const LogFields&) = delete;
    ~LogFields() { innermost_ = outer_; }

    /// Returns the fields that a record of this thread has now.
    [[nodiscard]] static std::vector<std::pair<std::string, std::string>> current() {
        std::vector<std::pair<std::string, std::string>> all;
        for (const LogFields* scope = innermost_; scope != nullptr; scope = scope->outer_) {
            all.insert(all.begin(), scope->fields_.begin(), scope->fields_.end());
        }
        return all;
    }

  private:
    static inline constinit thread_local const LogFields* innermost_ = nullptr;

    const std::vector<std::pair<std::string, std::string>> fields_;
    const LogFields* const outer_;
};

}  // namespace multiprocessing
