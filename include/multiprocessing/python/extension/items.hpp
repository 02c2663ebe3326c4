// multiprocessing/python/extension/items.hpp
//
// Items of queues, dicts and lists in the module multiprocessing_cpp: a pickle, and what is
// attached to it, as a pickle::object of C++ has. In Python an item is bytes; or a tuple of bytes,
// blocks and objects. Floor 10. Start at Item. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/python/arrays.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/waiting.hpp"
#include "multiprocessing/remote/pickle/attached.hpp"
#include "multiprocessing/sharedctypes/raw_array.hpp"

namespace multiprocessing::detail::pythons::extension {

using pickles::Attached;
using pickles::Block;

/// What a queue, a dict or a list holds. It travels as a pickle::object does.
struct Item {
    std::string pickle;
    Attached attached;

    template <class Archive>
    void archive_to(Archive& archive) const {
        pickles::write_pickle(archive, pickle, attached);
    }
    static Item from_archive(InputArchive& archive) {
        auto read = pickles::read_pickle(archive);
        return {std::string(read.first), std::move(read.second)};
    }
};

// --- blocks ---

/// Access to the memory of an object of Python, byte by byte.
class Bytes {
  public:
    /// @throws Raised when it gives no access, or its bytes do not lie in a row
    explicit Bytes(Object* object) {
        constexpr int simple = 0;  // PyBUF_SIMPLE
        raising(api().PyObject_GetBuffer(object, &buffer_, simple));
    }
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;
    ~Bytes() { api().PyBuffer_Release(&buffer_); }

    [[nodiscard]] const std::byte* data() const noexcept {
        return static_cast<const std::byte*>(buffer_.buf);
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(buffer_.len);
    }

  private:
    Buffer buffer_{};
};

/// Makes a block of the bytes of an array, which another process then sees where they lie.
/// @param item how many bytes an element has
inline AnyHandle block_new(Object* array, std::int64_t item) {
    const Bytes bytes(array);
    if (item <= 0 || bytes.size() % static_cast<std::size_t>(item) != 0) {
        throw ValueError("the bytes of an array are no whole number of elements");
    }
    return without_gil([&] {
        const auto size = static_cast<std::size_t>(item);
        // Elements of an odd size, as texts are, need no alignment.
        const bool is_aligned = size <= 16 && (size & (size - 1)) == 0;
        const auto state = is_aligned ? RawArrayState::make_to_fill(bytes.size() / size, size)
                                      : RawArrayState::make_to_fill(bytes.size(), 1);
        copy_bytes(state->elements(), bytes.data(), bytes.size());
        return state.any();
    });
}

// --- items from Python ---

inline Attached taken_attached(Object* blocks, Object* objects) {
    Attached attached;
    const ssize_t block_count = api().PyList_Size(blocks);
    raising(block_count < 0 ? -1 : 0);
    for (ssize_t i = 0; i < block_count; ++i) {
        Object* const pair = api().PyList_GetItem(blocks, i);
        AnyHandle& handle = handle_in(api().PyTuple_GetItem(pair, 0));
        auto& state = static_cast<RawArrayState&>(*handle.object());
        const auto size = Argument<std::int64_t>::take(api().PyTuple_GetItem(pair, 1));
        attached.blocks.push_back(
            {handle,
             {reinterpret_cast<const char*>(state.elements()), static_cast<std::size_t>(size)}});
    }
    const ssize_t object_count = api().PyList_Size(objects);
    raising(object_count < 0 ? -1 : 0);
    for (ssize_t i = 0; i < object_count; ++i) {
        attached.objects.push_back(handle_in(api().PyList_GetItem(objects, i)));
    }
    return attached;
}

/// An item that Python has, which keeps its bytes.
struct ItemView {
    std::string_view pickle;
    Attached attached;
};
template <>
struct Argument<ItemView> {
    static ItemView take(Object* object) {
        if ((api().PyType_GetFlags(Reference(api().PyObject_Type(object)).get()) &
             tuple_subclass) == 0) {
            return {Argument<std::string_view>::take(object), {}};
        }
        const auto part = [&](ssize_t place) { return api().PyTuple_GetItem(object, place); };
        return {Argument<std::string_view>::take(part(0)), taken_attached(part(1), part(2))};
    }
};
template <>
struct Argument<Item> {
    static Item take(Object* object) {
        ItemView view = Argument<ItemView>::take(object);
        return {std::string(view.pickle), std::move(view.attached)};
    }
};

// --- items to Python ---

inline Reference result(const Block& block) {
    return make_view(std::as_bytes(std::span(block.bytes)), 'B', false,
                     std::make_shared<AnyHandle>(block.handle));
}
template <class T>
Reference result(const std::vector<T>& items);

inline Reference result(const ItemView& item) {
    if (item.attached.empty()) return result(item.pickle);
    Reference tuple = raising(api().PyTuple_New(3));
    const auto set = [&](ssize_t place, Reference part) {
        raising(api().PyTuple_SetItem(tuple.get(), place, part.release()));
    };
    set(0, result(item.pickle));
    set(1, result(item.attached.blocks));
    set(2, result(item.attached.objects));
    return tuple;
}
inline Reference result(const Item& item) { return result(ItemView{item.pickle, item.attached}); }

template <class T>
Reference result(const std::vector<T>& items) {
    Reference list = raising(api().PyList_New(static_cast<ssize_t>(items.size())));
    for (std::size_t i = 0; i < items.size(); ++i) {
        raising(
            api().PyList_SetItem(list.get(), static_cast<ssize_t>(i), result(items[i]).release()));
    }
    return list;
}

}  // namespace multiprocessing::detail::pythons::extension
