// multiprocessing/python/extension/queues.hpp
//
// The queues of the module multiprocessing_cpp. An item is a pickle, as in a Queue<pickle::object>
// of C++. Floor 10. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/items.hpp"
#include "multiprocessing/python/extension/waiting.hpp"
#include "multiprocessing/queues/queue_state.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail::pythons::extension {

inline Handle<QueueState> queue_new(std::int64_t maxsize) {
    const bool has_bound = maxsize > 0 && maxsize <= INT32_MAX;
    return make_shared_object<QueueState>(has_bound ? static_cast<int>(maxsize) : 0);
}

/// Puts an item. @returns whether there was room in time
inline bool put_item(QueueState& queue, const OutgoingItem& item, bool block, Timeout timeout) {
    // What need not wait needs neither a clock nor another thread of Python in between.
    if (queue.put(item, false, Timeout())) return true;
    return block && wait_for(timeout, [&](Timeout time) { return queue.put(item, true, time); });
}

inline bool queue_put(QueueState& queue, ItemView view, bool block, Timeout timeout) {
    const std::string_view pickle = view.pickle;
    const std::uint64_t size = pickle.size();
    if (view.attached.empty() && sizeof(size) + pickle.size() <= largest_inline) {
        alignas(8) std::byte bytes[largest_inline];
        std::memcpy(bytes, &size, sizeof(size));
        std::memcpy(bytes + sizeof(size), pickle.data(), pickle.size());
        const auto head = RecordHead::make(RecordKind::bytes, sizeof(size) + pickle.size());
        return put_item(queue, {head, bytes}, block, timeout);
    }
    Payload payload = without_gil([&] {
        PayloadBuilder message;
        pickles::write_pickle(message.archive(), pickle, view.attached);
        return Payload(message.finish());
    });
    const Offset offset = heap().offset_of(payload.get());
    const auto head = RecordHead::make(RecordKind::payload, sizeof(offset));
    const bool done = put_item(queue, {head, &offset}, block, timeout);
    if (done) static_cast<void>(payload.release());  // whoever takes the item frees it
    return done;
}

/// Returns the item of a message, as Python has it.
inline Reference item_in(InputArchive& message) {
    auto read = pickles::read_pickle(message);
    return result(ItemView{read.first, std::move(read.second)});
}

/// From so many bytes on a pickle is read where it lies: a copy would cost more.
inline constexpr std::size_t read_in_place = std::size_t{16} << 10;

/// Ends the use of a memoryview, whoever still refers to it.
inline void end_view(Object* view) noexcept {
    const Reference method(api().PyObject_GetAttrString(view, "release"));
    const Reference done(method ? call_object(method.get()) : nullptr);
    if (!done) api().PyErr_Clear();
}

/// Reads a large pickle where it lies. @returns a tuple of the value alone
inline Reference read_there(std::string_view pickle, Object* loads) {
    const Reference view = raising(api().PyMemoryView_FromMemory(
        const_cast<char*>(pickle.data()), static_cast<ssize_t>(pickle.size()), read_access));
    Reference value = Reference(call_object(loads, view.get()));
    if (!value) {
        // The traceback may keep the view, which must not be used when the pickle is gone.
        Object* error[3] = {};
        api().PyErr_Fetch(&error[0], &error[1], &error[2]);
        end_view(view.get());
        api().PyErr_Restore(error[0], error[1], error[2]);
        throw Raised();
    }
    end_view(view.get());
    Reference tuple = raising(api().PyTuple_New(1));
    raising(api().PyTuple_SetItem(tuple.get(), 0, value.release()));
    return tuple;
}

/// Takes an item. @param loads what makes a value of a pickle, see read_there
/// @returns nothing when there was none in time
inline std::optional<Reference> queue_get(QueueState& queue, bool block, Timeout timeout,
                                          Object* loads) {
    std::byte bytes[largest_inline];
    IncomingItem item{{}, bytes};
    const bool done =
        queue.get(item, false, Timeout()) ||
        (block && wait_for(timeout, [&](Timeout time) { return queue.get(item, true, time); }));
    if (!done) return std::nullopt;
    if (item.head.kind() == RecordKind::bytes) {
        InputArchive message(item.bytes.first(item.head.size()));
        return item_in(message);
    }
    Offset offset = 0;
    std::memcpy(&offset, bytes, sizeof(offset));
    const Payload payload(heap().at(offset));
    PayloadReader message(payload.get());
    auto read = pickles::read_pickle(message.archive());
    if (read.second.empty() && read.first.size() >= read_in_place) {
        return read_there(read.first, loads);
    }
    return result(ItemView{read.first, std::move(read.second)});
}

inline std::uint64_t queue_size(QueueState& queue) { return queue.size(); }
inline bool queue_full(QueueState& queue) { return queue.is_full(); }
inline std::uint64_t queue_maxsize(QueueState& queue) { return queue.maxsize; }
inline void queue_shutdown(QueueState& queue, bool immediate) {
    without_gil([&] { queue.shut_down(immediate); });
}
inline bool queue_task_done(QueueState& queue) { return queue.task_done(); }
inline bool queue_join(QueueState& queue, Timeout timeout) {
    return wait_for(timeout, [&](Timeout time) { return queue.join(Deadline(time)); });
}

}  // namespace multiprocessing::detail::pythons::extension
