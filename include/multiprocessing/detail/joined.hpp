// multiprocessing/detail/joined.hpp
//
// Texts that are made of several parts, as messages are: joined({"pid ", 12, " has left"}). A sum
// of strings would be inlined, part by part, wherever there is a message. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace multiprocessing::detail {

/// A part of a text: a text that lives for as long as the part, or an integer.
class TextPart {
  public:
    TextPart(std::string_view text) noexcept : text_(text) {}
    TextPart(const std::string& text) noexcept : text_(text) {}
    TextPart(const char* text) noexcept : text_(text) {}
    TextPart(std::integral auto number) noexcept
        : is_number_(true), is_negative_(number < 0), number_(static_cast<std::uint64_t>(number)) {}

    void append_to(std::string& text) const;

  private:
    std::string_view text_;
    bool is_number_ = false;
    bool is_negative_ = false;
    std::uint64_t number_ = 0;
};

/// Returns the parts, one after the other.
std::string joined(std::initializer_list<TextPart> parts);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/joined.ipp"
#endif
