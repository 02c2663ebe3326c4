// Who is killed anywhere in an operation of a ShareableList leaves the old item, the new one or, of
// a long text or another type, None; and all others.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/shared_memory.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using mp::shared_memory::ShareableItem;
using mp::shared_memory::ShareableList;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

const std::vector<ShareableItem> items{
    1, std::string("a text of some length"), 2.5, true, std::nullopt, std::string("short")};

std::shared_ptr<ShareableList> new_list() {
    auto list = std::make_shared<ShareableList>(items);
    list->shm().unlink();  // those who have it keep it
    return list;
}

/// An item is replaced.
/// @param with_none whether it may be None meanwhile
Trial replace(std::size_t place, const ShareableItem& next, bool with_none) {
    const auto list = new_list();
    const auto index = static_cast<std::ptrdiff_t>(place);
    return {.operation = [=] { (*list)[index] = next; },
            .check =
                [=] {
                    const ShareableItem found = list->item(index);
                    const bool is_none = found == ShareableItem(std::nullopt);
                    expect(found == items[place] || found == next || (with_none && is_none),
                           "neither the old item nor the new one");
                    for (std::size_t i = 0; i < items.size(); ++i) {
                        expect(i == place || list->item(static_cast<std::ptrdiff_t>(i)) == items[i],
                               "another item has changed");
                    }
                    (*list)[index] = next;
                    expect(list->item(index) == next, "the item does not change");
                }};
}

Trial read(const std::function<void(const ShareableList&)>& operation) {
    const auto list = new_list();
    return {.operation = [=] { operation(*list); },
            .check =
                [=] {
                    for (std::size_t i = 0; i < items.size(); ++i) {
                        expect(list->item(static_cast<std::ptrdiff_t>(i)) == items[i],
                               "an item has changed");
                    }
                }};
}

const Row rows[] = {
    {"list[i] = integer", [] { return replace(0, 7, false); }},
    {"list[i] = number", [] { return replace(2, 7.5, false); }},
    {"list[i] = bool", [] { return replace(3, false, false); }},
    {"list[i] = None", [] { return replace(0, std::nullopt, false); }},
    {"list[i] = what was None", [] { return replace(4, 7, true); }},
    {"list[i] = short text", [] { return replace(5, std::string("other"), false); }},
    {"list[i] = long text", [] { return replace(1, std::string("another text, as long"), true); }},
    {"list[i] = another type", [] { return replace(0, 7.5, true); }},
    {"list[i] = text, another type", [] { return replace(5, 7, true); }},
    {"list[i], integer", [] { return read([](const auto& l) { (void)l.item(0); }); }},
    {"list[i], text", [] { return read([](const auto& l) { (void)l.item(1); }); }},
    {"list.count", [] { return read([](const auto& l) { (void)l.count(2.5); }); }},
    {"list.index", [] { return read([](const auto& l) { (void)l.index(2.5); }); }},
    {"list.format", [] { return read([](const auto& l) { (void)l.format(); }); }},
};

}  // namespace

TEST_CASE("Who is killed in an operation of a ShareableList leaves items that can be read",
          "[steps]") {
    stepkill::kill_everywhere(rows);
}
