// multiprocessing/python/api.hpp
//
// The functions of CPython's stable C API that are used, as a loaded libpython has them. They have
// CPython's names. Nothing is linked, and no header of Python's is needed, so one program runs with
// any Python from 3.8 on. Floor 10. Start at Api. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace multiprocessing::detail::pythons {

struct Object;       // PyObject; only pointers to it are used
struct ThreadState;  // PyThreadState

/// Py_buffer: how the items of an array lie in memory. The stable ABI fixes its layout since 3.11,
/// and it was the same before.
struct Buffer {
    void* buf;            //  0
    Object* obj;          //  8
    ssize_t len;          // 16  bytes
    ssize_t itemsize;     // 24  bytes
    int readonly;         // 32
    int ndim;             // 36
    const char* format;   // 40  as of Python's module struct
    ssize_t* shape;       // 48
    ssize_t* strides;     // 56  bytes
    ssize_t* suboffsets;  // 64
    void* internal;       // 72
};
static_assert(sizeof(Buffer) == 80 && offsetof(Buffer, format) == 40);

/// PyMethodDef: a function of a module. The stable ABI fixes it, and those below.
struct MethodDefinition {
    const char* name;
    Object* (*function)(Object* module, Object* const* arguments, ssize_t count);
    int flags;
    const char* documentation;
};
inline constexpr int fast_call = 0x80;  // METH_FASTCALL

/// PyModuleDef: what a module is made of.
struct ModuleDefinition {
    ssize_t references = 1;
    Object* type = nullptr;
    Object* (*initialize)() = nullptr;
    ssize_t index = 0;
    Object* copy = nullptr;
    const char* name;
    const char* documentation;
    ssize_t size = -1;  // it has a state of its own, so there is one of it
    MethodDefinition* methods;
    void* slots = nullptr;
    void* traverse = nullptr;
    void* clear = nullptr;
    void* free = nullptr;
};
static_assert(sizeof(ModuleDefinition) == 104);
inline constexpr int stable_abi = 3;  // PYTHON_ABI_VERSION

/// Bits of PyType_GetFlags.
inline constexpr unsigned long int_subclass = 1UL << 24;
inline constexpr unsigned long list_subclass = 1UL << 25;
inline constexpr unsigned long tuple_subclass = 1UL << 26;
inline constexpr unsigned long bytes_subclass = 1UL << 27;
inline constexpr unsigned long str_subclass = 1UL << 28;
inline constexpr unsigned long dict_subclass = 1UL << 29;

inline constexpr int file_input = 257;       // Py_file_input: the text is a module's
inline constexpr int read_access = 0x100;    // PyBUF_READ
inline constexpr int strided_format = 0x1C;  // PyBUF_RECORDS_RO: with shape, strides and format

/// The address of a function or an object, of whatever type.
struct Address {
    void* address;

    template <class T>
    operator T*() const noexcept {
        return reinterpret_cast<T*>(address);
    }
};

/// A libpython's functions and objects.
struct Api {
  private:
    void* image_;  // first: the others are found in it

    [[nodiscard]] Address find(const char* name) const;
    [[nodiscard]] Address find_optional(const char* name) const noexcept;

  public:
    /// @param image of dlopen, or RTLD_DEFAULT
    /// @throws RuntimeError when a function is missing
    explicit Api(void* image) : image_(image) {}

    // --- the interpreter ---
    int (*Py_IsInitialized)() = find("Py_IsInitialized");
    void (*Py_InitializeEx)(int signals) = find("Py_InitializeEx");
    void (*Py_SetProgramName)(const wchar_t*) = find("Py_SetProgramName");
    wchar_t* (*Py_DecodeLocale)(const char*, std::size_t*) = find("Py_DecodeLocale");
    int (*Py_AtExit)(void (*)()) = find("Py_AtExit");
    const char* (*Py_GetVersion)() = find("Py_GetVersion");
    Object* (*Py_CompileString)(const char*, const char* file, int) = find("Py_CompileString");
    Object* (*PyEval_EvalCode)(Object*, Object*, Object*) = find("PyEval_EvalCode");
    Object* (*PyImport_ImportModule)(const char*) = find("PyImport_ImportModule");

