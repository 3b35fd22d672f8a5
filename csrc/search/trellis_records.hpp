// search/trellis_records.hpp - for vectors of four or eight: points and rates, a load of 16 bytes for each lane, and
// decisions as bits of words.
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

// Of a step: for each lane and 32 states a word.
template <unsigned kMemory>
class WordDecisions {
    static constexpr unsigned kWords = ((1u << kMemory) + 31) / 32;

public:
    static constexpr std::size_t kBytes = kWords * sizeof(Words);

    explicit WordDecisions(std::uint8_t* to) noexcept : to_(to) {}

    // What state t costs, by its first branch or the second.
    template <unsigned t>
    [[gnu::always_inline]] Floats lesser(Floats a, Floats b) noexcept {
        const Ints second = b < a;
        bits_[t / 32] |= reinterpret_cast<Words>(second) & (1u << t % 32);
        return second ? b : a;
    }
    [[gnu::always_inline]] void flush() noexcept { std::memcpy(to_, bits_, sizeof bits_); }

    // Which branch each lane's state was reached by, 0 or 1.
    [[gnu::always_inline]] static Words branch(const std::uint8_t* kept, Words state) noexcept {
        Words bits;
        std::memcpy(&bits, kept, sizeof bits);
        for (unsigned w = 1; w < kWords; ++w) {
            Words more;
            std::memcpy(&more, kept + w * sizeof more, sizeof more);
            bits = (state >> 5) == w ? more : bits;
        }
        return bits >> (state & 31) & 1;
    }

private:
    std::uint8_t* to_;
    Words bits_[kWords] = {};
};

}  // namespace
}  // namespace qc::trellis
