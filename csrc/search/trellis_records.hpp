// search/trellis_records.hpp - points and rates for vectors of four or eight, a load of 16 bytes for each lane.
//
// Include it where search/trellis_walk.hpp is, and after it.
#pragma once

#include <utility>

namespace qc::trellis {
namespace {

class RecordTables {
    typedef float Record __attribute__((vector_size(16)));

    template <unsigned kCount>
    [[gnu::always_inline]] static auto load(const Record* from, Ints place, unsigned k) noexcept {
        if constexpr (kCount == 4) {
            return from[place[k]];
        } else {
            static_assert(kCount == 8);
            return __builtin_shufflevector(from[place[k]], from[place[k + 4]], 0, 1, 2, 3, 4, 5, 6, 7);
        }
    }

    // Elements kFirst and kFirst + 1 of each four of a and b, by turns.
    template <unsigned kFirst>
    [[gnu::always_inline]] static Floats interleave(Floats a, Floats b) noexcept {
        return [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) __attribute__((always_inline)) {
            return __builtin_shufflevector(a, b, (k % 2 * kLanes + k / 4 * 4 + k % 4 / 2 + kFirst)...);
        }(std::make_integer_sequence<unsigned, kLanes>{});
    }

public:
    RecordTables(const Job& job, unsigned table) noexcept : records_(job.records + 4 * kTableSize * table) {}

    [[gnu::always_inline]] void look_up(unsigned subset, Ints place, Floats& v0, Floats& v1, Floats& r0,
                                        Floats& r1) const noexcept {
        const auto* const from = reinterpret_cast<const Record*>(records_) + 64 * subset;
        Floats rows[4];
        for (unsigned k = 0; k < 4; ++k) rows[k] = load<kLanes>(from, place, k);
        const Floats points02 = interleave<0>(rows[0], rows[2]), points13 = interleave<0>(rows[1], rows[3]);
        const Floats rates02 = interleave<2>(rows[0], rows[2]), rates13 = interleave<2>(rows[1], rows[3]);
        v0 = interleave<0>(points02, points13);
        v1 = interleave<2>(points02, points13);
        r0 = interleave<0>(rates02, rates13);
        r1 = interleave<2>(rates02, rates13);
    }

private:
    const float* records_;
};

}  // namespace
}  // namespace qc::trellis
