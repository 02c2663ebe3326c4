// multiprocessing/process/output_capture.hpp
//
// Keeps in memory what a process prints for a while. Meanwhile the descriptors of standard output
// and error stand for that memory, so it also gets what is printed by write(2), and by the programs
// that the process starts. Floor 3. Start at OutputCapture. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <mutex>
#include <string>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap/local_mutex.hpp"

namespace multiprocessing::detail {

/// What was printed while an OutputCapture lived.
struct CapturedText {
    std::string output;
    std::string error_output;
};

/// While it lives, what this process prints goes to memory. There is one at a time.
class OutputCapture {
  public:
    /// @throws RuntimeError when there is one already, in this thread or another
    /// @throws std::system_error EMFILE, ENFILE, ENOMEM
    OutputCapture();
    OutputCapture(const OutputCapture&) = delete;
    OutputCapture& operator=(const OutputCapture&) = delete;
    /// Passes on what was printed, unless `finish` has returned it.
    ~OutputCapture();

    /// Ends it, and returns what was printed. @throws std::bad_alloc
    [[nodiscard]] CapturedText finish();

  private:
    /// One of the two streams.
    class Stream {
      public:
        explicit Stream(int number);
        void begin();
        void restore() noexcept;
        [[nodiscard]] std::string text() const;
        void pass_on() const noexcept;

      private:
        const int number_;
        Descriptor memory_;
        Descriptor before_;  // none: it was closed
        bool is_captured_ = false;
    };

    void restore() noexcept;

    std::unique_lock<LocalMutex> alone_;
    Stream output_{STDOUT_FILENO};
    Stream error_output_{STDERR_FILENO};
    bool finished_ = false;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/output_capture.ipp"
#endif
