// multiprocessing/remote/pickle/source.hpp
//
// The bytes of a message while it is read, and the error for what is wrong with them. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail::pickles {

/// Takes a message apart from its begin to its end.
class Source {
  public:
    explicit Source(std::string_view message) noexcept : message_(message) {}

    [[nodiscard]] std::string_view message() const noexcept { return message_; }
    [[nodiscard]] std::size_t remaining() const noexcept { return message_.size() - at_; }
    /// Returns where the next byte is.
    [[nodiscard]] std::size_t position() const noexcept { return at_; }

    /// Throws the ValueError for a message that cannot be read. @param what why, as a clause
    [[noreturn]] void fail(std::string_view what) const;

    /// @{
    /// Takes so many bytes, the rest of a line, or a number. @throws ValueError behind the end
    std::string_view take(std::uint64_t size);
    std::string_view take_line();
    template <class Number>
    Number take_number();
    /// @}

  private:
    const std::string_view message_;
    std::size_t at_ = 0;
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/source.ipp"
