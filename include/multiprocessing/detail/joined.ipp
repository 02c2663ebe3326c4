// multiprocessing/detail/joined.ipp
//
// How the parts of a text are joined: see joined.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/joined.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

[[gnu::cold]] MULTIPROCESSING_INLINE void TextPart::append_to(std::string& text) const {
    if (!is_number_) {
        text += text_;
        return;
    }
    if (is_negative_) text += '-';
    text += std::to_string(is_negative_ ? 0 - number_ : number_);
}

[[gnu::cold, gnu::noinline]] MULTIPROCESSING_INLINE std::string joined(
    std::initializer_list<TextPart> parts) {
    std::string text;
    for (const TextPart& part : parts) part.append_to(text);
    return text;
}

}  // namespace multiprocessing::detail
