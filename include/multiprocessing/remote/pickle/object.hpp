// multiprocessing/remote/pickle/object.hpp
//
// A value of any of Python's types that travel, for what is not known before it comes.
// Floor 9. Start at object. SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/remote/pickle/codec.hpp"
#include "multiprocessing/remote/pickle/containers.hpp"
#include "multiprocessing/remote/pickle/exceptions.hpp"
#include "multiprocessing/remote/pickle/products.hpp"
#include "multiprocessing/remote/pickle/repr.hpp"
#include "multiprocessing/remote/pickle/scalars.hpp"
#include "multiprocessing/remote/pickle/shared_names.hpp"

namespace multiprocessing::pickle {

/// A value of Python: None, bool, int, float, complex, str, bytes, bytearray, tuple, list, dict,
/// set, frozenset, an exception, or one of the few others that may travel (a manager's Token, a
/// slice, an array of numbers). It never changes. Copies, and the items of a container, share its
/// memory. It also travels through queues and pipes of a family, alone or within structs. There it
/// may also be, or hold, a Lock, a Queue<object> or another handle that Python knows; and a large
/// array that Python has put is a block of the heap, which is not copied.
///
///     mp::pickle::object reply = mp::pickle::loads<mp::pickle::object>(bytes);
///     if (reply.type_name() == "list") sum(reply.get<std::vector<double>>());
///     std::cout << reply << '\n';  // [1.0, 2.5]
class object {
  public:
    /// Makes None.
    object() noexcept : number_(0) {}

    /// Makes the Python value that a C++ value is: `object(std::vector{1, 2})` is `[1, 2]`.
    /// @throws ValueError for a text that is not UTF-8, and for what is nested too deeply
    template <class T>
        requires(!std::same_as<T, object> && !detail::pickles::known_to_python<T> &&
                 detail::pickles::travels<std::decay_t<const T&>>)
    object(const T& value);

    /// Makes what Python gets as an object of multiprocessing_cpp: a handle on a lock, a queue of
    /// objects, an array of numbers in shared memory. Such an object cannot leave the family.
    template <detail::pickles::known_to_python T>
    object(const T& handle) {
        using Name = detail::pickles::Passing<T>;
        detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
        writer.write_object(Name::kind, Name::item, handle.shared_handle());
        *this = of(std::move(writer));
    }

    /// @{
    /// Makes a container, or a bytearray. Of C++ types these are lists, dicts, sets, tuples, bytes.
    static object tuple(std::span<const object> items);
    static object tuple(std::initializer_list<object> items) { return tuple(std::span(items)); }
    static object list(std::span<const object> items);
    static object list(std::initializer_list<object> items) { return list(std::span(items)); }
    static object set(std::span<const object> items);
    static object set(std::initializer_list<object> items) { return set(std::span(items)); }
    static object frozenset(std::span<const object> items);
    static object frozenset(std::initializer_list<object> items) {
        return frozenset(std::span(items));
    }
    static object dict(std::span<const std::pair<object, object>> items);
    static object dict(std::initializer_list<std::pair<object, object>> items) {
        return dict(std::span(items));
    }
    static object bytearray(std::span<const std::byte> bytes);
    /// @}

    /// Makes a reference to a class or function of Python, as `multiprocessing.managers.Token`.
    /// @throws TypeError when it is not among those that travel
    static object global(std::string_view module, std::string_view name);

    /// Makes the object that Python gets when it calls `callee(*arguments)`, an exception for
    /// example.
    /// @param callee a global
    /// @param state what the object's `__setstate__` gets; None: nothing
    /// @throws TypeError when the callee is no global
    static object call(const object& callee, std::span<const object> arguments,
                       const object& state = {});
    /// Does the same for the arguments listed.
    static object call(const object& callee, std::initializer_list<object> arguments,
                       const object& state = {}) {
        return call(callee, std::span(arguments), state);
    }
    /// Makes the object that Python gets by `cls.__new__(cls, *arguments)`, as a Token is made.
    /// @throws as call
    static object make_new(const object& cls, std::span<const object> arguments,
                           const object& state = {});
    /// Does the same for the arguments listed.
    static object make_new(const object& cls, std::initializer_list<object> arguments,
                           const object& state = {}) {
        return make_new(cls, std::span(arguments), state);
    }

