// multiprocessing/reduction/picklers/error_category.ipp
//
// How an error category is found by its name: see error_category.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/picklers/error_category.hpp"

#include <atomic>
#include <ios>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE const std::error_category* find_standard_category(
    const std::string& name) noexcept {
    for (const std::error_category* known :
         {&std::generic_category(), &std::system_category(), &std::iostream_category()}) {
        if (name == known->name()) return known;
    }
    return nullptr;
}

MULTIPROCESSING_INLINE const std::error_category& find_category(const std::string& name) {
    if (const auto* const known = find_standard_category(name)) return *known;
    throw ValueError("an error code of the category \"" + name +
                     "\" cannot travel: only the generic, system and iostream categories can");
}

/// Stands for a category of another process. It has that one's name, and knows the texts of the
/// codes that came from there. It is never destroyed. Its list of texts only grows, and has no
/// lock, which a fork could leave locked.
class ForeignCategory final : public std::error_category {
  public:
    explicit ForeignCategory(std::string name) : name_(std::move(name)) {}

    [[nodiscard]] const char* name() const noexcept override { return name_.c_str(); }
    [[nodiscard]] std::string message(int value) const override {
        const Text* const known = find(value);
        return known != nullptr ? known->text : name_ + " error " + std::to_string(value);
    }

    void learn(int value, const std::string& text) {
        if (find(value) != nullptr) return;
        auto* const fresh = new Text{value, text, texts_.load()};
        while (!texts_.compare_exchange_weak(fresh->next, fresh)) {
        }
    }

    ForeignCategory* next = nullptr;

  private:
    struct Text {
        int value;
        std::string text;
        Text* next;
    };
    [[nodiscard]] const Text* find(int value) const noexcept {
        for (const Text* text = texts_.load(); text != nullptr; text = text->next) {
            if (text->value == value) return text;
        }
        return nullptr;
    }

    const std::string name_;
    std::atomic<Text*> texts_{nullptr};
};

inline constinit std::atomic<ForeignCategory*> foreign_categories{nullptr};

MULTIPROCESSING_INLINE const std::error_category& category_by_name(const std::string& name,
                                                                   int value,
                                                                   const std::string& text) {
    if (const auto* const known = find_standard_category(name)) return *known;
    ForeignCategory* latest = foreign_categories.load();
    ForeignCategory* found = latest;
    while (found != nullptr && found->name() != name) found = found->next;
    if (found == nullptr) {
        found = new ForeignCategory(name);
        found->next = latest;
        while (!foreign_categories.compare_exchange_weak(found->next, found)) {
        }
    }
    found->learn(value, text);
    return *found;
}

}  // namespace multiprocessing::detail
