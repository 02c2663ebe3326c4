// multiprocessing/pool/insight/report_text.ipp
//
// How texts and numbers are written in a report: see report_text.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/report_text.hpp"

#include <cstddef>
#include <cstdio>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::string html_text(std::string_view text) {
    std::string html;
    for (const char c : text) {
        switch (c) {
            case '&':
                html += "&amp;";
                break;
            case '<':
                html += "&lt;";
                break;
            case '>':
                html += "&gt;";
                break;
            case '"':
                html += "&quot;";
                break;
            case '\'':
                html += "&#39;";
                break;
            default:
                html += c;
        }
    }
    return html;
}

MULTIPROCESSING_INLINE std::string json_text(std::string_view text) {
    std::string json = "\"";
    for (const char c : text) {
        const bool is_plain = static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' &&
                              c != '<' && c != '>' && c != '&';
        if (is_plain) {
            json += c;
        } else {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c) & 0xFF);
            json += code;
        }
    }
    return json + '"';
}

MULTIPROCESSING_INLINE std::string count_text(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
    return text;
}

/// A unit of time or memory. They stand by size; the last one ends the list.
struct ReportUnit {
    double size;
    const char* name;
};
/// Returns a number with three digits in the largest unit that it reaches.
[[gnu::cold]] MULTIPROCESSING_INLINE std::string amount_text(double amount,
                                                             const ReportUnit* units) {
    while (amount < units->size && units->size > units[1].size) ++units;
    const double number = amount / units->size;
    const int decimals = number >= 100 ? 0 : number >= 10 ? 1 : 2;
    return std::string(FixedText(number, decimals).text) + " " + units->name;
}

MULTIPROCESSING_INLINE std::string seconds_text(double seconds) {
    static constexpr ReportUnit units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-6, ""}};
    return amount_text(seconds, units);
}

MULTIPROCESSING_INLINE std::string memory_text(std::uint64_t bytes) {
    static constexpr ReportUnit units[] = {
        {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}, {0x1p10, ""}};
    return bytes == 0 ? "–" : amount_text(static_cast<double>(bytes), units);
}

}  // namespace multiprocessing::detail
