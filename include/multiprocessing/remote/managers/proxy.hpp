// multiprocessing/remote/managers/proxy.hpp
//
// RemoteProxy: an object in the server of a manager, as a client has it. Mirrors CPython
// Lib/multiprocessing/managers.py, BaseProxy. Floor 9. Start at RemoteProxy::call.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/remote/managers/manager_link.hpp"
#include "multiprocessing/remote/managers/reference.hpp"
#include "multiprocessing/remote/managers/token.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing {

/// An object in the server of a manager, in C++ or in Python. It is a handle: copies are the same
/// object, and it lives as long as somebody has a proxy of it.
///
///     mp::RemoteProxy adder = manager.create("Adder", 40);
///     double sum = adder.call<double>("add", 2);
///
/// @par Processes It can be an argument of a Process and of a Pool's task, an item of a Queue, and
/// a value that goes to Python. A process that gets it, or is forked, has a reference of its own;
/// keep yours until then. What a process still has when it ends is given back. A dict, list, queue
/// or namespace of a SyncManager into which it is put keeps the object of the same server alive.
/// @par Threads Any number of threads may use it. Each has a connection of its own.
/// @par Source CPython Lib/multiprocessing/managers.py, BaseProxy
class RemoteProxy {
  public:
    /// Makes an empty proxy. Assign to it first: before that each use throws ValueError.
    RemoteProxy() = default;

    /// Calls a method of the object, and returns what it returns.
    ///
    /// **Blocking**: until the server has answered.
    /// @tparam R the type of the result: anything that travels to Python, pickle::object, or a
    /// proxy
    ///         for a method whose result stays in the server
    /// @throws what the method throws: ValueError, KeyError, IndexError, TypeError, Empty and the
    /// other
    ///         exceptions that are Python's too; RemoteError with Python's name for the type of
    ///         others, and when there is no such method
    /// @throws EOFError, std::system_error ECONNRESET, EPIPE, ECONNREFUSED when the server has
    /// ended
    /// @throws TypeError when the result is none of R
    template <class R = void, class... Args>
    R call(std::string_view method, const Args&... args) const {
        const detail::ManagerReply reply =
            reference().link().call(detail::request_of(reference().id(), method, args...));
        if constexpr (std::derived_from<R, RemoteProxy>) {
            return R(made_by(reply));
        } else {
            if (reply.kind != "#RETURN") throw_other(reply);
            if constexpr (!std::is_void_v<R>) return detail::from_object<R>(reply.value);
        }
    }

    /// Returns a copy of the object, as Python's _getvalue.
    template <class T = pickle::object>
    [[nodiscard]] T getvalue() const {
        return call<T>("#GETVALUE");
    }
    /// @{
    /// Returns the text of the object there, as Python's str() and repr() of it.
    [[nodiscard]] std::string str() const { return call<std::string>("__str__"); }
    [[nodiscard]] std::string repr() const { return call<std::string>("__repr__"); }
    /// @}

    /// @{
    /// Returns the name of its type, its id in the server, and the names of its methods.
    [[nodiscard]] const std::string& type() const { return reference().token().type; }
    [[nodiscard]] const std::string& id() const { return reference().id(); }
    [[nodiscard]] const std::vector<std::string>& methods() const { return reference().methods(); }
    /// @}

    /// Two proxies are equal when they are proxies of the same object.
    friend bool operator==(const RemoteProxy& a, const RemoteProxy& b) noexcept {
        return a.reference_ == b.reference_ ||
               (a.reference_ && b.reference_ && a.reference_->is_same(*b.reference_));
    }

    /// Returns `<RemoteProxy object, type 'Adder' at '/tmp/…'>`, without asking the server.
    friend std::string text_of(const RemoteProxy& proxy) { return proxy.text(); }

    // --- for the library ---

    /// Makes a proxy of what is referred to.
    explicit RemoteProxy(std::shared_ptr<detail::ObjectReference> reference) noexcept
        : reference_(std::move(reference)) {}

    /// Returns what Python makes a proxy of.
    [[nodiscard]] pickle::object to_pickle() const;
    /// Makes a proxy of one of Python's. It uses the key of this process, as Python does.
    static RemoteProxy from_pickle(const pickle::object& value);

    /// Writes the proxy to a message of the family.
    template <class Archive>
    void save(Archive& archive) const {
        archive(detail::ReferenceParts::of(reference_.get()));
    }
    /// Reads it, with a reference of this process.
    template <class Archive>
    void load(Archive& archive) {
        detail::ReferenceParts parts;
        archive(parts);
        reference_ = parts.make();
    }

  protected:
    [[nodiscard]] const detail::ObjectReference& reference() const;

  private:
    [[nodiscard]] RemoteProxy made_by(const detail::ManagerReply& reply) const;
    [[noreturn]] void throw_other(const detail::ManagerReply& reply) const;
    [[nodiscard]] std::string text() const;

    std::shared_ptr<detail::ObjectReference> reference_;
};

}  // namespace multiprocessing

#include "multiprocessing/remote/managers/proxy.ipp"
