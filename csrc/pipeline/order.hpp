// pipeline/order.hpp - symbols of a chunk coded in the order of classes: FORMAT.md, "Order".
//
// Elements of one class have one distribution, so tiles of symbols in the order of classes take tables that fit
// them. The classes are known before the symbols are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.hpp"
#include "core/workspace.hpp"
#include "entropy/coder.hpp"
#include "quantize/quantizer.hpp"

namespace qc {

// The elements of a chunk that belong to one tensor.
struct Part {
    const TensorSpec* spec;
    ChunkRange range;
};

bool is_ordered(const QuantizerKernel& quantizer, const TensorSpec& t) noexcept;

// How many codes of the profile a part has.
std::uint64_t profile_codes(const TensorSpec& t, ChunkRange range) noexcept;

// Classes of a part's elements, in the order of coefficients. `codes` are its profile's, if it has one.
void element_classes(const QuantizerKernel& quantizer, const Part& part, const std::uint8_t* codes,
                     std::uint8_t* out) noexcept;

// The places of elements in the order of their classes, those of one class as they come.
void coding_order(std::span<const std::uint8_t> classes, std::int64_t* order) noexcept;

// Hands out symbols in the order of elements from planes in the order of classes.
class OrderedReader {
public:
    OrderedReader(const std::uint8_t* classes, std::size_t n) noexcept;

    // The next n symbols of each plane: planes[k] to out[k].
    void next(const std::uint8_t* const* planes, unsigned count, std::size_t n,
              std::uint8_t* const* out) noexcept;

private:
    const std::uint8_t* classes_;
    std::array<std::uint32_t, 256> cursors_;
};

}  // namespace qc
