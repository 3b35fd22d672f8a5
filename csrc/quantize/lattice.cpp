// quantize/lattice.cpp - the quantizer `lattice`: its section, the lengths of its streams, and elements.
#include "quantize/lattice.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bytes.hpp"
#include "quantize/floats.hpp"
#include "quantize/quantizer.hpp"

namespace qc {
namespace {

using namespace lattice;

constexpr std::uint64_t kNoLength = kChunk + kMaxDim;

Kind kind_of(const TensorSpec& t) noexcept { return static_cast<Kind>(t.lattice); }
State& state_of(const ChunkState& state) noexcept { return *static_cast<State*>(state.own); }

bool is_scale(float scale) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(scale);
    return bits >= 0x00800000u && bits < 0x7F800000u;
}

Status open(const TensorSpec& t, ChunkRange range, ByteReader& in, Workspace& workspace,
            ChunkState& state) {
    State& s = *new (workspace.get(Workspace::kParams, sizeof(State))) State{};
    state.own = &s;
    s.form = kForms[t.lattice];
    s.vectors = (range.count + s.form.dim - 1) / s.form.dim;
    QC_TRY(in.get(s.scale, "lattice: scale"));
    if (!is_scale(s.scale)) return corrupt("lattice: scale", in.at() - sizeof s.scale);
    state.planes = s.form.streams;
    for (unsigned k = 0; k < s.form.streams; ++k) {
        std::uint8_t width = 1;
        if (k >= s.form.bit_streams) {
            QC_TRY(in.get(width, "lattice: width"));
            if (width < 1 || width > 8) return corrupt("lattice: width", in.at() - 1);
        }
        state.bits[k] = s.width[k] = width;
    }
    std::uint64_t escapes = 0;
    for (unsigned k = s.form.bit_streams; k < s.form.streams; ++k) {
        if (s.width[k] < 8) continue;
        std::uint64_t n = 0;
        QC_TRY(in.varint(n, "lattice: escapes"));
        if (n > kNoLength) return corrupt("lattice: more escapes than integers", in.at() - 1);
        s.escapes[k] = static_cast<std::size_t>(n);
        escapes += n;
    }
    s.escaping = escapes > 0;
    const std::size_t at = in.at();
    QC_TRY(in.take(4 * escapes, s.values, "lattice: escaped values"));
    for (std::size_t i = 0; i < s.values.size(); i += 4) {
        const auto q = load<std::int32_t>(s.values.data() + i);
        if (q > kMaxCoordinate || q < -kMaxCoordinate) return corrupt("lattice: escaped value", at + i);
    }
    return kOkStatus;
}

#if QC_X86
constexpr Variants<MeasureFn> measure_leech{measure_leech_portable, measure_leech_avx2, measure_leech_avx512};
#else
constexpr Variants<MeasureFn> measure_leech{measure_leech_portable};
#endif

Status next_plane(const TensorSpec& t, ChunkRange, ChunkState& state, unsigned k,
                  const std::uint8_t* const* planes, std::size_t& count, unsigned& bits) noexcept {
    State& s = state_of(state);
    switch (kind_of(t)) {
        case kLeech:
            if (k == 1) s.length[1] = 12 * s.vectors;
            if (k == 2) measure_leech.pick()(planes[0], planes[1], s.vectors, s.length + 2);
            if (k == 0 || k == 5) s.length[k] = s.vectors;
            break;
        case kE8: s.length[k] = k == 1 ? 7 * s.vectors : s.vectors; break;
        case kD4: s.length[k] = k == 0 ? 3 * s.vectors : s.vectors; break;
        default: s.length[k] = s.vectors; break;
    }
    if (s.escapes[k] > s.length[k]) return corrupt("lattice: more escapes than integers");
    count = s.length[k];
    bits = s.width[k];
    return kOkStatus;
}

// Finds the escapes, and makes their symbols ones of the same parity.
Status open_escapes(State& s, Workspace& workspace) noexcept {
    std::size_t room = s.values.size();
    for (unsigned k = s.form.bit_streams; k < s.form.streams; ++k) {
        if (s.escapes[k] > 0) room += s.length[k] + kPlaneSlack;
    }
    std::uint8_t* const slot = workspace.get(Workspace::kEscapes, room);
    auto* place = reinterpret_cast<std::uint32_t*>(slot);
    std::uint8_t* to = slot + s.values.size();
    const std::uint8_t* value = s.values.data();
    for (unsigned k = s.form.bit_streams; k < s.form.streams; ++k) {
        if (s.escapes[k] == 0) continue;
        Stream& stream = s.streams[k];
        const std::uint8_t* const from = stream.symbols;
        std::memcpy(to, from, s.length[k] + kPlaneSlack);
        stream = {to, stream.zero, {place, s.escapes[k]}, value};
        std::size_t found = 0;
        for (std::size_t at = 0; at < s.length[k]; ++at, ++found, value += 4) {
            const void* const hit = std::memchr(from + at, 0, s.length[k] - at);
            if (hit == nullptr) break;
            if (found == s.escapes[k]) return corrupt("lattice: more escape symbols than values");
            at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - from);
            *place++ = static_cast<std::uint32_t>(at);
            to[at] = *value & 1;  // the zero of eight bits is even
        }
        if (found != s.escapes[k]) return corrupt("lattice: fewer escape symbols than values");
        to += s.length[k] + kPlaneSlack;
    }
    return kOkStatus;
}

