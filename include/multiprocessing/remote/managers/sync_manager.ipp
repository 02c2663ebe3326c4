// multiprocessing/remote/managers/sync_manager.ipp
//
// What is registered with a SyncManager: see sync_manager.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/sync_manager.hpp"

namespace multiprocessing {
namespace detail {

inline std::shared_ptr<ObjectQueue> make_object_queue(std::optional<std::int64_t> maxsize) {
    return std::make_shared<ObjectQueue>(maxsize.value_or(0));
}
inline ObjectList make_object_list(const std::optional<pickle::object>& items) {
    return ObjectList(items ? items_of(*items) : Objects());
}
inline ObjectDict make_object_dict(const std::optional<pickle::object>& items) {
    ObjectDict dict;
    if (items) dict.update(*items);
    return dict;
}
inline ObjectValue make_object_value(const pickle::object& typecode, const pickle::object& value,
                                     const std::optional<pickle::object>& /* lock */) {
    return {typecode, value};
}
/// @param items the items, or how many there are to be
inline ObjectArray make_object_array(const pickle::object& typecode, const pickle::object& items,
                                     const std::optional<pickle::object>& /* lock */) {
    return {typecode, ObjectList(items_of(items))};
}

}  // namespace detail

template <class Self>
void SyncManager::register_types() {
    auto& self = static_cast<Self&>(*this);
    self.register_function("Queue", detail::make_object_queue);
    self.register_function("JoinableQueue", detail::make_object_queue);
    self.register_function("list", detail::make_object_list);
    self.register_function("dict", detail::make_object_dict);
    self.register_function("Value", detail::make_object_value);
    self.register_function("Array", detail::make_object_array);
    self.register_function("Namespace", [] { return detail::ObjectNamespace(); });
    self.register_function("Event", [] { return Event(); });
    self.register_function("Lock", [] { return Lock(); });
    self.register_function("RLock", [] { return RLock(); });
    self.register_function("Condition", [] { return Condition(); });
    self.register_function("Barrier", [](int parties) { return Barrier(parties); });
    self.register_function("Semaphore",
                           [](std::optional<int> n) { return Semaphore(n.value_or(1)); });
    self.register_function("BoundedSemaphore",
                           [](std::optional<int> n) { return BoundedSemaphore(n.value_or(1)); });
}

}  // namespace multiprocessing
