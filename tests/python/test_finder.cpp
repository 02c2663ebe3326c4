// python/finder.hpp: which Python is used, and what is said where there is none.
// SPDX-License-Identifier: MIT
#include "tests/python/support.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "tests/remote/python.hpp"

using Catch::Matchers::ContainsSubstring;
using support::Tidy;

namespace {

using Settings = std::map<std::string, std::string>;

/// Returns what an expression of Python is in a new process with these settings; the message of the
/// error, if it fails.
std::string told_by(const Settings& settings, const std::string& expression) {
    mp::BasicPool<mp::start_method::spawn> pool(1);
    return pool.apply(
        [](const Settings& changed, const std::string& text) -> std::string {
            for (const auto& [name, value] : changed) ::setenv(name.c_str(), value.c_str(), 1);
            try {
                return in_python<std::string(std::string)>("make")(text);
            } catch (const mp::RuntimeError& error) {
                return error.what();
            }
        },
        settings, expression);
}

const std::string version = "'%d.%d' % __import__('sys').version_info[:2]";
const std::string executable = "__import__('sys').executable";
const std::string prefix = "__import__('sys').prefix";
const std::string names_and_numbers =
    "str((__import__('statistics').fmean([1, 2]), __import__('json').loads('[1]')))";

class Folder {
  public:
    Folder() { path_ = ::mkdtemp(name_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string operator/(const std::string& file) const {
        return (path_ / file).string();
    }
    void write_program(const std::string& file, const std::string& text) const {
        std::ofstream(*this / file) << text;
        ::chmod((*this / file).c_str(), 0755);
    }

  private:
    char name_[32] = "/tmp/python-finder-XXXXXX";
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("Every Python of the machine is used when it is named", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    int tried = 0;
    for (const std::string& python : support::pythons()) {
        const std::string own =
            support::lines_of(
                support::run_python(python, "import sys; print(\"%d.%d\" % sys.version_info[:2], "
                                            "sys.version_info >= (3, 8))"))
                .at(0);
        const std::string told = told_by({{"MULTIPROCESSING_PYTHON", python}}, version);
        INFO(python << ": " << told);
        if (own.ends_with("False")) {
            CHECK_THAT(told, ContainsSubstring("3.8 or newer"));
        } else if (told.find("install libpython") == std::string::npos) {
            CHECK(told + " True" == own);
            CHECK(told_by({{"MULTIPROCESSING_PYTHON", python}}, names_and_numbers) == "(1.5, [1])");
            ++tried;
        }
    }
    CHECK(tried > 0);
}

TEST_CASE("A libpython may be named itself, and then its interpreter is found", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    const auto location = mp::detail::pythons::find_python();
    const Settings settings{{"MULTIPROCESSING_PYTHON", location.library}};
    CHECK(told_by(settings, names_and_numbers) == "(1.5, [1])");
    CHECK_THAT(told_by(settings, executable), ContainsSubstring("python3"));
    CHECK(std::filesystem::exists(told_by(settings, executable)));
}

TEST_CASE("An activated virtual environment is used", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    const Folder folder;
    const std::string python = told_by({}, executable);
    try {
        support::output_of("'" + python + "' -m venv --without-pip '" + (folder / "env") + "' 2>&1",
                           {});
    } catch (const std::runtime_error& error) {
        WARN("not tested: " << error.what());
        return;
    }
    const Settings settings{{"VIRTUAL_ENV", folder / "env"}, {"MULTIPROCESSING_PYTHON", ""}};
    CHECK(told_by(settings, prefix) == folder / "env");
    CHECK(told_by(settings, executable) == folder / "env/bin/python3");
    CHECK(told_by(settings, names_and_numbers) == "(1.5, [1])");
}

TEST_CASE("Where there is no Python, the error says what to install", "[python]") {
    const Tidy tidy;
    const Folder folder;
    CHECK_THAT(told_by({{"PATH", folder / ""}, {"VIRTUAL_ENV", ""}, {"MULTIPROCESSING_PYTHON", ""}},
                       version),
               ContainsSubstring("apt-get install python3"));
    CHECK_THAT(told_by({{"MULTIPROCESSING_PYTHON", "/no/such/python3"}}, version),
               ContainsSubstring("/no/such/python3"));
    folder.write_program("python3", "#!/bin/sh\necho libpython3.99.so.1.0\necho\necho /x\n");
    CHECK_THAT(told_by({{"MULTIPROCESSING_PYTHON", folder / "python3"}}, version),
               ContainsSubstring("apt-get install libpython3.99)"));
    folder.write_program("python3", "#!/bin/sh\nexit 1\n");
    CHECK_THAT(told_by({{"MULTIPROCESSING_PYTHON", folder / "python3"}}, version),
               ContainsSubstring("does not run"));
    folder.write_program("libpython3.so", "no library");
    CHECK_THAT(told_by({{"MULTIPROCESSING_PYTHON", folder / "libpython3.so"}}, version),
               ContainsSubstring("cannot be loaded"));
}

TEST_CASE("Texts are UTF-8 also where no locale is set", "[python]") {
    if (!there_is_python()) return;
    const Tidy tidy;
    const Settings settings{{"LC_ALL", "C"}};
    CHECK(told_by(settings, "__import__('sys').stdout.encoding.lower()") == "utf-8");
}
