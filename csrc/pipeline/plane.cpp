#include "pipeline/plane.hpp"

#include <algorithm>
#include <cstring>

namespace qc {

Status read_whole_stream(ByteReader& in, const CoderKernel& coder, std::size_t n, unsigned bits,
                         Workspace& workspace, std::uint8_t* out) {
    PlaneReader reader;
    QC_TRY(reader.open(in, coder, n, bits, workspace, Workspace::kState0));
    for (std::size_t at = 0; at < n; at += kBlock) {
        const std::size_t m = std::min(kBlock, n - at);
        const std::uint8_t* symbols = nullptr;
        QC_TRY(reader.next(m, &symbols));
        std::memcpy(out + at, symbols, m);
    }
    return reader.finish();
}

}  // namespace qc
