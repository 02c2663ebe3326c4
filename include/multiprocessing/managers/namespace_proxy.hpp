// multiprocessing/managers/namespace_proxy.hpp
//
// NamespaceProxy: named values of any types that the processes of a family share. Mirrors CPython
// Lib/multiprocessing/managers.py, Namespace. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/content.hpp"
#include "multiprocessing/managers/dict_state.hpp"
#include "multiprocessing/managers/key.hpp"
#include "multiprocessing/managers/word.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing {
namespace detail {

/// The type that a value is kept as. A string literal is kept as a std::string.
template <class T>
using KeptType = std::conditional_t<!std::same_as<std::decay_t<T>, std::string> &&
                                        std::convertible_to<const T&, std::string_view>,
                                    std::string, std::decay_t<T>>;

}  // namespace detail

/// Named values in shared memory, each of a type of its own. The object is a handle.
///
///     auto ns = manager.Namespace();
///     ns.set("rate", 0.5);
///     double rate = ns.get<double>("rate");
///
/// @par Processes One that is killed in the middle of a call leaves the value as it was before it
/// @par Source CPython Lib/multiprocessing/managers.py, Namespace, NamespaceProxy
class NamespaceProxy {
    using Lock = detail::ContainerLock<detail::DictState>;

  public:
    /// Makes an empty proxy. Assign to it first: before that each use throws ValueError.
    NamespaceProxy() = default;

    /// Sets a value. Its type is T, or std::string for what converts to a std::string_view.
    template <class T>
    void set(const std::string& name, const T& value) const {
        using Kept = detail::KeptType<T>;
        store(name, encode<Kept>(static_cast<const Kept&>(value)));
    }

    /// Returns a value.
    /// @throws KeyError when there is none of that name
    /// @throws TypeError when it is of another type; the message names both types
    template <class T>
    [[nodiscard]] T get(const std::string& name) const {
        const detail::EncodedKey<std::string> key(name);
        detail::ReadMessage<> value;
        if (!state().read(key, value)) throw key.error();
        return value.with_archive(
            [&](detail::InputArchive& archive) { return decode<T>(name, archive); });
    }

    /// Says whether the attribute is there.
    [[nodiscard]] bool has(const std::string& name) const;

    /// Takes a value out. @throws KeyError when there is none of that name
    void del(const std::string& name) const;

    /// Returns the names, in the order in which they were first set.
    [[nodiscard]] std::vector<std::string> names() const;

    /// Two proxies are equal when they are proxies of the same namespace.
    friend bool operator==(const NamespaceProxy& a, const NamespaceProxy& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: makes a proxy of a new namespace, whose names and values are blobs.
    explicit NamespaceProxy(detail::Handle<detail::DictState> names) noexcept
        : handle_(std::move(names)) {}
    /// For the library: returns the handle that travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: returns the message of a value, with a count. It begins with the
    /// fingerprint and the name of its type. @throws KeyError when there is none of that name
    [[nodiscard]] detail::OwnedWord read(const std::string& name) const {
        const detail::EncodedKey<std::string> key(name);
        const Lock lock(state());
        const detail::DictEntry* const entry = state().find(key);
        if (entry == nullptr) throw key.error();
        return detail::OwnedWord::copy_of(entry->value.load(std::memory_order_relaxed), true);
    }
    /// For the library: sets the message of a value.
    void store(const std::string& name, detail::OwnedWord word) const;
    /// For the library: makes a proxy of a handle that has arrived.
    static NamespaceProxy from_shared_handle(detail::AnyHandle handle) {
        return NamespaceProxy(std::move(handle));
    }

    // A template, so that only programs that print compile how all these types are read.
    template <std::same_as<NamespaceProxy> Proxy>
    friend std::string text_of(const Proxy& space) {
        return space.template text<bool, char, int, unsigned, long, unsigned long, long long,
                                   unsigned long long, float, double, std::string>();
    }

  private:
    explicit NamespaceProxy(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    [[nodiscard]] detail::DictState& state() const { return *handle_; }

    [[noreturn, gnu::cold]] static void throw_wrong_type(const std::string& name,
                                                         const std::string& type,
                                                         std::string_view asked);

    /// Returns `Namespace(rate=0.5)`, as str(ns) in Python.
    /// @tparam Printed the types whose values are printed; of others the type is
    template <class... Printed>
    [[nodiscard]] std::string text() const {
        std::vector<detail::DictState::Words> words;
        if (const auto why = state().glance(words); !why.empty()) {
            return detail::unseen_text("NamespaceProxy", "Namespace", &state(), why);
        }
        std::string text;
        detail::ItemsText items(text, "Namespace(");
        for (const auto& [key, value] : words) {
            if (!items.next()) break;
            text += detail::decode<std::string>(key.get()) + "=";
            append_value<Printed...>(text, value.get());
        }
        items.end(")");
        return text;
    }
    template <class... Printed>
    static void append_value(std::string& text, std::uint64_t word) {
        detail::PayloadReader reader(detail::heap().at<detail::Blob>(word)->payload());
        reader.archive().keep_message();
        const auto fingerprint = reader.archive().template read<std::uint64_t>();
        const auto type = reader.archive().template read<std::string>();
        const auto append_if_it_is = [&]<class T>(const T*) {
            if (fingerprint != detail::type_fingerprint<T>()) return false;
            detail::append_repr(text, reader.archive().template read<T>());
            return true;
        };
        if (!(append_if_it_is(static_cast<const Printed*>(nullptr)) || ...)) {
            text += "<" + type + " object>";
        }
    }

    /// A value travels behind the fingerprint and the name of its type.
    template <class T>
    static detail::OwnedWord encode(const T& value) {
        detail::PayloadBuilder builder(sizeof(detail::Blob));
        builder.archive()(detail::type_fingerprint<T>(), std::string(detail::type_name<T>()),
                          value);
        return {detail::heap().offset_of(&detail::Blob::make(builder)), true};
    }
    template <class T>
    static T decode(const std::string& name, detail::InputArchive& archive) {
        const auto fingerprint = archive.template read<std::uint64_t>();
        const auto type = archive.template read<std::string>();
        if (fingerprint != detail::type_fingerprint<T>()) {
            throw_wrong_type(name, type, detail::type_name<T>());
        }
        return archive.template read<T>();
    }

    detail::Handle<detail::DictState> handle_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/namespace_proxy.ipp"
#endif
