#include "pipeline/plane.hpp"

#include <algorithm>
#include <cstring>

namespace qc {
namespace {

constexpr std::uint8_t kRansId = 3;

Status read_abreast(std::span<WholePlane> planes) {
    rans::Stream* streams[rans::kMostAbreast];
    WholePlane* taken[rans::kMostAbreast];
    unsigned count = 0;
    for (WholePlane& plane : planes) {
        rans::Stream* const stream = rans_stream(*plane.reader);
        if (stream == nullptr || !rans::can_go_abreast(*stream)) continue;
        streams[count] = stream;
        taken[count++] = &plane;
    }
    const auto has_block = [](const WholePlane* plane) { return plane->n >= kBlock; };
    while (count > 1 && std::all_of(taken, taken + count, has_block)) {
        std::uint8_t* out[rans::kMostAbreast];
        for (unsigned k = 0; k < count; ++k) out[k] = taken[k]->out;
        QC_TRY(rans::next_abreast(streams, count, kBlock, out));
        for (unsigned k = 0; k < count; ++k) {
            rans::advance(taken[k]->reader->state(), kBlock);
            taken[k]->n -= kBlock;
            taken[k]->out += kBlock;
        }
    }
    return kOkStatus;
}

}  // namespace

rans::Stream* rans_stream(const PlaneReader& reader, bool or_trellis) noexcept {
    if (reader.mode() != StreamMode::kCoded || reader.coder().id != kRansId) return nullptr;
    return rans::wide_stream(reader.state(), or_trellis);
}

Status read_planes(std::span<WholePlane> planes) {
    QC_TRY(read_abreast(planes));
    for (const WholePlane& plane : planes) {
        for (std::size_t at = 0; at < plane.n; at += kBlock) {
            const std::size_t m = std::min(kBlock, plane.n - at);
            const std::uint8_t* symbols = nullptr;
            QC_TRY(plane.reader->next(m, &symbols));
            std::memcpy(plane.out + at, symbols, m);
        }
        QC_TRY(plane.reader->finish());
    }
    return kOkStatus;
}

Status read_whole_stream(ByteReader& in, const CoderKernel& coder, std::size_t n, unsigned bits,
                         Workspace& workspace, std::uint8_t* out) {
    PlaneReader reader;
    QC_TRY(reader.open(in, coder, n, bits, workspace, Workspace::kState0));
    WholePlane plane{&reader, n, out};
    return read_planes({&plane, 1});
}

}  // namespace qc