    /// Says whether it is None.
    [[nodiscard]] bool is_none() const noexcept {
        return node().kind == detail::pickles::ValueKind::none;
    }
    /// Says whether it is an exception. `get<std::exception_ptr>()` returns it.
    [[nodiscard]] bool is_exception() const noexcept;

    /// Returns the name of its type in Python: "NoneType", "int", "dict", "ValueError",
    /// "queue.Empty", "numpy.ndarray"; "type" for a class.
    [[nodiscard]] std::string type_name() const;

    /// Returns it as a C++ value, or as a handle that Python has put, as Lock. A RawArray of
    /// numbers is also made of an array of Python of one dimension. It has the array's own memory
    /// where that is a block of the heap, and the numbers are T's; else a copy.
    /// @throws TypeError when T does not take a value of its type
    /// @throws ValueError when it is an int that T cannot hold
    template <class T>
    [[nodiscard]] T get() const;

    /// Returns how many items a container has, characters apart: bytes of a text.
    /// @throws TypeError when it has no items
    [[nodiscard]] std::size_t size() const;

    /// Returns an item of a tuple or list; -1 is the last.
    /// @throws IndexError when there is none, TypeError when it is of another type
    [[nodiscard]] object operator[](std::int64_t index) const;

    /// Returns the value of a key of a dict.
    /// @throws KeyError when it has none, TypeError when it is no dict
    [[nodiscard]] object at(const object& key) const;

    /// Says whether a dict has a key, or a tuple, list or set an item.
    /// @throws TypeError when it has no items
    [[nodiscard]] bool contains(const object& item) const;

    /// Returns the items of a tuple, list or set, or the keys of a dict.
    /// @throws TypeError when it has none
    [[nodiscard]] std::vector<object> items() const;

    /// Returns the keys and values of a dict. @throws TypeError when it is no dict
    [[nodiscard]] std::vector<std::pair<object, object>> dict_items() const;

    /// @{
    /// Returns the parts of an object that a call makes: what is called, the tuple of its
    /// arguments, and the state.
    /// @throws TypeError when it is of another type
    [[nodiscard]] object callee() const;
    [[nodiscard]] object arguments() const;
    [[nodiscard]] object state() const;
    /// @}

    /// Returns the full name of a class or function: "multiprocessing.managers.Token".
    /// @throws TypeError when it is none
    [[nodiscard]] std::string global_name() const;

    /// Compares as Python's ==: 1 equals 1.0 and True, and the order of a dict's or set's items
    /// does not matter. Differs: nan equals itself, so that equal bytes are equal objects; an int
    /// beyond 64 bits equals no float.
    friend bool operator==(const object& a, const object& b) { return (a <=> b) == 0; }
    /// Any two values have an order, which is the same everywhere, so that they can be keys.
    friend std::strong_ordering operator<=>(const object& a, const object& b) {
        return detail::pickles::compare(a.place(), b.place());
    }

    /// Returns Python's repr. (A template, so that what converts to an object does not take it.)
    template <std::same_as<object> T>
    friend std::string text_of(const T& value) {
        std::string text;
        detail::pickles::append_repr(text, value.place());
        return text;
    }

    // --- for the library ---

    /// Makes the value that a part of a tree is.
    object(std::shared_ptr<const detail::pickles::OwnedTree> tree,
           detail::pickles::NodeNumber number) noexcept
        : tree_(std::move(tree)), number_(number) {}

    /// @{
    /// Return where its parts lie.
    [[nodiscard]] const detail::pickles::Tree& tree() const noexcept;
    [[nodiscard]] const detail::pickles::Node& node() const noexcept {
        return tree().at(tree_ != nullptr ? number_ : 0);  // what was moved away is None
    }
    [[nodiscard]] detail::pickles::Place place() const noexcept { return {tree(), node()}; }
    /// @}

    /// Notes what must live as long as the tree that it is a part of.
    void note_kept(std::vector<std::shared_ptr<const void>>& notes) const {
        if (tree_ == nullptr || tree_->kept() == nullptr) return;
        if (notes.empty() || notes.back() != tree_->kept()) notes.push_back(tree_->kept());
    }

    /// Writes it to a message of the family.
    template <class Archive>
    void archive_to(Archive& archive) const {
        detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
        writer.write(tree(), node());
        const std::string pickle = std::move(writer).finish();
        detail::pickles::write_pickle(archive, pickle, writer.attached());
    }
    /// Reads it from a message, as archive_to wrote it.
    static object from_archive(detail::InputArchive& archive);

