// entropy/bloomier_encode.cpp - symbols to tiles: rows in the order of the stream, a band of 64 slots.
//
// Keys go in as their blocks are visited. The band's start is kept a little behind the count of slots taken, so
// that rows find room; a row that contradicts the others is stored as an exception. So encoding cannot fail,
// and other attempts only save bytes.
#include <algorithm>
#include <bit>
#include <vector>

#include "core/bytes.hpp"
#include "entropy/bloomier.hpp"

#if QC_X86
#include <emmintrin.h>
#endif

namespace qc::bloomier {
namespace {

constexpr std::uint32_t kAttempts = 6;
constexpr std::int64_t kLead = 24;       // slots of the band before its middle: less leaves holes
constexpr std::size_t kSpare = 4;        // slots more than keys
constexpr std::size_t kHeader = 4 + 32 + 4 * kMaxVarint + 3;

struct Keys {
    std::vector<std::uint32_t> position;
    std::vector<std::uint32_t> visit;    // of its block
    std::vector<std::uint8_t> word;
    std::size_t n = 0;

    void reserve(std::size_t most) {
        n = 0;
        if (position.size() >= most) return;
        position.resize(most);
        visit.resize(most);
        word.resize(most);
    }
    void push(std::uint32_t p, std::uint32_t v, std::uint8_t w) noexcept {
        position[n] = p;
        visit[n] = v;
        word[n++] = w;
    }
    std::size_t size() const noexcept { return n; }
};

// Rows by their lowest slot. Memory is kept from call to call.
struct Band {
    std::vector<std::uint64_t> row;
    std::vector<std::uint16_t> word;
    std::size_t size = 0;

    void reset(std::size_t slots) {
        row.assign(slots, 0);
        word.assign(slots, 0);
        size = slots;
    }
    void grow(std::size_t slots) {
        if (slots <= size) return;
        row.resize(slots + slots / 2, 0);
        word.resize(slots + slots / 2, 0);
        size = row.size();
    }

    enum Result { kTaken, kRedundant, kContradiction };
    Result insert(std::size_t slot, std::uint64_t c, unsigned v) noexcept {
        while (c != 0) {
            const int k = std::countr_zero(c);
            slot += static_cast<std::size_t>(k);
            c >>= k;
            const std::uint64_t other = row[slot];
            if (other == 0) {
                row[slot] = c;
                word[slot] = static_cast<std::uint16_t>(v);
                return kTaken;
            }
            c ^= other;
            v ^= word[slot];
        }
        return v != 0 ? kContradiction : kRedundant;
    }

    // Planes first .. first + kBits - 1 of r: back substitution from the last slot; slots without a row are 0.
    template <unsigned kBits>
    void solve_planes(std::size_t tiles, unsigned first, unsigned r, std::uint8_t* out) const noexcept {
        std::uint64_t plane[kBits] = {};
        for (std::size_t t = tiles; t-- > 0;) {
            for (std::size_t k = 8; k-- > 0;) {
                const std::uint64_t c = row[t * 8 + k];
                // Parities of all planes at once: each folded to a byte, the bytes together to bits.
                std::uint64_t folded = 0;
                for (unsigned i = 0; i < kBits; ++i) {
                    plane[i] <<= 1;
                    std::uint64_t x = plane[i] & c;
                    x ^= x >> 32;
                    x ^= x >> 16;
                    x ^= x >> 8;
                    folded |= (x & 255) << 8 * i;
                }
                folded ^= folded >> 4;
                folded ^= folded >> 2;
                folded ^= folded >> 1;
                const unsigned own = word[t * 8 + k] >> first;
                for (unsigned i = 0; i < kBits; ++i) plane[i] |= (folded >> 8 * i ^ own >> i) & 1;
            }
            for (unsigned i = 0; i < kBits; ++i) out[t * r + first + i] = static_cast<std::uint8_t>(plane[i]);
        }
    }

