// multiprocessing/python/extension/binding.hpp
//
// How functions of C++ become functions of the module multiprocessing_cpp: what they take and
// return, and how an exception of C++ becomes one of Python. Floor 10. Start at bound.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/python/interpreter.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail::pythons::extension {

/// Thrown when Python has raised an exception, which is still set there.
struct Raised {};

/// The module's classes of exceptions, by name. Its code in Python makes it, see source.hpp.
inline Object* exceptions = nullptr;

/// Returns an object that a function of Python has returned. @throws Raised
inline Reference raising(Object* owned) {
    if (owned == nullptr) throw Raised();
    return Reference(owned);
}
inline void raising(int result) {
    if (result < 0) throw Raised();
}

/// Raises an exception of one of those classes in Python.
inline void set_exception(const char* name, const char* text) noexcept {
    api().PyErr_SetString(api().PyDict_GetItemString(exceptions, name), text);
}

/// Raises an OSError in Python.
inline void set_os_error(const std::system_error& error) noexcept {
    Object* const type = api().PyDict_GetItemString(exceptions, "OSError");
    const Reference number(api().PyLong_FromLongLong(error.code().value()));
    const Reference text(api().PyUnicode_FromStringAndSize(
        error.what(), static_cast<ssize_t>(std::string_view(error.what()).size())));
    const Reference made(text ? call_object(type, number.get(), text.get()) : nullptr);
    if (made) api().PyErr_SetObject(type, made.get());
}

/// Raises in Python what was thrown. @pre it is called in a handler, with the Gil
inline void pass_exception() noexcept {
    try {
        throw;
    } catch (const Raised&) {
    } catch (const AbandonedError& error) {
        set_exception("AbandonedError", error.what());
    } catch (const ShutDown& error) {
        set_exception("ShutDown", error.what());
    } catch (const BrokenBarrierError& error) {
        set_exception("BrokenBarrierError", error.what());
    } catch (const KeyError& error) {
        set_exception("KeyError", error.what());
    } catch (const IndexError& error) {
        set_exception("IndexError", error.what());
    } catch (const TypeError& error) {
        set_exception("TypeError", error.what());
    } catch (const ValueError& error) {
        set_exception("ValueError", error.what());
    } catch (const AssertionError& error) {
        set_exception("AssertionError", error.what());
    } catch (const std::bad_alloc&) {
        set_exception("MemoryError", "the family's heap is full");
    } catch (const std::system_error& error) {
        set_os_error(error);
    } catch (const std::exception& error) {
        set_exception("RuntimeError", error.what());
    } catch (...) {
        set_exception("RuntimeError", "an exception of C++");
    }
}

// --- arguments ---

inline constexpr const char* capsule_name = "multiprocessing_cpp.handle";

/// Makes an object of a counted handle, as the module's code in Python keeps it.
inline Reference make_capsule(AnyHandle handle) {
    auto* const kept = new AnyHandle(std::move(handle));
    Object* const capsule = api().PyCapsule_New(kept, capsule_name, [](Object* ended) {
        delete static_cast<AnyHandle*>(api().PyCapsule_GetPointer(ended, capsule_name));
    });
    if (capsule == nullptr) delete kept;
    return raising(capsule);
}
inline AnyHandle& handle_in(Object* capsule) {
    void* const kept = api().PyCapsule_GetPointer(capsule, capsule_name);
    if (kept == nullptr) throw Raised();
    return *static_cast<AnyHandle*>(kept);
}

/// How an argument becomes a T. (The callers are in source.hpp: the classes are the right ones.)
template <class T>
struct Argument;

template <class State>
    requires std::derived_from<State, SharedObject>
struct Argument<State&> {
    static State& take(Object* object) { return static_cast<State&>(*handle_in(object).object()); }
};
template <>
struct Argument<const AnyHandle&> {
    static const AnyHandle& take(Object* object) { return handle_in(object); }
};
/// None is no handle.
template <>
struct Argument<AnyHandle> {
    static AnyHandle take(Object* object) {
        return object == api().None ? AnyHandle() : handle_in(object);
    }
};
template <>
struct Argument<Object*> {
    static Object* take(Object* object) { return object; }
};
template <>
struct Argument<bool> {
    static bool take(Object* object) {
        const int value = api().PyObject_IsTrue(object);
        raising(value);
        return value != 0;
    }
};
template <>
struct Argument<std::int64_t> {
    static std::int64_t take(Object* object) {
        const long long value = api().PyLong_AsLongLong(object);
        if (value == -1 && api().PyErr_Occurred() != nullptr) throw Raised();
        return value;
    }
};
/// The bytes live as long as the call.
template <>
struct Argument<std::string_view> {
    static std::string_view take(Object* object) {
        char* bytes = nullptr;
        ssize_t size = 0;
        raising(api().PyBytes_AsStringAndSize(object, &bytes, &size));
        return {bytes, static_cast<std::size_t>(size)};
    }
};
template <>
struct Argument<std::string> {
    static std::string take(Object* object) {
        return std::string(Argument<std::string_view>::take(object));
    }
};
/// None waits for ever; else it is a number of seconds.
template <>
struct Argument<Timeout> {
    static Timeout take(Object* object) {
        if (object == api().None) return {};
        const double seconds = api().PyFloat_AsDouble(object);
        if (seconds == -1 && api().PyErr_Occurred() != nullptr) throw Raised();
        return Timeout(seconds);
    }
};

// --- results ---

inline Reference result(Reference object) { return object; }
inline Reference result(bool value) { return Reference::to(value ? api().True : api().False); }
template <std::integral Number>
    requires(!std::same_as<Number, bool>)
Reference result(Number number) {
    if constexpr (std::is_signed_v<Number>) return raising(api().PyLong_FromLongLong(number));
    return raising(api().PyLong_FromUnsignedLongLong(static_cast<unsigned long long>(number)));
}
inline Reference result(double number) { return raising(api().PyFloat_FromDouble(number)); }
inline Reference result(std::string_view bytes) {
    return raising(
        api().PyBytes_FromStringAndSize(bytes.data(), static_cast<ssize_t>(bytes.size())));
}
inline Reference result(const std::string& bytes) { return result(std::string_view(bytes)); }
inline Reference result(AnyHandle handle) { return make_capsule(std::move(handle)); }
template <class State>
Reference result(const Handle<State>& handle) {
    return make_capsule(handle.any());
}
template <class T>
Reference result(std::optional<T> value) {
    return value ? result(std::move(*value)) : Reference::to(api().None);
}

// --- functions ---

template <auto function, class Result, class... Args, std::size_t... indices>
Reference call_with(Result (*)(Args...), Object* const* arguments,
                    std::index_sequence<indices...>) {
    if constexpr (std::is_void_v<Result>) {
        function(Argument<Args>::take(arguments[indices])...);
        return Reference::to(api().None);
    } else {
        return result(function(Argument<Args>::take(arguments[indices])...));
    }
}

template <class Result, class... Args>
constexpr std::size_t arity(Result (*)(Args...)) {
    return sizeof...(Args);
}

/// A function of C++ as the interpreter calls it.
template <auto function>
Object* bound(Object*, Object* const* arguments, ssize_t count) {
    constexpr std::size_t expected = arity(function);
    try {
        if (count != static_cast<ssize_t>(expected)) {
            throw TypeError("this function takes " + std::to_string(expected) + " arguments");
        }
        return call_with<function>(function, arguments, std::make_index_sequence<expected>())
            .release();
    } catch (...) {
        pass_exception();
        return nullptr;
    }
}

}  // namespace multiprocessing::detail::pythons::extension
