// multiprocessing/remote/pickle/tree.hpp
//
// A pickle that has been read: its values as nodes, which refer to the message's bytes and to each
// other by number. So a message of a million values is three blocks of memory, and none of them is
// copied before a program asks for it. Floor 9. Start at Tree. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "multiprocessing/remote/pickle/attached.hpp"
#include "multiprocessing/remote/pickle/globals.hpp"

namespace multiprocessing::detail::pickles {

/// The types of values.
enum class ValueKind : std::uint8_t {
    none,
    boolean,
    integer,      // of up to 64 bits
    big_integer,  // a larger one: bytes in two's complement, the lowest first
    real,
    complex,
    text,
    bytes,
    bytearray,
    tuple,
    list,
    dict,  // its children are key, value, key, value …
    set,
    frozenset,
    global,  // a class or function of the closed set
    reduced  // an object of another class; its children are what is called, arguments, state
};

using NodeNumber = std::uint32_t;

/// A value of a pickle.
struct Node {
    struct Range {  // of bytes in the message, or in the tree's own
        std::uint64_t begin;
        std::uint64_t size;
    };
    struct Children {  // a range of Tree::children
        std::uint32_t begin;
        std::uint32_t count;
        std::uint32_t capacity;  // how many may be there before the range must move
    };
    struct Complex {
        double real;
        double imaginary;
    };

    ValueKind kind = ValueKind::none;
    bool is_own = false;       // a range is in Tree::own, not in Tree::message
    bool is_block = false;     // the bytes are a block: the range begins with its number
    bool is_new = false;       // a reduced object is made by cls.__new__, not by a call
    std::uint32_t height = 0;  // how many levels are below it; not known in messages with a memo
    union {
        bool boolean;
        std::int64_t integer = 0;
        double real;
        Complex complex;
        Range range;
        Children children;
        std::uint32_t global;
    };
};
static_assert(sizeof(Node) == 24);

/// Returns a new value of the kind.
constexpr Node node_of(ValueKind kind) noexcept {
    Node node;
    node.kind = kind;
    return node;
}

/// All values of a pickle. It refers to the message, which must live as long. It keeps what is
/// attached.
class Tree {
  public:
    std::string_view message;
    std::string own;  // what had to be decoded
    std::vector<Node> nodes;
    std::vector<NodeNumber> children;
    Attached attached{};
    NodeNumber root = 0;

    [[nodiscard]] const Node& at(NodeNumber number) const noexcept { return nodes[number]; }
    [[nodiscard]] const Node& top() const noexcept { return nodes[root]; }

    /// Returns the bytes of a text, of bytes, or of a big integer.
    [[nodiscard]] std::string_view bytes_of(const Node& node) const noexcept {
        if (node.is_block) return block_of(node).bytes;
        const std::string_view from = node.is_own ? std::string_view(own) : message;
        return from.substr(node.range.begin, node.range.size);
    }
    /// Returns the block that a node's bytes are.
    [[nodiscard]] const Block& block_of(const Node& node) const noexcept {
        return attached.blocks[static_cast<std::size_t>(node.range.begin)];
    }
    /// Returns how many bytes the message has, with those of the blocks.
    [[nodiscard]] std::size_t size() const noexcept { return message.size() + attached.size(); }
    /// Returns the children of a container or a reduced object.
    [[nodiscard]] std::span<const NodeNumber> children_of(const Node& node) const noexcept {
        return {children.data() + node.children.begin, node.children.count};
    }
    [[nodiscard]] const Node& child(const Node& node, std::size_t index) const noexcept {
        return nodes[children[node.children.begin + index]];
    }
    /// Returns what a reduced object is made by. Its own kind must be `reduced`.
    [[nodiscard]] const Global& callee_of(const Node& node) const noexcept {
        return global_at(child(node, 0).global);
    }
    /// Says whether a node is a reduced object that `module.name` makes.
    [[nodiscard]] bool is_made_by(const Node& node, std::string_view module,
                                  std::string_view name) const noexcept {
        return node.kind == ValueKind::reduced && callee_of(node).name == name &&
               callee_of(node).module == module;
    }
};

/// A shared object of the family that is in a pickle.
struct SharedPart {
    std::string_view kind;  // its class in Python
    std::string_view item;  // what it says that it holds
    const AnyHandle& handle;
};

/// Returns what an object of the library is. @pre tree.is_made_by(node, family_module,
/// object_maker)
/// @throws ValueError when it did not come with the pickle
SharedPart shared_part_of(const Tree& tree, const Node& node);

/// Says whether nodes of the kind have children.
constexpr bool has_children(ValueKind kind) noexcept {
    return (kind >= ValueKind::tuple && kind <= ValueKind::frozenset) || kind == ValueKind::reduced;
}

/// Returns the name of a value's type as Python tells it: "int", "NoneType", "queue.Empty".
std::string type_name_of(const Tree& tree, const Node& node);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/tree.ipp"