    void solve(std::size_t tiles, unsigned r, std::uint8_t* out) const noexcept {
        for (unsigned first = 0; first < r; first += 8) {
            switch (r - first) {
                case 1: solve_planes<1>(tiles, first, r, out); break;
                case 2: solve_planes<2>(tiles, first, r, out); break;
                case 3: solve_planes<3>(tiles, first, r, out); break;
                case 4: solve_planes<4>(tiles, first, r, out); break;
                case 5: solve_planes<5>(tiles, first, r, out); break;
                case 6: solve_planes<6>(tiles, first, r, out); break;
                case 7: solve_planes<7>(tiles, first, r, out); break;
                default: solve_planes<8>(tiles, first, r, out);
            }
        }
    }
};

struct Scratch {
    Keys keys;
    Band band;
    std::vector<std::uint32_t> exceptions;  // by their number among the keys
    std::vector<std::uint32_t> advances;
};

struct Alphabet {
    std::uint8_t zero = 0;
    unsigned lowest = 0, highest = 0, values = 0;
    std::size_t others = 0;              // symbols that are not zero
    std::uint8_t word_of[256];
    std::uint8_t used[32] = {};          // bits, from the lowest on

    explicit Alphabet(std::span<const std::uint8_t> symbols) noexcept {
        std::uint32_t counts[4][256] = {};
        std::size_t i = 0;
        for (; i + 4 <= symbols.size(); i += 4) {
            for (std::size_t k = 0; k < 4; ++k) ++counts[k][symbols[i + k]];
        }
        for (; i < symbols.size(); ++i) ++counts[0][symbols[i]];
        for (unsigned v = 0; v < 256; ++v) {
            for (unsigned k = 1; k < 4; ++k) counts[0][v] += counts[k][v];
        }
        zero = static_cast<std::uint8_t>(std::max_element(counts[0], counts[0] + 256) - counts[0]);
        others = symbols.size() - counts[0][zero];
        lowest = 256;
        for (unsigned v = 0; v < 256; ++v) {
            if (counts[0][v] == 0 || v == zero) continue;
            lowest = std::min(lowest, v);
            highest = v;
            used[(v - lowest) / 8] |= static_cast<std::uint8_t>(1u << (v - lowest) % 8);
            word_of[v] = static_cast<std::uint8_t>(values++);
        }
    }
};

// One bit for each of m <= 16 symbols that is another one than `zero`.
unsigned others(const std::uint8_t* symbols, std::size_t m, std::uint8_t zero) noexcept {
#if QC_X86
    if (m == kBlockSize) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols));
        const __m128i same = _mm_cmpeq_epi8(v, _mm_set1_epi8(static_cast<char>(zero)));
        return static_cast<unsigned>(_mm_movemask_epi8(same)) ^ 0xFFFF;
    }
#endif
    unsigned found = 0;
    for (std::size_t k = 0; k < m; ++k) found |= static_cast<unsigned>(symbols[k] != zero) << k;
    return found;
}

// Keys in the order in which their blocks are visited.
void gather_keys(std::span<const std::uint8_t> symbols, const Alphabet& alphabet, Scratch& s) {
    Keys& keys = s.keys;
    const std::size_t n = symbols.size(), blocks = blocks_of(n);
    keys.reserve(alphabet.others);
    for (std::size_t first = 0; first < blocks; first += kWindow) {
        const auto k = static_cast<std::uint32_t>(std::min(kWindow, blocks - first));
        const std::uint32_t stride = stride_of(k);
        for (std::uint32_t i = 0, q = 0; i < k; ++i, q = q + stride >= k ? q + stride - k : q + stride) {
            const std::size_t begin = (first + q) * kBlockSize;
            const std::size_t m = std::min(kBlockSize, n - begin);
            for (unsigned found = others(symbols.data() + begin, m, alphabet.zero); found != 0; found &= found - 1) {
                const std::size_t p = begin + static_cast<std::size_t>(std::countr_zero(found));
                keys.push(static_cast<std::uint32_t>(p), static_cast<std::uint32_t>(first + i),
                          alphabet.word_of[symbols[p]]);
            }
        }
    }
}