// Before the first element: where the entries of every class begin.
Status start(const TensorSpec& t, State& s, const ChunkState& state, const std::uint8_t* const* planes,
             Workspace& workspace) noexcept {
    // A second reading of the section knows no lengths yet.
    const bool measured = s.length[0] > 0;
    ChunkState again = state;
    for (unsigned k = 0; k < s.form.streams; ++k) {
        std::size_t count = 0;
        unsigned bits = 0;
        if (!measured) QC_TRY(next_plane(t, {}, again, k, planes, count, bits));
        s.streams[k] = {planes[k], k < s.form.bit_streams ? 0 : 1 << (s.width[k] - 1), {}, nullptr};
        if (s.width[k] == 8 && s.escapes[k] == 0 &&
            std::memchr(planes[k], 0, s.length[k]) != nullptr) {
            return corrupt("lattice: more escape symbols than values");
        }
    }
    s.cursors = {};
    s.n_left = 0;
    if (s.escaping) QC_TRY(open_escapes(s, workspace));
    if (kind_of(t) == kE8) {
        std::size_t odd = 0;
        for (std::size_t v = 0; v < s.vectors; ++v) odd += planes[0][v];
        s.cursors.free[1] = 7 * (s.vectors - odd);
    }
    std::size_t counts[kMaxClasses] = {};
    const Merge& merge = merge_of(kind_of(t), s);
    if (merge.place != nullptr) merge.place(s, workspace);
    merge.count(s, counts);
    for (unsigned k = 1; k < kMaxClasses; ++k) {
        s.cursors.last[k] = s.cursors.last[k - 1] + counts[k - 1];
    }
    return kOkStatus;
}

// The next vectors, in float32.
Status next_vectors(const TensorSpec& t, ChunkRange range, State& s, std::size_t vectors, bool stream,
                    float* out) noexcept {
    const std::size_t n = vectors * s.form.dim;
    const std::uint64_t first = range.first + s.cursors.vector * s.form.dim;
    const float factor = t.dither ? 1.0f : s.scale;
    const Merge& merge = merge_of(kind_of(t), s);
    // Escapes are few: where some are, vectors are merged once more.
    const std::size_t most = s.escaping ? kGroup / s.form.dim : vectors;
    for (std::size_t v = 0; v < vectors; v += most) {
        const std::size_t some = std::min(most, vectors - v);
        float* const to = out + v * s.form.dim;
        const Cursors before = s.cursors;
        merge.next(s, s.cursors, some, factor, stream, to);
        if (!s.escaping || !s.has_escapes(before, s.cursors)) continue;
        std::int32_t points[kGroup];
        if (!merge_escapes(kind_of(t), s, before, s.cursors, some, points)) {
            return corrupt("lattice: a coordinate beyond 2^24");
        }
        for (std::size_t i = 0; i < some * s.form.dim; ++i) to[i] = static_cast<float>(points[i]) * factor;
    }
    if (!t.dither) return kOkStatus;
    subtract_dither(kind_of(t), t.seed, first, vectors, out);
    for (std::size_t i = 0; i < n; ++i) out[i] *= s.scale;
    return kOkStatus;
}

bool streams(const TensorSpec& t, const ChunkState& state, DType to) noexcept {
    return to == DType::kF32 && !t.dither && !state_of(state).escaping && merge_of(kind_of(t), state_of(state)).streams;
}

Status inverse(const TensorSpec& t, ChunkRange range, ChunkState& state,
               const std::uint8_t* const* planes, std::size_t at, std::size_t n, std::uint8_t* out,
               DType out_dtype, Workspace& workspace) noexcept {
    State& s = state_of(state);
    if (at == 0) QC_TRY(start(t, s, state, planes, workspace));
    const bool direct = out_dtype == DType::kF32;
    float* const values = direct ? reinterpret_cast<float*>(out)
                                 : workspace.get_as<float>(Workspace::kConvert, n);
    const std::size_t dim = s.form.dim;
    for (std::size_t done = 0; done < n;) {
        if (s.n_left == 0 && n - done >= dim) {
            const std::size_t vectors = (n - done) / dim;
            QC_TRY(next_vectors(t, range, s, vectors, state.stream_stores, values + done));
            done += vectors * dim;
            continue;
        }
        if (s.n_left == 0) {
            QC_TRY(next_vectors(t, range, s, 1, false, s.left));
            s.n_left = dim;
        }
        const std::size_t some = std::min(s.n_left, n - done);
        std::copy_n(s.left + dim - s.n_left, some, values + done);
        s.n_left -= some;
        done += some;
    }
    if (!direct) from_f32.pick()(values, n, out, out_dtype);
    return kOkStatus;
}

constexpr QuantizerKernel kLattice{.name = "lattice",
                                   .id = 4,
                                   .open = open,
                                   .inverse = inverse,
                                   .next_plane = next_plane,
                                   .streams = streams};
const RegisterQuantizer registered{kLattice};

}  // namespace
}  // namespace qc
