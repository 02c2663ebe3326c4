// multiprocessing/remote/managers/message_stream.ipp
//
// How messages are read ahead: see message_stream.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/message_stream.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "multiprocessing/connection/read_array.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

inline bool MessageStream::read_ahead(std::size_t wanted) {
    if (wanted > buffer_.size() - begin_) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= std::exchange(begin_, 0);
    }
    while (end_ - begin_ < wanted) {
        const std::size_t got = read_some_soon(stream_, std::span(buffer_).subspan(end_), waiting_);
        if (got == 0) return false;
        end_ += got;
    }
    return true;
}

inline std::string MessageStream::receive() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (!read_ahead(PythonHeader::short_size)) {
        if (begin_ == end_) throw EOFError("the other end of the connection is closed");
        throw_cut_off();
    }
    std::size_t header = PythonHeader::short_size;
    std::optional<std::uint64_t> size = PythonHeader::read(ahead().first(header));
    if (!size) {
        header = PythonHeader::long_size;
        if (!read_ahead(header)) throw_cut_off();
        size = PythonHeader::read(ahead());
    }
    begin_ += header;
    return receive_body(static_cast<std::size_t>(*size));
}

inline std::string MessageStream::receive_body(std::size_t size) {
    const auto beginning = ahead().first((std::min)(size, end_ - begin_));
    std::string body = beginning.size() == size
                           ? std::string(reinterpret_cast<const char*>(beginning.data()), size)
                           : read_array<std::string>(stream_, size, beginning);
    begin_ += beginning.size();
    return body;
}

}  // namespace multiprocessing::detail
