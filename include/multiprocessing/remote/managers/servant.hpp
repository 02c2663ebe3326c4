// multiprocessing/remote/managers/servant.hpp
//
// What a manager's server has of an object: the object, whatever its type, and a table of the
// methods that clients may call. Mirrors id_to_obj of CPython Lib/multiprocessing/managers.py,
// Server. Floor 9. Start at Servant::call. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

class Servant;

/// What a request gives to a method.
struct CallArguments {
    std::vector<pickle::object> values;                           // by place
    std::vector<std::pair<std::string, pickle::object>> named{};  // by name
};

/// The arguments in the order of the parameters; null where one was left out.
using PlacedArguments = std::vector<const pickle::object*>;

/// What a method gives back.
struct CallResult {
    std::string reply{};  // written already, so that no value is made for it; empty: None
    // For a method that makes an object of the server's: the object, and the name of its type.
    std::shared_ptr<Servant> made = nullptr;
    std::string made_type{};
    // Called when the client has gone before it got the reply. It may be empty.
    std::function<void()> undo{};
};

/// One method of a type.
struct Method {
    std::string name;
    std::vector<std::string> parameters;  // their names; without names they go by place alone
    std::function<CallResult(void* object, const PlacedArguments& arguments)> body;
};

/// What the server knows of a type.
struct MethodTable {
    std::string class_name;
    std::vector<Method> methods{};
    // Whether the methods of one object may run at the same time, in several threads.
    bool concurrent = false;
    std::function<pickle::object(const void*)> value{};  // empty: no copy of it can travel
    std::function<std::string(const void*)> text{};      // empty: <Adder object at 0x7f…>

    [[nodiscard]] const Method* find(std::string_view name) const noexcept;
    [[nodiscard]] std::vector<std::string> names() const;
};

/// Brings arguments into the order of a method's parameters.
/// @throws TypeError for a name that no parameter has, and for one that is given twice
PlacedArguments place_arguments(const CallArguments& arguments, const Method& method);

/// An object of a server. Any number of threads may call it.
class Servant {
  public:
    /// @param identity the address by which two servants of the same object are known as such
    Servant(std::shared_ptr<void> object, const void* identity,
            std::shared_ptr<const MethodTable> table)
        : object_(std::move(object)), identity_(identity), table_(std::move(table)) {}

    /// Calls a method.
    /// @throws whatever the method throws
    CallResult call(const Method& method, const CallArguments& arguments);

    /// Returns a copy of the object. @throws NoPythonForm when it has no form in Python
    [[nodiscard]] pickle::object value();

    /// Returns the object's text, as Python's repr has it.
    [[nodiscard]] std::string text();

    [[nodiscard]] const void* identity() const noexcept { return identity_; }
    [[nodiscard]] const MethodTable& table() const noexcept { return *table_; }

  private:
    /// Keeps other calls out, unless the type lets them in.
    [[nodiscard]] std::unique_lock<std::recursive_mutex> turn();

    std::shared_ptr<void> object_;
    const void* identity_;
    std::shared_ptr<const MethodTable> table_;
    std::recursive_mutex turn_;
};

/// An object was asked for as a value, and has no form that can travel.
class NoPythonForm : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/servant.ipp"
