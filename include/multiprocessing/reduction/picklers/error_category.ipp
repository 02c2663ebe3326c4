// multiprocessing/reduction/picklers/error_category.ipp
//
// How an error category is found by its name: see error_category.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/picklers/error_category.hpp"

#include <atomic>
#include <ios>
#include <memory>
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

/// Returns the category of that name among those from `first` on, up to `end`; null: none has it.
MULTIPROCESSING_INLINE ForeignCategory* find_foreign_category(const std::string& name,
                                                              ForeignCategory* first,
                                                              const ForeignCategory* end) noexcept {
    while (first != end && first->name() != name) first = first->next;
    return first != end ? first : nullptr;
}

/// Returns the category of that name, which is made if there is none. Codes are equal only when
/// their categories are the same object, so there is never a second one of a name.
MULTIPROCESSING_INLINE ForeignCategory& foreign_category(const std::string& name) {
    ForeignCategory* latest = foreign_categories.load();
    if (auto* const found = find_foreign_category(name, latest, nullptr)) return *found;
    auto fresh = std::make_unique<ForeignCategory>(name);
    for (;;) {
        fresh->next = latest;
        if (foreign_categories.compare_exchange_weak(latest, fresh.get())) return *fresh.release();
        // Another thread has added one, perhaps of this name.
        if (auto* const found = find_foreign_category(name, latest, fresh->next)) return *found;
    }
}

MULTIPROCESSING_INLINE const std::error_category& category_by_name(const std::string& name,
                                                                   int value,
                                                                   const std::string& text) {
    if (const auto* const known = find_standard_category(name)) return *known;
    ForeignCategory& category = foreign_category(name);
    category.learn(value, text);
    return category;
}

}  // namespace multiprocessing::detail
