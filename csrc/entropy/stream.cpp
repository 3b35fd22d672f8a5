#include "entropy/stream.hpp"

#include <algorithm>
#include <cstring>

#include "entropy/bitpack.hpp"
#include "entropy/worth.hpp"

namespace qc {

Status StreamReader::open(ByteReader& in, const CoderKernel& coder, std::size_t count,
                          unsigned bits, std::uint8_t* memory) noexcept {
    std::uint8_t mode = 0;
    const std::size_t start = in.at();
    QC_TRY(in.get(mode, "stream: mode"));
    if (mode > 2) return corrupt("stream: unknown mode", start);
    mode_ = static_cast<StreamMode>(mode);
    coder_ = &coder;
    memory_ = memory;
    bits_ = bits;
    at_ = 0;
    switch (mode_) {
        case StreamMode::kStored:
            QC_TRY(in.take(packed_bytes(count, bits), payload_, "stream: stored symbols"));
            if (!padding_is_zero(payload_.data(), count, bits)) {
                return corrupt("stream: bits after the last symbol", in.at() - 1);
            }
            return kOkStatus;
        case StreamMode::kConstant: {
            std::uint8_t symbol = 0;
            QC_TRY(in.get(symbol, "stream: constant symbol"));
            if (symbol >> bits != 0) {
                return corrupt("stream: constant symbol too wide", in.at() - 1);
            }
            std::memset(memory_, symbol, std::min(count, kBlock));
            return kOkStatus;
        }
        case StreamMode::kCoded: {
            std::uint64_t length = 0;
            QC_TRY(in.varint(length, "stream: length"));
            if (length == 0) return corrupt("stream: length 0", in.at() - 1);
            const std::size_t at = in.at();
            QC_TRY(in.take(length, payload_, "stream: coded symbols"));
            Status status = coder.open(memory_, payload_, count, bits);
            status.at += at;
            return status;
        }
    }
    return kOkStatus;
}

Status StreamReader::next(std::size_t n, const std::uint8_t** symbols) noexcept {
    if (mode_ == StreamMode::kCoded) return coder_->next(memory_, n, symbols);
    if (mode_ == StreamMode::kConstant) {
        *symbols = memory_;
    } else if (bits_ == 8) {
        *symbols = payload_.data() + at_;
    } else {
        unpack_symbols.pick()(payload_.data() + at_ / 8 * bits_, bits_, n, memory_);
        *symbols = memory_;
    }
    at_ += n;
    return kOkStatus;
}

Status StreamReader::skip(std::size_t n) noexcept {
    if (mode_ == StreamMode::kCoded) return coder_->skip(memory_, n);
    at_ += n;
    return kOkStatus;
}

Status StreamReader::finish() noexcept {
    return mode_ == StreamMode::kCoded ? coder_->finish(memory_) : kOkStatus;
}

std::size_t put_stream(const std::uint8_t* symbols, std::size_t n, unsigned bits,
                       const CoderKernel& coder, Workspace& workspace, std::uint8_t* out) {
    if (std::memcmp(symbols, symbols + 1, n - 1) == 0) {
        out[0] = static_cast<std::uint8_t>(StreamMode::kConstant);
        out[1] = symbols[0];
        return 2;
    }
    const std::size_t stored = packed_bytes(n, bits);
    // What the length field costs counts against coding too; coded bytes move up to meet it.
    std::uint8_t length[kMaxVarint];
    const std::size_t most = put_varint(length, stored);
    const std::size_t room = stored - stored / kLeastSaving;
    if (room > most && may_pay({symbols, n}, bits)) {
        const std::size_t coded =
            coder.encode({symbols, n}, bits, workspace, {out + 1 + most, room - most});
        if (coded > 0) {
            const std::size_t used = put_varint(length, coded);
            out[0] = static_cast<std::uint8_t>(StreamMode::kCoded);
            std::memcpy(out + 1, length, used);
            std::memmove(out + 1 + used, out + 1 + most, coded);
            return 1 + used + coded;
        }
    }
    out[0] = static_cast<std::uint8_t>(StreamMode::kStored);
    pack_symbols.pick()(symbols, bits, n, out + 1);
    return 1 + stored;
}

}  // namespace qc
