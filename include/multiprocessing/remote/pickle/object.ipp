// multiprocessing/remote/pickle/object.ipp
//
// How objects are made and taken apart, see object.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/object.hpp"

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/picklable.hpp"

namespace multiprocessing::pickle {

inline const detail::pickles::Tree& object::tree() const noexcept {
    static const detail::pickles::Tree none = [] {
        detail::pickles::Tree tree;
        tree.nodes.emplace_back();
        return tree;
    }();
    return tree_ != nullptr ? tree_->tree() : none;
}

inline object object::of(detail::pickles::Writer&& writer) {
    std::string pickle = std::move(writer).finish();
    auto tree = std::make_shared<const detail::pickles::OwnedTree>(std::move(pickle),
                                                                   std::move(writer.attached()));
    const detail::pickles::NodeNumber root = tree->tree().root;
    return {std::move(tree), root};
}

inline object object::container(detail::pickles::ValueKind kind, std::span<const object> items) {
    detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
    writer.begin(kind, items.size());
    for (const object& item : items) detail::pickles::write_value(writer, item);
    writer.end(kind, items.size());
    return of(std::move(writer));
}

inline object object::tuple(std::span<const object> items) {
    return container(detail::pickles::ValueKind::tuple, items);
}
inline object object::list(std::span<const object> items) {
    return container(detail::pickles::ValueKind::list, items);
}
inline object object::set(std::span<const object> items) {
    return container(detail::pickles::ValueKind::set, items);
}
inline object object::frozenset(std::span<const object> items) {
    return container(detail::pickles::ValueKind::frozenset, items);
}

inline object object::dict(std::span<const std::pair<object, object>> items) {
    std::vector<object> all;
    for (const auto& [key, value] : items) {
        all.push_back(key);
        all.push_back(value);
    }
    return container(detail::pickles::ValueKind::dict, all);
}

inline object object::bytearray(std::span<const std::byte> bytes) {
    detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
    writer.write_bytearray({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return of(std::move(writer));
}

inline object object::global(std::string_view module, std::string_view name) {
    detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
    writer.write_global(module, name);
    return of(std::move(writer));
}

inline object object::reduced(detail::pickles::Opcode how, const object& callee,
                              std::span<const object> arguments, const object& state) {
    detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
    callee.of_kind(detail::pickles::ValueKind::global, "a class");
    detail::pickles::write_value(writer, callee);
    detail::pickles::write_value(writer, tuple(arguments));
    writer.put(how);
    if (!state.is_none()) {
        detail::pickles::write_value(writer, state);
        writer.put(detail::pickles::Opcode::build);
    }
    return of(std::move(writer));
}

inline object object::call(const object& callee, std::span<const object> arguments,
                           const object& state) {
    return reduced(detail::pickles::Opcode::reduce, callee, arguments, state);
}
inline object object::make_new(const object& cls, std::span<const object> arguments,
                               const object& state) {
    return reduced(detail::pickles::Opcode::new_object, cls, arguments, state);
}

inline bool object::is_exception() const noexcept { return detail::pickles::is_exception(place()); }

inline std::string object::type_name() const {
    return detail::pickles::type_name_of(tree(), node());
}

inline const detail::pickles::Node& object::of_kind(detail::pickles::ValueKind kind,
                                                    std::string_view wanted) const {
    if (node().kind != kind) {
        throw TypeError("a pickle::object of type " + type_name() + " is not " +
                        std::string(wanted));
    }
    return node();
}

inline const detail::pickles::Node& object::with_items() const {
    if (!detail::pickles::has_children(node().kind) ||
        node().kind == detail::pickles::ValueKind::reduced) {
        throw TypeError("a pickle::object of type " + type_name() + " has no items");
    }
    return node();
}

inline object object::child(std::size_t index) const {
    return {tree_, tree().children_of(node())[index]};
}

inline std::size_t object::size() const {
    using enum detail::pickles::ValueKind;
    if (node().kind == text || node().kind == bytes ||
        node().kind == detail::pickles::ValueKind::bytearray) {
        return tree().bytes_of(node()).size();
    }
    const std::size_t count = with_items().children.count;
    return node().kind == detail::pickles::ValueKind::dict ? count / 2 : count;
}

inline object object::operator[](std::int64_t index) const {
    if (node().kind != detail::pickles::ValueKind::list) {
        of_kind(detail::pickles::ValueKind::tuple, "a tuple or list");
    }
    const auto count = static_cast<std::int64_t>(node().children.count);
    const std::int64_t from_begin = index < 0 ? index + count : index;
    if (from_begin < 0 || from_begin >= count) {
        throw IndexError("index " + std::to_string(index) + " of a pickle::object of " +
                         std::to_string(count) + " items");
    }
    return child(static_cast<std::size_t>(from_begin));
}

inline object object::at(const object& key) const {
    const auto children = tree().children_of(of_kind(detail::pickles::ValueKind::dict, "a dict"));
    for (std::size_t i = children.size(); i >= 2; i -= 2) {  // of equal keys the last one counts
        if (detail::pickles::compare(place().at(children[i - 2]), key.place()) == 0) {
            return child(i - 1);
        }
    }
    throw KeyError(text_of(key));
}

inline bool object::contains(const object& item) const {
    const auto children = tree().children_of(with_items());
    const std::size_t step = node().kind == detail::pickles::ValueKind::dict ? 2 : 1;
    for (std::size_t i = 0; i < children.size(); i += step) {
        if (detail::pickles::compare(place().at(children[i]), item.place()) == 0) return true;
    }
    return false;
}

inline std::vector<object> object::items() const {
    const auto children = tree().children_of(with_items());
    const std::size_t step = node().kind == detail::pickles::ValueKind::dict ? 2 : 1;
    std::vector<object> items;
    for (std::size_t i = 0; i < children.size(); i += step) items.push_back(child(i));
    return items;
}

inline std::vector<std::pair<object, object>> object::dict_items() const {
    const std::size_t count = of_kind(detail::pickles::ValueKind::dict, "a dict").children.count;
    std::vector<std::pair<object, object>> items;
    for (std::size_t i = 0; i < count; i += 2) items.emplace_back(child(i), child(i + 1));
    return items;
}

inline object object::callee() const {
    of_kind(detail::pickles::ValueKind::reduced, "made by a call");
    return child(0);
}
inline object object::arguments() const {
    of_kind(detail::pickles::ValueKind::reduced, "made by a call");
    return child(1);
}
inline object object::state() const {
    of_kind(detail::pickles::ValueKind::reduced, "made by a call");
    return child(2);
}

inline std::string object::global_name() const {
    const auto& global =
        detail::pickles::global_at(of_kind(detail::pickles::ValueKind::global, "a class").global);
    return std::string(global.module) + "." + std::string(global.name);
}

inline object object::from_archive(detail::InputArchive& archive) {
    auto [pickle, attached] = detail::pickles::read_pickle(archive);
    auto tree = std::make_shared<const detail::pickles::OwnedTree>(std::string(pickle),
                                                                   std::move(attached));
    const detail::pickles::NodeNumber root = tree->tree().root;
    return {std::move(tree), root};
}

}  // namespace multiprocessing::pickle
