// multiprocessing/detail/sanitizers.hpp
//
// What ThreadSanitizer has to be told. In other builds this does nothing and costs nothing. Floor
// 0. SPDX-License-Identifier: MIT
#pragma once

#if defined(__SANITIZE_THREAD__)
#define MULTIPROCESSING_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MULTIPROCESSING_THREAD_SANITIZER 1
#endif
#endif

#ifdef MULTIPROCESSING_THREAD_SANITIZER
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace multiprocessing::detail {

#ifdef MULTIPROCESSING_THREAD_SANITIZER
constexpr bool thread_sanitizer = true;
#else
constexpr bool thread_sanitizer = false;
#endif

/// Notes that this thread has done with `memory`. Another process may give it to any thread of this
/// process. The sanitizer does not see what the processes do in between.
inline void note_given_away([[maybe_unused]] void* memory) noexcept {
#ifdef MULTIPROCESSING_THREAD_SANITIZER
    __tsan_release(memory);
#endif
}
/// Notes that `memory` has come from another thread or process. @returns memory
template <class T>
T* note_taken_over(T* memory) noexcept {
#ifdef MULTIPROCESSING_THREAD_SANITIZER
    __tsan_acquire(const_cast<void*>(static_cast<const volatile void*>(memory)));
#endif
    return memory;
}

}  // namespace multiprocessing::detail