std::uint64_t row_of(std::uint32_t seed, std::uint32_t p) noexcept {
    const std::uint32_t block = p & ~15u;
    std::uint64_t row = 0;
    for (std::uint32_t j = 0; j < 8; ++j) {
        const std::uint32_t a = j < 4 ? p : block + ((p + kTurn[j - 4]) & 15);
        const std::uint32_t word = mix((a / 4 * 4 + j % 4) * kPhi + seed);
        row |= static_cast<std::uint64_t>(word >> 8 * (a % 4) & 255) << 8 * j;
    }
    return row;
}

constexpr unsigned mask_of(std::uint64_t row) noexcept {
    // No fixed vector of slots may give the mask: without one, or with the sum of all columns, planes that no
    // value uses solve to a constant, and every position answers with a value. Not linear: none can. Nor may two
    // planes have one mask: they would answer alike.
    return static_cast<unsigned>((row ^ (row >> 8 & row >> 16)) & 0xFFFF);
}

std::uint32_t zigzag(std::int64_t v) noexcept { return static_cast<std::uint32_t>(v < 0 ? -2 * v - 1 : 2 * v); }

struct Attempt {
    std::size_t tiles = 0;
    std::uint32_t reference = 0;
    unsigned order = 0;
    std::uint64_t advance_bits = 0;
};

// Fills band, advances and exceptions of the scratch.
Attempt solve_keys(Scratch& s, std::size_t count, unsigned r, unsigned bucket, std::uint32_t seed) {
    const Keys& keys = s.keys;
    const std::size_t n = keys.size(), blocks = blocks_of(count), per = std::size_t{1} << (bucket - 4);
    const std::size_t buckets = (blocks + per - 1) / per;
    const unsigned words = (1u << r) - 1, hashed = hash_seed(seed);
    Attempt made;
    s.band.reset(n + 512);
    s.exceptions.clear();
    s.advances.assign(buckets, 0);
    std::size_t start = 0, taken = 0, holes = 0, checked = 0, a = 0;
    for (std::size_t b = 0; b < buckets; ++b) {
        const std::size_t here = std::min(per, blocks - b * per);
        std::size_t end = a;
        while (end < n && keys.visit[end] < b * per + here) ++end;
        // Slots that the band has left behind without a row.
        for (; checked < start * 8; ++checked) holes += s.band.row[checked] == 0;
        const std::size_t needed = (n - s.exceptions.size() + holes + kSpare + 7) / 8;
        const std::size_t top = std::max(start, needed > kRowTiles ? needed - kRowTiles : 0);
        made.tiles = std::max(needed, top > 0 ? top + kRowTiles : 0);
        s.band.grow((made.tiles + 2 * kRowTiles) * 8);

        const std::int64_t wanted = static_cast<std::int64_t>(taken + holes + (end - a)) - kLead;
        std::size_t next = wanted < 0 ? 0 : static_cast<std::size_t>(wanted + 4) / 8;
        next = std::clamp(next, start, std::min(top, start + 2 * here));
        std::size_t advance = next - start;
        if (here < per) {
            // A short last bucket states the advance of a whole one.
            advance = advance * per / here;
            while (start + ((here - 1) * advance >> (bucket - 4)) > top) --advance;
        }
        s.advances[b] = static_cast<std::uint32_t>(advance);
        for (; a < end; ++a) {
            const std::size_t tile = start + ((keys.visit[a] - b * per) * advance >> (bucket - 4));
            std::uint64_t row = row_of(hashed, keys.position[a]);
            const unsigned word = (keys.word[a] ^ mask_of(row)) & words;
            // Tiles behind the last are zero.
            if (made.tiles < kRowTiles) row &= made.tiles == 0 ? 0 : ~std::uint64_t{0} >> (64 - 8 * made.tiles);
            if (s.band.insert(tile * 8, row, word) == Band::kContradiction) {
                s.exceptions.push_back(static_cast<std::uint32_t>(a));
            } else {
                ++taken;
            }
        }
        start = next;
    }
    std::uint64_t sum = 0;
    for (const std::uint32_t d : s.advances) sum += d;
    made.reference = static_cast<std::uint32_t>(std::min<std::uint64_t>(255, (2 * sum + buckets) / (2 * buckets)));
    made.advance_bits = ~std::uint64_t{0};
    for (unsigned k = 0; k <= kMaxOrder; ++k) {
        std::uint64_t bits = 0;
        for (const std::uint32_t d : s.advances) {
            bits += (zigzag(static_cast<std::int64_t>(d) - made.reference) >> k) + 1 + k;
        }
        if (bits < made.advance_bits) {
            made.advance_bits = bits;
            made.order = k;
        }
    }
    return made;
}

}  // namespace

