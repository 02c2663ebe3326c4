// multiprocessing/shared_memory/shareable_list.ipp
//
// How a ShareableList is made, read and written: see shareable_list.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/shareable_list.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "multiprocessing/detail/index.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/shared_memory/list_layout.hpp"

namespace multiprocessing::shared_memory {

MULTIPROCESSING_INLINE ShareableList::ShareableList(ShareableListOptions options)
    : shm_({.name = std::move(options.name)}), layout_(shm_.buf()) {}

MULTIPROCESSING_INLINE ShareableItem ShareableList::item(std::ptrdiff_t index) const {
    const std::size_t at = place(index);
    return layout_.read(shm_.buf(), at);
}

MULTIPROCESSING_INLINE std::string ShareableList::format() const {
    std::string all;
    for (std::size_t i = 0; i < size(); ++i) all += layout_.format(shm_.buf(), i).text();
    return all;
}

MULTIPROCESSING_INLINE std::string ShareableList::format(std::ptrdiff_t index) const {
    const std::size_t at = place(index);
    return layout_.format(shm_.buf(), at).text();
}

MULTIPROCESSING_INLINE std::size_t ShareableList::count(const ShareableItem& item) const {
    std::size_t count = 0;
    for (const ShareableItem& own : *this) count += own == item;
    return count;
}

MULTIPROCESSING_INLINE std::size_t ShareableList::index(const ShareableItem& item) const {
    for (std::size_t i = 0; i < size(); ++i) {
        if (layout_.read(shm_.buf(), i) == item) return i;
    }
    throw ValueError("the item is not in this container");
}

MULTIPROCESSING_INLINE ShareableList ShareableList::duplicate() const {
    ShareableList other;
    other.shm_ = shm_.duplicate();
    other.layout_ = layout_;
    return other;
}

MULTIPROCESSING_INLINE std::string text_of(const ShareableList& list) {
    const std::string name = detail::quoted(list.shm_.name());
    try {
        std::string text = "ShareableList(";
        detail::append_items(text, list);
        return text + ", name=" + name + ")";
    } catch (const ValueError&) {  // closed, or another program has damaged it
        return "<ShareableList name=" + name + " unreadable>";
    }
}

MULTIPROCESSING_INLINE ShareableList::ShareableList(ShareableListOptions options, Items items)
    : ShareableList(std::move(options), items, detail::ListLayout(items.all)) {}

MULTIPROCESSING_INLINE ShareableList::ShareableList(ShareableListOptions options, Items items,
                                                    detail::ListLayout layout)
    : shm_({.name = std::move(options.name), .create = true, .size = layout.size()}),
      layout_(std::move(layout)) {
    layout_.write(shm_.buf(), items.all);
}

MULTIPROCESSING_INLINE std::size_t ShareableList::place(std::ptrdiff_t index) const {
    return detail::checked_index(index, size());
}

MULTIPROCESSING_INLINE void ShareableList::replace(std::size_t place,
                                                   const ShareableItem& item) const {
    layout_.replace(shm_.buf(), place, item);
}

}  // namespace multiprocessing::shared_memory
