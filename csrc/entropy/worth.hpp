// entropy/worth.hpp - whether coding a stream can pay, told from a sample before a coder tries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qc {

// A coded stream must save this part of the stored one, or decoding it would cost more than it is worth:
// mantissa planes save a fraction of a percent and would halve the speed.
inline constexpr std::size_t kLeastSaving = 64;

// False where a sample of the symbols has an order-0 entropy so near `bits` that coding cannot save
// 1 / kLeastSaving. The sample is the same on every machine.
bool may_pay(std::span<const std::uint8_t> symbols, unsigned bits) noexcept;

}  // namespace qc
