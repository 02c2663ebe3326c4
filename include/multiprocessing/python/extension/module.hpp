// multiprocessing/python/extension/module.hpp
//
// The module multiprocessing_cpp for Python: the library's queues, locks, values, arrays, dicts and
// lists, with Python's names. Its classes are in source.hpp, in Python; what they call is here. One
// binary is for any Python from 3.8 on, and no header of Python's is needed. The CMake target
// multiprocessing_python builds it. Floor 10. Start at make_module. SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <string>

#include "multiprocessing/process/cooling.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/family.hpp"
#include "multiprocessing/python/extension/managers.hpp"
#include "multiprocessing/python/extension/programs.hpp"
#include "multiprocessing/python/extension/queues.hpp"
#include "multiprocessing/python/extension/shared_memory.hpp"
#include "multiprocessing/python/extension/source.hpp"
#include "multiprocessing/python/extension/synchronize.hpp"

namespace multiprocessing::detail::pythons::extension {

#define MULTIPROCESSING_BOUND(name) \
    { "_" #name, bound<&name>, fast_call, nullptr }

/// The functions that the module's code in Python calls, with an underscore before their names.
inline MethodDefinition methods[] = {
    MULTIPROCESSING_BOUND(family_arguments),
    MULTIPROCESSING_BOUND(family_token),
    MULTIPROCESSING_BOUND(family_descriptors),
    MULTIPROCESSING_BOUND(family_is_known),
    MULTIPROCESSING_BOUND(family_join),
    MULTIPROCESSING_BOUND(family_is_there),
    MULTIPROCESSING_BOUND(family_arrive),
    MULTIPROCESSING_BOUND(family_layout),
    MULTIPROCESSING_BOUND(handle_offset),
    MULTIPROCESSING_BOUND(handle_at),
    MULTIPROCESSING_BOUND(handle_kind),
    MULTIPROCESSING_BOUND(block_new),
    MULTIPROCESSING_BOUND(queue_new),
    MULTIPROCESSING_BOUND(queue_put),
    MULTIPROCESSING_BOUND(queue_get),
    MULTIPROCESSING_BOUND(queue_size),
    MULTIPROCESSING_BOUND(queue_full),
    MULTIPROCESSING_BOUND(queue_maxsize),
    MULTIPROCESSING_BOUND(queue_shutdown),
    MULTIPROCESSING_BOUND(queue_task_done),
    MULTIPROCESSING_BOUND(queue_join),
    MULTIPROCESSING_BOUND(lock_new),
    MULTIPROCESSING_BOUND(lock_acquire),
    MULTIPROCESSING_BOUND(lock_release),
    MULTIPROCESSING_BOUND(lock_is_free),
    MULTIPROCESSING_BOUND(lock_is_mine),
    MULTIPROCESSING_BOUND(lock_is_recursive),
    MULTIPROCESSING_BOUND(lock_recover),
    MULTIPROCESSING_BOUND(lock_text_of),
    MULTIPROCESSING_BOUND(semaphore_new),
    MULTIPROCESSING_BOUND(semaphore_acquire),
    MULTIPROCESSING_BOUND(semaphore_release),
    MULTIPROCESSING_BOUND(semaphore_value),
    MULTIPROCESSING_BOUND(condition_new),
    MULTIPROCESSING_BOUND(condition_lock),
    MULTIPROCESSING_BOUND(condition_wait),
    MULTIPROCESSING_BOUND(condition_notify),
    MULTIPROCESSING_BOUND(event_new),
    MULTIPROCESSING_BOUND(event_is_set),
    MULTIPROCESSING_BOUND(event_set),
    MULTIPROCESSING_BOUND(event_clear),
    MULTIPROCESSING_BOUND(event_wait),
    MULTIPROCESSING_BOUND(barrier_new),
    MULTIPROCESSING_BOUND(barrier_wait),
    MULTIPROCESSING_BOUND(barrier_reset),
    MULTIPROCESSING_BOUND(barrier_abort),
    MULTIPROCESSING_BOUND(barrier_parties),
    MULTIPROCESSING_BOUND(barrier_broken),
    MULTIPROCESSING_BOUND(barrier_waiting),
    MULTIPROCESSING_BOUND(guarded_new),
    MULTIPROCESSING_BOUND(guarded_address),
    MULTIPROCESSING_BOUND(guarded_size),
    MULTIPROCESSING_BOUND(guarded_lock),
    MULTIPROCESSING_BOUND(array_new),
    MULTIPROCESSING_BOUND(array_address),
    MULTIPROCESSING_BOUND(array_size),
    MULTIPROCESSING_BOUND(array_frozen),
    MULTIPROCESSING_BOUND(vector_address),
    MULTIPROCESSING_BOUND(vector_size),
    MULTIPROCESSING_BOUND(vector_frozen),
    MULTIPROCESSING_BOUND(manager_new),
    MULTIPROCESSING_BOUND(manager_shutdown),
    MULTIPROCESSING_BOUND(manager_is_down),
    MULTIPROCESSING_BOUND(dict_new),
    MULTIPROCESSING_BOUND(dict_get),
    MULTIPROCESSING_BOUND(dict_set),
    MULTIPROCESSING_BOUND(dict_setdefault),
    MULTIPROCESSING_BOUND(dict_erase),
    MULTIPROCESSING_BOUND(dict_pop),
    MULTIPROCESSING_BOUND(dict_popitem),
    MULTIPROCESSING_BOUND(dict_contains),
    MULTIPROCESSING_BOUND(dict_size),
    MULTIPROCESSING_BOUND(dict_clear),
    MULTIPROCESSING_BOUND(dict_items),
    MULTIPROCESSING_BOUND(dict_update),
    MULTIPROCESSING_BOUND(namespace_new),
    MULTIPROCESSING_BOUND(namespace_get),
    MULTIPROCESSING_BOUND(namespace_set),
    MULTIPROCESSING_BOUND(namespace_has),
    MULTIPROCESSING_BOUND(namespace_del),
    MULTIPROCESSING_BOUND(namespace_names),
    MULTIPROCESSING_BOUND(list_new),
    MULTIPROCESSING_BOUND(list_at),
    MULTIPROCESSING_BOUND(list_set),
    MULTIPROCESSING_BOUND(list_append),
    MULTIPROCESSING_BOUND(list_pop),
    MULTIPROCESSING_BOUND(list_erase),
    MULTIPROCESSING_BOUND(list_size),
    MULTIPROCESSING_BOUND(list_slice),
    MULTIPROCESSING_BOUND(list_splice),
    MULTIPROCESSING_BOUND(list_change),
    MULTIPROCESSING_BOUND(program_new),
    MULTIPROCESSING_BOUND(program_start),
    MULTIPROCESSING_BOUND(program_join),
    MULTIPROCESSING_BOUND(program_is_alive),
    MULTIPROCESSING_BOUND(program_signal),
    MULTIPROCESSING_BOUND(program_exitcode),
    MULTIPROCESSING_BOUND(program_pid),
    MULTIPROCESSING_BOUND(program_text),
    MULTIPROCESSING_BOUND(program_label),
    MULTIPROCESSING_BOUND(program_sentinel),
    {nullptr, nullptr, 0, nullptr},
};

#undef MULTIPROCESSING_BOUND

inline ModuleDefinition definition{
    .name = "multiprocessing_cpp",
    .documentation = "Queues, locks, values, arrays, dicts and lists that processes of Python and "
                     "of C++ share. The classes have the names and the behaviour of those in "
                     "multiprocessing.",
    .methods = methods,
};

/// Runs a text of Python with these names. @throws Raised
inline void run(const Api& python, Object* names, const std::string& text) {
    const auto check = [](Object* made) {
        if (made == nullptr) throw Raised();
        return made;
    };
    Object* const code =
        check(python.Py_CompileString(text.c_str(), "<multiprocessing_cpp>", file_input));
    Object* const done = python.PyEval_EvalCode(code, names, names);
    python.Py_DecRef(code);
    python.Py_DecRef(check(done));
}

/// Makes the module, as the interpreter wants it of PyInit_multiprocessing_cpp.
/// @returns null when Python has raised something
inline Object* make_module() noexcept {
    try {
        static const Api python(RTLD_DEFAULT);
        Object* const module = python.PyModule_Create2(&definition, stable_abi);
        if (module == nullptr) return nullptr;
        Object* const names = python.PyModule_GetDict(module);
        python.PyDict_SetItemString(names, "__builtins__",
                                    python.PyImport_ImportModule("builtins"));
        // What is made here for programs of C++ also looks for modules in the current folder.
        run(python, names, "import sys\n_path = list(sys.path)\n");
        static_cast<void>(make_interpreter());
        run(python, names, "sys.path[:] = _path\ndel _path\n");
        run(python, names, source_of_base);
        exceptions = python.PyDict_GetItemString(names, "_exceptions");
        for (const char* const part : sources) run(python, names, part);
        keep_heap_warm();  // as in each process of a C++ program
        return module;
    } catch (const Raised&) {
        return nullptr;
    } catch (const std::exception& error) {
        // As where this Python lacks a function; so it is not asked for its exceptions either.
        std::fprintf(stderr, "multiprocessing_cpp: %s\n", error.what());
        return nullptr;  // a SystemError
    }
}

}  // namespace multiprocessing::detail::pythons::extension
