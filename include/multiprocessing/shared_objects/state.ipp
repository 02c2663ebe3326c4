// multiprocessing/shared_objects/state.ipp
//
// How a shared object is made, frozen and destroyed: see state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_objects/state.hpp"

#include <dlfcn.h>

#include <atomic>
#include <boost/container/vector.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/reduction/functions/function_identity.hpp"
#include "multiprocessing/shared_objects/allocator.hpp"
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE FunctionPlace FunctionPlace::of(ContentDestroyer function) {
    const FunctionIdentity identity = identify(reinterpret_cast<const void*>(function));
    FunctionPlace place{identity.offset, identity.build_id, 0};
    if (!identity.image.empty()) {
        const std::size_t size = identity.image.size() + 1;
        void* const path = allocate(size);
        std::memcpy(path, identity.image.c_str(), size);
        place.library = heap().offset_of(path);
    }
    return place;
}

/// Destroys a vector whose elements have no destructor: it frees their block.
inline void destroy_vector(void* object) noexcept {
    std::destroy_at(
        static_cast<boost::container::vector<std::byte, allocator<std::byte>>*>(object));
}

MULTIPROCESSING_INLINE ContentDestroyer FunctionPlace::resolved() const noexcept {
    if (offset == 0) return nullptr;
    if (offset == of_vectors) return destroy_vector;
    try {
        std::string path;
        if (library != 0) {
            path = heap().at<char>(library);
            void* const loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
            if (loaded == nullptr) return nullptr;
            ::dlclose(loaded);  // dlopen has counted a use, with RTLD_NOLOAD too
        }
        return reinterpret_cast<ContentDestroyer>(resolve({path, build_id, offset}));
    } catch (...) {
        return nullptr;
    }
}

MULTIPROCESSING_INLINE Handle<ObjectState> ObjectState::make(std::size_t bytes,
                                                             std::size_t alignment) {
    const bool is_large = bytes >= 4 * system_page_size();
    auto state =
        make_with_trailing<ObjectState>(bytes + (is_large ? system_page_size() : alignment));
    // A large object has its pages to itself, so that they can be made read-only.
    state->content_at = static_cast<std::uint32_t>(place_behind_head(
        reinterpret_cast<std::uintptr_t>(state.get()), sizeof(ObjectState), bytes, alignment));
    return state;
}

MULTIPROCESSING_INLINE void ObjectState::set_destroyer(ContentDestroyer function) {
    try {
        destroyer = FunctionPlace::of(function);
    } catch (...) {
        function(content());
        throw;
    }
    collect_from_abroad();  // this program may be the only one that destroys such objects
}

MULTIPROCESSING_INLINE void ObjectState::freeze() {
    if (is_frozen()) return;
    lock();
    // release: pairs with is_frozen(), for those who read without the lock.
    frozen.store(1, std::memory_order_release);
    unlock();
}

MULTIPROCESSING_INLINE bool ObjectState::destroy() noexcept {
    if (destroyer.offset != 0 && !is_half_changed()) {
        const ContentDestroyer destroy_content = destroyer.resolved();
        if (destroy_content == nullptr) return false;
        destroy_content(content());
    }
    if (destroyer.library != 0) deallocate(heap().at(destroyer.library));
    return true;
}

MULTIPROCESSING_INLINE bool ObjectState::is_destroyable_here() const noexcept {
    return destroyer.offset == 0 || destroyer.resolved() != nullptr || is_half_changed();
}

MULTIPROCESSING_INLINE bool ObjectState::is_half_changed() const noexcept {
    if (word.is_abandoned()) return true;
    const ProcessId holder = word.holder();
    try {
        return holder && is_dead(holder, true);
    } catch (...) {
        return true;  // it cannot be found out
    }
}

MULTIPROCESSING_INLINE void throw_frozen() {
    throw ValueError("the shared object is frozen: it can only be read, through frozen()");
}

MULTIPROCESSING_INLINE void throw_not_frozen() {
    throw ValueError("the shared object is not frozen: call freeze() first, or read it under its "
                     "lock");
}

MULTIPROCESSING_INLINE void unlock_and_throw_frozen(ObjectState& state) {
    state.unlock();
    throw_frozen();
}

}  // namespace multiprocessing::detail
