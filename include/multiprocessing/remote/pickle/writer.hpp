// multiprocessing/remote/pickle/writer.hpp
//
// Writes pickles: protocol 4, without memo and frames, which every Python from 3.4 on reads.
// Mirrors CPython Lib/pickle.py, _Pickler. Floor 9. Start at Writer. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "multiprocessing/remote/pickle/limits.hpp"
#include "multiprocessing/remote/pickle/opcodes.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// The bytes of a pickle in the making.
class Writer {
  public:
    /// Where the pickle is going: to any program, or within the family, where something may be
    /// attached to it.
    enum class Target { any, family };

    explicit Writer(Target target = Target::any);

    // --- values ---
    void write_none() { put(Opcode::none); }
    void write(bool value) { put(value ? Opcode::new_true : Opcode::new_false); }
    void write(std::int64_t value);
    void write(std::uint64_t value);
    void write(double value);
    void write_complex(double real, double imaginary);
    /// @throws ValueError when the text is not UTF-8
    void write_text(std::string_view text);
    void write_bytes(std::string_view bytes);
    void write_bytearray(std::string_view bytes);
    void write_global(std::string_view module, std::string_view name);
    /// Writes an object of the library. @throws TypeError when the pickle may leave the family
    void write_object(std::string_view kind, std::string_view item, const AnyHandle& handle);
    /// Writes a value that has been read. @pre it is within the limits
    void write(const Tree& tree, const Node& node);

    // --- containers: begin, the items, end ---

    /// Begins a list, dict, set, frozenset or tuple of so many items; of a dict, keys and values.
    /// @throws ValueError when it is nested too deeply
    void begin(ValueKind kind, std::size_t count);
    void end(ValueKind kind, std::size_t count);

    // --- calls ---

    /// Writes a call of the global that was written before the arguments.
    void call() { put(Opcode::reduce); }
    void put(Opcode opcode) { bytes_ += static_cast<char>(opcode); }

    /// Ends the pickle.
    std::string finish() &&;
    /// Returns what is attached to it.
    [[nodiscard]] Attached& attached() noexcept { return attached_; }

  private:
    template <class Number>
    void put_number(Number number);
    void put_sized(std::string_view bytes, Opcode one, Opcode four, Opcode eight);
    void expect(std::size_t count);
    void put_long(std::string_view bytes);
    void write_children(const Tree& tree, const Node& node);
    void write_reduced(const Tree& tree, const Node& node);
    void write_object(const Tree& tree, const Node& node);
    void write_block(const Block& block);

    const Target target_;
    Attached attached_{};
    std::string bytes_{};
    std::uint32_t level_ = 0;
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/writer.ipp"