    // --- threads and forks ---
    int (*PyGILState_Ensure)() = find("PyGILState_Ensure");
    void (*PyGILState_Release)(int) = find("PyGILState_Release");
    int (*PyGILState_Check)() = find("PyGILState_Check");
    ThreadState* (*PyGILState_GetThisThreadState)() = find("PyGILState_GetThisThreadState");
    ThreadState* (*PyEval_SaveThread)() = find("PyEval_SaveThread");
    void (*PyEval_RestoreThread)(ThreadState*) = find("PyEval_RestoreThread");
    void (*PyOS_BeforeFork)() = find("PyOS_BeforeFork");
    void (*PyOS_AfterFork_Parent)() = find("PyOS_AfterFork_Parent");
    void (*PyOS_AfterFork_Child)() = find("PyOS_AfterFork_Child");

    // --- any object ---
    void (*Py_IncRef)(Object*) = find("Py_IncRef");
    void (*Py_DecRef)(Object*) = find("Py_DecRef");
    Object* (*PyObject_Type)(Object*) = find("PyObject_Type");
    unsigned long (*PyType_GetFlags)(Object* type) = find("PyType_GetFlags");
    int (*PyType_IsSubtype)(Object* type, Object* base) = find("PyType_IsSubtype");
    Object* (*PyObject_GetAttrString)(Object*, const char*) = find("PyObject_GetAttrString");
    Object* (*PyObject_CallFunctionObjArgs)(Object*, ...) = find("PyObject_CallFunctionObjArgs");
    Object* (*PyObject_GetIter)(Object*) = find("PyObject_GetIter");
    Object* (*PyIter_Next)(Object*) = find("PyIter_Next");
    int (*PyObject_IsTrue)(Object*) = find("PyObject_IsTrue");
    int (*PyObject_CheckBuffer)(Object*) =
        find_optional("PyObject_CheckBuffer");  // null in 3.8, where it is a macro
    int (*PyObject_GetBuffer)(Object*, Buffer*, int) = find("PyObject_GetBuffer");
    void (*PyBuffer_Release)(Buffer*) = find("PyBuffer_Release");
    Object* (*PyMemoryView_FromMemory)(char*, ssize_t, int flags) = find("PyMemoryView_FromMemory");
    Object* (*PyCapsule_New)(void*, const char*, void (*)(Object*)) = find("PyCapsule_New");
    void* (*PyCapsule_GetPointer)(Object*, const char*) = find("PyCapsule_GetPointer");

    // --- numbers and texts ---
    Object* (*PyLong_FromLongLong)(long long) = find("PyLong_FromLongLong");
    Object* (*PyLong_FromUnsignedLongLong)(unsigned long long) =
        find("PyLong_FromUnsignedLongLong");
    long long (*PyLong_AsLongLong)(Object*) = find("PyLong_AsLongLong");
    unsigned long long (*PyLong_AsUnsignedLongLong)(Object*) = find("PyLong_AsUnsignedLongLong");
    Object* (*PyNumber_Index)(Object*) = find("PyNumber_Index");
    Object* (*PyFloat_FromDouble)(double) = find("PyFloat_FromDouble");
    double (*PyFloat_AsDouble)(Object*) = find("PyFloat_AsDouble");
    Object* (*PyComplex_FromDoubles)(double, double) = find("PyComplex_FromDoubles");
    double (*PyComplex_RealAsDouble)(Object*) = find("PyComplex_RealAsDouble");
    double (*PyComplex_ImagAsDouble)(Object*) = find("PyComplex_ImagAsDouble");
    Object* (*PyUnicode_FromStringAndSize)(const char*,
                                           ssize_t) = find("PyUnicode_FromStringAndSize");
    const char* (*PyUnicode_AsUTF8AndSize)(Object*, ssize_t*) = find("PyUnicode_AsUTF8AndSize");
    Object* (*PyBytes_FromStringAndSize)(const char*, ssize_t) = find("PyBytes_FromStringAndSize");
    int (*PyBytes_AsStringAndSize)(Object*, char**, ssize_t*) = find("PyBytes_AsStringAndSize");
    char* (*PyByteArray_AsString)(Object*) = find("PyByteArray_AsString");
    ssize_t (*PyByteArray_Size)(Object*) = find("PyByteArray_Size");

