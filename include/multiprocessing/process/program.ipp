// multiprocessing/process/program.ipp
//
// How this program finds its own file and name: see program.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/program.hpp"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/reduction/functions/images.hpp"

namespace multiprocessing::detail {

/// Returns the name that the kernel, or the loader, was given for this program. It may be relative
/// to a folder that was the current one then.
MULTIPROCESSING_INLINE std::string started_name() {
    const unsigned long name = ::getauxval(AT_EXECFN);
    return name != 0 ? reinterpret_cast<const char*>(name) : program_invocation_name;
}

MULTIPROCESSING_INLINE void take_program_name() noexcept {
    ::prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);  // it takes 15 characters
}

/// Returns whether the dynamic loader was run by name, as in `ld.so ./program`. Then the program
/// asks for an interpreter, and the kernel has loaded none for it. See getauxval(3), AT_BASE.
MULTIPROCESSING_INLINE bool was_started_by_loader() {
    if (::getauxval(AT_BASE) != 0) return false;
    bool asks_for_interpreter = false;
    for_each_image([&](const dl_phdr_info& program) {
        for (std::size_t i = 0; i < program.dlpi_phnum; ++i) {
            asks_for_interpreter |= program.dlpi_phdr[i].p_type == PT_INTERP;
        }
        return true;  // the program is the first one
    });
    return asks_for_interpreter;
}

/// Returns the arguments that the loader was run with before the program's name, its own first.
MULTIPROCESSING_INLINE std::vector<std::string> loader_arguments() {
    constexpr std::size_t most = std::size_t{1} << 16;
    const auto text = std::make_unique<char[]>(most);
    const std::size_t size = read_small_file("/proc/self/cmdline", text.get(), most - 1);
    text[size] = '\0';
    std::vector<std::string> arguments;
    for (const char* next = text.get(); next < text.get() + size; next += std::strlen(next) + 1) {
        if (next == started_name()) return arguments;
        arguments.emplace_back(next);
    }
    return {"ld.so"};  // whatever came before the name is not known
}

/// Returns whether `file` begins with the same table of contents as the program in memory. The
/// child itself verifies that it is the very same program, see run_start_message.
MULTIPROCESSING_INLINE bool is_this_program(const std::string& file) {
    const Descriptor program =
        try_to_open([&] { return ::open(file.c_str(), O_RDONLY | O_CLOEXEC); });
    ElfW(Ehdr) head{};
    if (!program || ::pread(program.get(), &head, sizeof head, 0) != sizeof head) return false;
    bool is_same = false;
    for_each_image([&](const dl_phdr_info& info) {
        const std::size_t size = info.dlpi_phnum * sizeof(ElfW(Phdr));
        std::vector<char> table(size);
        is_same = std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
                  head.e_phnum == info.dlpi_phnum &&
                  ::pread(program.get(), table.data(), size, static_cast<off_t>(head.e_phoff)) ==
                      static_cast<ssize_t>(size) &&
                  std::memcmp(table.data(), info.dlpi_phdr, size) == 0;
        return true;
    });
    return is_same;
}

MULTIPROCESSING_INLINE ProgramCommand program_command() {
    if (!was_started_by_loader()) return {"/proc/self/exe", {program_invocation_name}};
    std::vector<std::string> arguments = loader_arguments();
    const std::string program = mapped_file(main_image().begin);
    arguments.push_back(program.empty() ? started_name() : program);
    return {"/proc/self/exe", std::move(arguments)};
}

MULTIPROCESSING_INLINE ProgramCommand program_command_by_name() {
    std::string name = started_name();
    if (!is_this_program(name)) {
        throw std::system_error(
            ENOENT, std::generic_category(),
            "posix_spawn of this program, for spawn or forkserver: there is no /proc/self/exe, and "
            "the name that it was started by, " +
                name + ", does not lead to it; mount /proc, or start it by its full path");
    }
    return {std::move(name), {program_invocation_name}};
}

}  // namespace multiprocessing::detail
