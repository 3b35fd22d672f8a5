// quantize/lattice_merge.cpp - streams of integers to lattice points, one vector after the other.
//
// Written once for symbols and for streams with escapes; vector code stands beside it in files of its own.
#include <algorithm>
#include <array>
#include <bit>

#include "core/bytes.hpp"
#include "quantize/lattice.hpp"

namespace qc::lattice {
namespace {

constexpr std::uint32_t kGolayRows[12] = {0xC75001, 0x49F002, 0xD4B004, 0x6E3008, 0x9B3010, 0xB66020,
                                          0xECC040, 0x1ED080, 0x3DA100, 0x7B4200, 0xB1D400, 0xE3A800};

constexpr std::array<std::uint32_t, 4096> make_words() {
    std::array<std::uint32_t, 4096> words{};
    for (unsigned m = 1; m < 4096; ++m) {
        words[m] = words[m & (m - 1)] ^ kGolayRows[std::countr_zero(m)];
    }
    return words;
}
constexpr std::array<std::uint32_t, 4096> kWords = make_words();

constexpr std::array<std::uint8_t, 4096> make_weights() {
    std::array<std::uint8_t, 4096> weights{};
    for (unsigned m = 0; m < 4096; ++m) {
        weights[m] = static_cast<std::uint8_t>(std::popcount(kWords[m] & 0x7FFFFFu));
    }
    return weights;
}
constexpr std::array<std::uint8_t, 4096> kWeights = make_weights();

struct Symbols {
    explicit Symbols(const Stream& s) : at(s.symbols), zero(s.zero) {}
    std::int32_t operator[](std::size_t i) const { return at[i] - zero; }
    const std::uint8_t* at;
    std::int32_t zero;
};

// Entries of classes one after another, with their escapes put in.
class Integers {
public:
    const std::int32_t* data() const noexcept { return all_; }