unsigned values_in_use(std::span<const std::uint8_t> symbols) noexcept { return Alphabet(symbols).values; }

std::size_t encode(std::span<const std::uint8_t> symbols, unsigned, Options options, Workspace&,
                   std::span<std::uint8_t> out) {
    thread_local Scratch s;
    const Alphabet alphabet(symbols);
    const std::size_t count = symbols.size();
    const unsigned r = options.bits;
    gather_keys(symbols, alphabet, s);
    const std::uint64_t n = s.keys.size();
    // Tiles alone are too long.
    if (n / 8 * r >= out.size()) return 0;
    // About 128 keys in a bucket: 91 are half an octave less.
    unsigned bucket = kMinBucket;
    while (bucket < kMaxBucket && n << bucket < std::uint64_t{91} * count) ++bucket;

    const auto position_bits = static_cast<unsigned>(std::bit_width(count - 1));
    std::size_t best = out.size();
    unsigned worse = 0;
    for (std::uint32_t k = 0; k < kAttempts; ++k) {
        const std::uint32_t seed = 16 * options.seed + k;
        const Attempt made = solve_keys(s, count, r, bucket, seed);
        const std::uint64_t exception_bits = s.exceptions.size() * std::uint64_t{position_bits + r};
        std::uint8_t header[kHeader] = {};
        std::size_t at = 0;
        header[at++] = static_cast<std::uint8_t>(r);
        header[at++] = alphabet.zero;
        header[at++] = static_cast<std::uint8_t>(alphabet.lowest);
        header[at++] = static_cast<std::uint8_t>(alphabet.highest);
        std::memcpy(header + at, alphabet.used, bytes_for_bits(alphabet.highest - alphabet.lowest + 1));
        at += bytes_for_bits(alphabet.highest - alphabet.lowest + 1);
        at += put_varint(header + at, n);
        at += put_varint(header + at, seed);
        at += put_varint(header + at, made.tiles);
        at += put_varint(header + at, s.exceptions.size());
        header[at++] = static_cast<std::uint8_t>(bucket);
        header[at++] = static_cast<std::uint8_t>(made.reference);
        header[at++] = static_cast<std::uint8_t>(made.order);
        const std::size_t size = at + made.tiles * r + bytes_for_bits(made.advance_bits + exception_bits);
        const bool better = size < best;
        if (better) {
            best = size;
            std::memcpy(out.data(), header, at);
            s.band.solve(made.tiles, r, out.data() + at);
            BitWriter bits(out.data() + at + made.tiles * r);
            for (const std::uint32_t d : s.advances) {
                const std::uint32_t z = zigzag(static_cast<std::int64_t>(d) - made.reference);
                for (std::uint32_t ones = z >> made.order; ones > 0; --ones) bits.put(1, 1);
                bits.put(0, 1);
                bits.put(z & ((1u << made.order) - 1), made.order);
            }
            std::sort(s.exceptions.begin(), s.exceptions.end(), [&](std::uint32_t x, std::uint32_t y) {
                return s.keys.position[x] < s.keys.position[y];
            });
            for (const std::uint32_t e : s.exceptions) {
                bits.put(s.keys.position[e], position_bits);
                bits.put(s.keys.word[e], r);
            }
            bits.finish();
        }
        const bool few = exception_bits <= std::max<std::uint64_t>(64, made.advance_bits / 4 + n * r / 2000);
        // A smaller bucket can be worse, and the next one better.
        worse = better ? 0 : worse + 1;
        if (few || worse == 2) break;
        if (bucket > kMinBucket) --bucket;
    }
    return best < out.size() ? best : 0;
}

}  // namespace qc::bloomier
