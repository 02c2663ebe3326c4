// multiprocessing/remote/pickle/utf8.hpp
//
// Python's texts are UTF-8 on the wire. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail::pickles {

/// Says whether the bytes are UTF-8, as Python and RFC 3629 have it: no overlong forms, no
/// surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view bytes) noexcept;

/// Appends what `text.encode('latin-1')` is in Python. @pre is_utf8(text)
/// @returns false when a character is beyond U+00FF
bool append_latin1(std::string& bytes, std::string_view text);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/utf8.ipp"