    // --- containers; the setters take over the reference ---
    Object* (*PyList_New)(ssize_t) = find("PyList_New");
    int (*PyList_SetItem)(Object*, ssize_t, Object*) = find("PyList_SetItem");
    Object* (*PyList_GetItem)(Object*, ssize_t) = find("PyList_GetItem");  // borrowed
    ssize_t (*PyList_Size)(Object*) = find("PyList_Size");
    Object* (*PyTuple_New)(ssize_t) = find("PyTuple_New");
    int (*PyTuple_SetItem)(Object*, ssize_t, Object*) = find("PyTuple_SetItem");
    Object* (*PyTuple_GetItem)(Object*, ssize_t) = find("PyTuple_GetItem");  // borrowed
    ssize_t (*PyTuple_Size)(Object*) = find("PyTuple_Size");
    Object* (*PyDict_New)() = find("PyDict_New");
    int (*PyDict_SetItem)(Object*, Object*, Object*) = find("PyDict_SetItem");  // takes none over
    int (*PyDict_SetItemString)(Object*, const char*, Object*) = find("PyDict_SetItemString");
    Object* (*PyDict_GetItemString)(Object*, const char*) = find("PyDict_GetItemString");
    int (*PyDict_Next)(Object*, ssize_t*, Object** key, Object** value) = find("PyDict_Next");
    Object* (*PySet_New)(Object*) = find("PySet_New");
    int (*PySet_Add)(Object*, Object*) = find("PySet_Add");  // takes none over

    // --- errors ---
    Object* (*PyErr_Occurred)() = find("PyErr_Occurred");  // borrowed
    void (*PyErr_Clear)() = find("PyErr_Clear");
    void (*PyErr_Fetch)(Object**, Object**, Object**) = find("PyErr_Fetch");
    void (*PyErr_NormalizeException)(Object**, Object**,
                                     Object**) = find("PyErr_NormalizeException");
    int (*PyException_SetTraceback)(Object*, Object*) = find("PyException_SetTraceback");
    void (*PyErr_SetString)(Object* type, const char*) = find("PyErr_SetString");
    void (*PyErr_SetObject)(Object* type, Object*) = find("PyErr_SetObject");
    void (*PyErr_Restore)(Object*, Object*, Object*) = find("PyErr_Restore");
    int (*PyErr_CheckSignals)() = find("PyErr_CheckSignals");

    // --- modules ---
    Object* (*PyModule_Create2)(ModuleDefinition*, int version) = find("PyModule_Create2");
    Object* (*PyModule_GetDict)(Object*) = find("PyModule_GetDict");  // borrowed

    // --- objects ---
    Object* None = find("_Py_NoneStruct");
    Object* True = find("_Py_TrueStruct");
    Object* False = find("_Py_FalseStruct");
    Object* bool_type = find("PyBool_Type");
    Object* float_type = find("PyFloat_Type");
    Object* complex_type = find("PyComplex_Type");
    Object* bytearray_type = find("PyByteArray_Type");
    Object* set_type = find("PySet_Type");
    Object* frozenset_type = find("PyFrozenSet_Type");
    int* Py_UTF8Mode = find_optional("Py_UTF8Mode");  // null where it is gone
};

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/api.ipp"