    // Where entries [begin, end) of a stream now stand.
    std::size_t put(const Stream& s, std::size_t begin, std::size_t end) noexcept {
        const std::size_t first = n_;
        for (std::size_t i = begin; i < end; ++i) all_[n_++] = s.symbols[i] - s.zero;
        for (std::size_t k = s.escapes_before(begin); k < s.escapes.size() && s.escapes[k] < end; ++k) {
            all_[first + s.escapes[k] - begin] = load<std::int32_t>(s.values + 4 * k);
        }
        return first;
    }

private:
    std::int32_t all_[kGroup];
    std::size_t n_ = 0;
};

unsigned bit_of(const State& s, unsigned stream, std::size_t i) { return s.streams[stream].symbols[i]; }

// Each takes the next vector: all but the last coordinate, and returns the class that its entry of the
// last stream is in; `finish` then has that entry.

struct Z {
    static constexpr unsigned kDim = 1;
    static constexpr unsigned kLast = 0;
    template <class R>
    static unsigned free(const State&, Cursors&, const std::array<R, kMaxStreams>&, std::int32_t*) {
        return 0;
    }
    static void finish(unsigned, std::int32_t m, std::int32_t* x) { x[0] = m; }
};

struct D4 {
    static constexpr unsigned kDim = 4;
    static constexpr unsigned kLast = 1;
    template <class R>
    static unsigned free(const State&, Cursors& at, const std::array<R, kMaxStreams>& in, std::int32_t* x) {
        for (unsigned i = 0; i < 3; ++i) x[i] = in[0][at.free[0] + i];
        at.free[0] += 3;
        return (x[0] ^ x[1] ^ x[2]) & 1;
    }
    static void finish(unsigned p, std::int32_t m, std::int32_t* x) {
        x[3] = 2 * m + static_cast<std::int32_t>(p);
    }
};

struct E8 {
    static constexpr unsigned kDim = 8;
    static constexpr unsigned kLast = 2;
    template <class R>
    static unsigned free(const State& s, Cursors& at, const std::array<R, kMaxStreams>& in, std::int32_t* x) {
        const unsigned h = bit_of(s, 0, at.vector);
        const std::size_t from = at.free[h];
        at.free[h] += 7;
        std::int32_t sum = 0;
        for (unsigned i = 0; i < 7; ++i) {
            const std::int32_t z = in[1][from + i];
            sum ^= z;
            x[i] = 2 * z + static_cast<std::int32_t>(h);
        }
        return 2 * h + static_cast<unsigned>(sum & 1);
    }
    static void finish(unsigned k, std::int32_t m, std::int32_t* x) {
        x[7] = 2 * (2 * m + static_cast<std::int32_t>(k & 1)) + static_cast<std::int32_t>(k >> 1);
    }
};

struct Leech {
    static constexpr unsigned kDim = 24;
    static constexpr unsigned kLast = 5;
    template <class R>
    static unsigned free(const State& s, Cursors& at, const std::array<R, kMaxStreams>& in, std::int32_t* x) {
        const unsigned h = bit_of(s, 0, at.vector);
        unsigned m = 0;
        for (unsigned i = 0; i < 12; ++i) m |= bit_of(s, 1, 12 * at.vector + i) << i;
        const std::uint32_t c = kWords[m];
        std::int32_t sum = static_cast<std::int32_t>(h);
        for (unsigned i = 0; i < 23; ++i) {
            const unsigned ci = c >> i & 1;
            const unsigned k = h != 0 ? 2 : ci;
            const std::int32_t y = in[2 + k][at.free[k]++];
            x[i] = place(h, ci, y);
            sum ^= x[i] >> 2;
        }
        const unsigned c23 = c >> 23;
        const unsigned p = (static_cast<unsigned>(sum) ^ (h & c23)) & 1;
        // What `finish` must know of the vector.
        x[23] = static_cast<std::int32_t>(2 * h + c23);
        return 3 * p + (h != 0 ? 2 : c23);
    }
    static void finish(unsigned k, std::int32_t m, std::int32_t* x) {
        const std::int32_t y = 2 * m + static_cast<std::int32_t>(k >= 3);
        x[23] = place(static_cast<unsigned>(x[23]) >> 1, static_cast<unsigned>(x[23]) & 1, y);
    }
    static std::int32_t place(unsigned h, unsigned c, std::int32_t y) {
        const std::int32_t z = (h & c) != 0 ? -1 - y : y;
        return static_cast<std::int32_t>(h + 2 * c) + 4 * z;
    }
};

std::array<Symbols, kMaxStreams> symbols_of(const State& s) {
    return {Symbols(s.streams[0]), Symbols(s.streams[1]), Symbols(s.streams[2]),
            Symbols(s.streams[3]), Symbols(s.streams[4]), Symbols(s.streams[5])};
}

[[gnu::always_inline]] inline void to_floats(const std::int16_t* x, std::size_t n, float scale,
                                             float* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]) * scale;
}

using ScaleFn = void (*)(const std::int16_t* x, std::size_t n, float scale, float* out);

void scale_portable(const std::int16_t* x, std::size_t n, float scale, float* out) {
    to_floats(x, n, scale, out);
}
#if QC_X86
QC_TARGET("avx2")
void scale_avx2(const std::int16_t* x, std::size_t n, float scale, float* out) {
    to_floats(x, n, scale, out);
}
QC_TARGET_END
constinit const Variants<ScaleFn> scale_points{scale_portable, scale_avx2};
#else
constinit const Variants<ScaleFn> scale_points{scale_portable};
#endif

