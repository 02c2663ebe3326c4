// multiprocessing/remote/managers/object_containers.hpp
//
// The dict, list, Namespace, Value and Array of a SyncManager: they lie in the server and hold
// values of any types. Mirrors what CPython Lib/multiprocessing/managers.py registers with
// SyncManager. Floor 9. Start at ObjectDict. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/managers/exposed.hpp"
#include "multiprocessing/remote/managers/methods.hpp"

// Each call of these is made alone, see one_at_a_time. So they need no locks of their own.
namespace multiprocessing::detail {

/// A dict in order of insertion. @throws TypeError for a key that cannot be one in Python
class ObjectDict {
  public:
    [[nodiscard]] bool contains(const pickle::object& key) const;
    [[nodiscard]] std::optional<pickle::object> get(const pickle::object& key) const;
    /// @throws KeyError
    [[nodiscard]] pickle::object at(const pickle::object& key) const;
    void set(const pickle::object& key, const pickle::object& value);
    /// Takes an entry out. @returns its value; nothing when there is none
    std::optional<pickle::object> take(const pickle::object& key);
    /// Takes the latest entry out. @throws KeyError
    std::pair<pickle::object, pickle::object> popitem();
    /// @param items a dict, or a list of pairs
    void update(const pickle::object& items);
    void clear();

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] ObjectPairs items() const { return {entries_.begin(), entries_.end()}; }
    [[nodiscard]] Objects keys() const;
    [[nodiscard]] Objects values() const;

  private:
    using Entries = std::list<std::pair<pickle::object, pickle::object>>;

    Entries entries_;
    std::map<pickle::object, Entries::iterator> places_;
};

/// A list.
class ObjectList {
  public:
    explicit ObjectList(Objects items = {}) : items_(std::move(items)) {}

    /// @{
    /// Take an index, which may be negative, or a slice. @throws IndexError
    [[nodiscard]] pickle::object get(const pickle::object& index) const;
    void set(const pickle::object& index, const pickle::object& value);
    void erase(const pickle::object& index);
    /// @}
    pickle::object pop(std::int64_t index);
    void insert(std::int64_t index, const pickle::object& value);
    /// @throws ValueError
    [[nodiscard]] std::int64_t index(const pickle::object& value, std::int64_t start,
                                     std::int64_t stop) const;
    [[nodiscard]] std::int64_t count(const pickle::object& value) const;
    /// Repeats the items. @throws ValueError when they would be more than memory holds
    [[nodiscard]] Objects times(std::int64_t n) const;
    /// @throws TypeError for items that have no order
    void sort(bool reverse);

    [[nodiscard]] Objects& items() noexcept { return items_; }
    [[nodiscard]] const Objects& items() const noexcept { return items_; }

  private:
    [[nodiscard]] std::size_t place(std::int64_t index, const char* what) const;

    Objects items_;
};

/// Named values. @throws RemoteError AttributeError for one that is not there
class ObjectNamespace {
  public:
    [[nodiscard]] pickle::object get(const std::string& name) const;
    void set(const std::string& name, const pickle::object& value);
    void erase(const std::string& name);

    friend std::string text_of(const ObjectNamespace& space) { return space.text(); }

  private:
    [[nodiscard]] std::string text() const;

    std::vector<std::pair<std::string, pickle::object>> values_;
};

/// One value.
struct ObjectValue {
    pickle::object typecode;
    pickle::object value;

    friend std::string text_of(const ObjectValue& self) {
        return "Value(" + repr_of(self.typecode) + ", " + repr_of(self.value) + ")";
    }
};

/// A list of fixed length.
struct ObjectArray {
    pickle::object typecode;
    ObjectList list;

    friend std::string text_of(const ObjectArray& self) {
        return "array(" + repr_of(self.typecode) + ", " + repr_of(to_object(self.list.items())) +
               ")";
    }
};

template <>
struct Exposed<ObjectDict> {
    static constexpr bool known = true;
    static constexpr bool one_at_a_time = true;
    static pickle::object value(const ObjectDict& dict) { return dict_object(dict.items()); }
    template <class Self = ObjectDict>
    static std::vector<NamedMethod<Self>> methods();
};
template <>
struct Exposed<ObjectList> {
    static constexpr bool known = true;
    static constexpr bool one_at_a_time = true;
    static pickle::object value(const ObjectList& list) { return to_object(list.items()); }
    template <class Self = ObjectList>
    static std::vector<NamedMethod<Self>> methods();
};
template <>
struct Exposed<ObjectNamespace> {
    static constexpr bool known = true;
    static constexpr bool one_at_a_time = true;
    template <class Self = ObjectNamespace>
    static std::vector<NamedMethod<Self>> methods();
};
template <>
struct Exposed<ObjectValue> {
    static constexpr bool known = true;
    static constexpr bool one_at_a_time = true;
    template <class Self = ObjectValue>
    static std::vector<NamedMethod<Self>> methods();
};
template <>
struct Exposed<ObjectArray> {
    static constexpr bool known = true;
    static constexpr bool one_at_a_time = true;
    static pickle::object value(const ObjectArray& array) { return to_object(array.list.items()); }
    template <class Self = ObjectArray>
    static std::vector<NamedMethod<Self>> methods();
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/object_containers.ipp"