  private:
    static object of(detail::pickles::Writer&& writer);
    static object container(detail::pickles::ValueKind kind, std::span<const object> items);
    static object reduced(detail::pickles::Opcode how, const object& callee,
                          std::span<const object> arguments, const object& state);
    template <class T>
    [[nodiscard]] T get_handle() const;
    [[nodiscard]] object child(std::size_t index) const;
    [[nodiscard]] const detail::pickles::Node& with_items() const;
    const detail::pickles::Node& of_kind(detail::pickles::ValueKind kind,
                                         std::string_view wanted) const;

    std::shared_ptr<const detail::pickles::OwnedTree> tree_;  // null: None
    detail::pickles::NodeNumber number_;
};

// The compiler searches only this namespace for it.
using multiprocessing::operator<<;

}  // namespace multiprocessing::pickle

namespace multiprocessing::detail::pickles {

template <class T>
struct Codec<T, Way::object> {
    using Elements = TypeList<>;
    static void write(Writer& writer, const object& value) {
        writer.write(value.tree(), value.node());
        if (kept_by_written != nullptr) value.note_kept(*kept_by_written);
    }
    static object read(Reader& reader, const Node& node) {
        const auto number = &node - reader.tree().nodes.data();
        return {reader.share(), static_cast<NodeNumber>(number)};
    }
};

/// Classes with to_pickle() and from_pickle().
template <class T>
struct Codec<T, Way::own> {
    using Elements = TypeList<>;
    static void write(Writer& writer, const T& value) { write_value(writer, value.to_pickle()); }
    static T read(Reader& reader, const Node& node) {
        return T::from_pickle(Codec<object>::read(reader, node));
    }
};

}  // namespace multiprocessing::detail::pickles

namespace multiprocessing::detail::pickles {

/// Makes a RawArray of an array of one dimension: of its block, or else a copy.
template <class A>
A raw_array_of(const ArrayView& array, const Tree& tree, const object& value) {
    using T = typename A::value_type;
    if (array.is_plain<T>()) {
        for (const Block& block : tree.attached.blocks) {
            if (block.bytes.data() != array.bytes.data()) continue;
            A made = A::from_shared_handle(block.handle);
            const bool is_same = reinterpret_cast<const char*>(made.data()) == block.bytes.data() &&
                                 made.size() * sizeof(T) == array.bytes.size();
            if (is_same) return made;
        }
    }
    return A(value.get<std::vector<T>>());
}

}  // namespace multiprocessing::detail::pickles

namespace multiprocessing::pickle {

template <class T>
    requires(!std::same_as<T, object> && !detail::pickles::known_to_python<T> &&
             detail::pickles::travels<std::decay_t<const T&>>)
object::object(const T& value) {
    detail::pickles::Writer writer(detail::pickles::Writer::Target::family);
    detail::pickles::write_value<std::decay_t<const T&>>(writer, value);
    *this = of(std::move(writer));
}

template <class T>
T object::get_handle() const {
    using Name = detail::pickles::Passing<T>;
    if constexpr (detail::pickles::is_raw_array<T>) {
        if (const auto array = detail::pickles::array_of(tree(), node())) {
            return detail::pickles::raw_array_of<T>(*array, tree(), *this);
        }
    }
    const bool is_shared =
        tree().is_made_by(node(), detail::pickles::family_module, detail::pickles::object_maker);
    if (is_shared) {
        const auto part = detail::pickles::shared_part_of(tree(), node());
        if (part.kind == Name::kind && part.item == Name::item) {
            return T::from_shared_handle(part.handle);
        }
    }
    throw TypeError("a pickle::object of type " + type_name() + " is not a " +
                    std::string(Name::kind) +
                    (Name::item.empty() ? "" : " of '" + std::string(Name::item) + "'"));
}

template <class T>
T object::get() const {
    if constexpr (detail::pickles::known_to_python<T>) {
        return get_handle<T>();
    } else if constexpr (!detail::pickles::travels<T>) {
        detail::pickles::require_travels<T>();
        std::abort();
    } else {
        detail::pickles::Reader reader(tree(), tree_);
        return reader.read<T>(node());
    }
}

}  // namespace multiprocessing::pickle

#include "multiprocessing/remote/pickle/object.ipp"
