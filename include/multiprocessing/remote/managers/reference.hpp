// multiprocessing/remote/managers/reference.hpp
//
// A reference that this process has to an object in a server: the server counts it. Mirrors
// _incref, _decref and _after_fork of CPython Lib/multiprocessing/managers.py, BaseProxy. Floor 9.
// Start at ObjectReference. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/remote/managers/manager_link.hpp"
#include "multiprocessing/remote/managers/token.hpp"

namespace multiprocessing::detail {

class ObjectReference;

/// One of the references that there are, in a list that only grows. A forked child finds it whole
/// at any time, as it needs no lock.
struct LiveReference {
    std::atomic<ObjectReference*> reference{nullptr};  // null: free
    LiveReference* next = nullptr;
};

/// A reference that the server counts for this process. The copies of a proxy share it.
class ObjectReference {
  public:
    /// Makes one of a reference that the server has counted already.
    static std::shared_ptr<ObjectReference> adopt(std::shared_ptr<ManagerLink> link, Token token,
                                                  std::vector<std::string> methods);
    /// Makes one, and has the server count it. @throws RemoteError when the object is not there
    static std::shared_ptr<ObjectReference> take(std::shared_ptr<ManagerLink> link, Token token,
                                                 std::vector<std::string> methods);

    /// For adopt.
    ObjectReference(std::shared_ptr<ManagerLink> link, Token token,
                    std::vector<std::string> methods);
    ObjectReference(const ObjectReference&) = delete;
    ObjectReference& operator=(const ObjectReference&) = delete;
    /// Gives the reference back, unless a process has it that this one is a copy of.
    ~ObjectReference();

    /// In a forked child whose own reference was not counted at the fork: has it counted.
    void ensure_counted();

    [[nodiscard]] ManagerLink& link() const noexcept { return *link_; }
    [[nodiscard]] const std::shared_ptr<ManagerLink>& shared_link() const noexcept { return link_; }
    [[nodiscard]] const Token& token() const noexcept { return token_; }
    [[nodiscard]] const std::string& id() const noexcept { return token_.id; }
    [[nodiscard]] const std::vector<std::string>& methods() const noexcept { return methods_; }
    [[nodiscard]] bool is_same(const ObjectReference& other) const noexcept {
        return token_.id == other.token_.id && token_.address == other.token_.address;
    }

  private:
    static void count_in_child();

    std::shared_ptr<ManagerLink> link_;
    Token token_;
    std::vector<std::string> methods_;
    std::atomic<std::uint32_t> counted_at_;  // the fork depth of the process that it is counted for
    LiveReference* live_;
};

/// What travels of a reference within the family.
struct ReferenceParts {
    std::string type;
    std::string host;
    int port = -1;
    std::string path;
    std::string id;
    std::vector<std::string> methods;
    std::string authkey;

    /// @param reference null for the parts of an empty proxy
    static ReferenceParts of(const ObjectReference* reference);
    /// Makes a reference of this process. @throws RemoteError when the object is not there any more
    [[nodiscard]] std::shared_ptr<ObjectReference> make() const;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/reference.ipp"