// requires  integers of magnitude up to 2^24, so coordinates fit 32 bits
template <class L, class R, class T>
bool next(const State& s, const std::array<R, kMaxStreams>& in, Cursors& at, std::size_t n, T* out) {
    bool beyond = false;
    for (std::size_t v = 0; v < n; ++v, ++at.vector, out += L::kDim) {
        std::int32_t x[L::kDim];
        const unsigned k = L::free(s, at, in, x);
        L::finish(k, in[L::kLast][at.last[k]++], x);
        for (unsigned i = 0; i < L::kDim; ++i) {
            out[i] = static_cast<T>(x[i]);
            beyond |= x[i] > kMaxCoordinate || x[i] < -kMaxCoordinate;
        }
    }
    return !beyond;
}

template <class L>
void count(const State& s, std::size_t* counts) {
    const auto in = symbols_of(s);
    Cursors at = s.cursors;
    for (; at.vector < s.vectors; ++at.vector) {
        std::int32_t x[L::kDim];
        ++counts[L::free(s, at, in, x)];
    }
}

template <class L>
void next_symbols(const State& s, Cursors& at, std::size_t n, float scale, bool, float* out) {
    constexpr std::size_t kGroup = 1024 / L::kDim;  // stays in L1
    std::int16_t points[kGroup * L::kDim];
    while (n > 0) {
        const std::size_t m = std::min(n, kGroup);
        next<L>(s, symbols_of(s), at, m, points);
        scale_points.pick()(points, m * L::kDim, scale, out);
        n -= m;
        out += m * L::kDim;
    }
}

template <class L>
constexpr Merge kPortable{next_symbols<L>, count<L>, false};

}  // namespace

const Merge kMergePortable[5] = {{}, kPortable<Z>, kPortable<D4>, kPortable<E8>, kPortable<Leech>};

void measure_leech_portable(const std::uint8_t* h, const std::uint8_t* c, std::size_t vectors,
                            std::size_t* lengths) {
    for (std::size_t v = 0; v < vectors; ++v, c += 12) {
        const std::uint64_t low = load<std::uint64_t>(c) * 0x0102040810204080u >> 56;
        const std::uint64_t high = load<std::uint32_t>(c + 8) * std::uint64_t{0x10204080} >> 24 & 0xF0;
        const std::size_t ones = kWeights[low | high << 4];
        const std::size_t even = h[v] ^ 1;
        lengths[0] += even * (23 - ones);
        lengths[1] += even * ones;
        lengths[2] += 23 - 23 * even;
    }
}

const std::uint32_t* golay_words() noexcept { return kWords.data(); }
const std::uint8_t* golay_weights() noexcept { return kWeights.data(); }

const Merge& merge_of(Kind kind, const State& s) noexcept {
#if QC_X86
    const auto fits = [&](const Merge& merge) {
        return merge.next != nullptr && (merge.takes == nullptr || merge.takes(s));
    };
    if (active_isa() >= Isa::kAvx512 && fits(kMergeAvx512[kind])) return kMergeAvx512[kind];
    if (active_isa() >= Isa::kAvx2 && fits(kMergeAvx2[kind])) return kMergeAvx2[kind];
#else
    (void)s;
#endif
    return kMergePortable[kind];
}

bool merge_escapes(Kind kind, const State& s, const Cursors& begin, const Cursors& end, std::size_t n,
                   std::int32_t* out) {
    Integers integers;
    Cursors at = begin;
    for (unsigned k = 0; k < std::size(at.free); ++k) {
        at.free[k] = integers.put(s.stream_of(k), begin.free[k], end.free[k]);
    }
    for (unsigned k = 0; k < kMaxClasses; ++k) {
        at.last[k] = integers.put(s.last_stream(), begin.last[k], end.last[k]);
    }
    std::array<const std::int32_t*, kMaxStreams> in;
    in.fill(integers.data());
    switch (kind) {
        case kZ: return next<Z>(s, in, at, n, out);
        case kD4: return next<D4>(s, in, at, n, out);
        case kE8: return next<E8>(s, in, at, n, out);
        case kLeech: return next<Leech>(s, in, at, n, out);
        case kNone: break;
    }
    return false;
}

}  // namespace qc::lattice
