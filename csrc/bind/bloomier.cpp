// bind/bloomier.cpp - the lossy coder: encoding with its options, and what a chunk says of its rate.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/bytes.hpp"
#include "entropy/bitpack.hpp"
#include "entropy/bloomier.hpp"
#include "pipeline/parts.hpp"
#include "pipeline/plane.hpp"

namespace qc::bind {
namespace {

// The coded payload, or None where that is not shorter than storing the symbols.
py::object bloomier_encode(const Bytes& symbols, unsigned bits, unsigned word_bits, std::uint32_t seed) {
    require(bits >= 1 && bits <= 8, "bits is 1..8");
    require(word_bits >= 1 && word_bits <= bloomier::kMaxWordBits, "word_bits is 1..16");
    require(seed <= bloomier::kMaxSeed, "seed is below 2^28");
    const auto in = view(symbols);
    require(!in.empty() && in.size() <= kChunk, "a stream has 1..2^20 symbols");
    std::uint8_t all = 0;
    for (const std::uint8_t s : in) all |= s;
    require(all >> bits == 0, "a symbol is wider than bits");
    const unsigned values = bloomier::values_in_use(in);
    require(values >= 1 && values < 1u << word_bits, "values in use: 1 .. 2^word_bits - 1");
    thread_local Workspace workspace;
    thread_local Buffer buffer;
    const std::size_t room = packed_bytes(in.size(), bits);
    std::uint8_t* const out = buffer.reserve(room);
    std::size_t n = 0;
    {
        const py::gil_scoped_release release;
        n = bloomier::encode(in, bits, {word_bits, seed}, workspace, {out, room});
    }
    if (n == 0) return py::none();
    return py::bytes(reinterpret_cast<const char*>(out), n);
}

// Symbols of the profiles before the planes, which a writer stores.
Status pass_profile(const std::vector<Part>& parts, const CoderKernel& coder, ByteReader& in, Workspace& workspace) {
    std::uint64_t codes = 0;
    for (const Part& part : parts) codes += profile_codes(*part.spec, part.range);
    if (codes == 0) return kOkStatus;
    if (codes > kChunk) return corrupt("chunk: a profile of more than 2^20 codes", in.at());
    std::uint8_t* const out = workspace.get(Workspace::kConvert, static_cast<std::size_t>(codes));
    return read_whole_stream(in, coder, static_cast<std::size_t>(codes), 6, workspace, out);
}

struct Rate {
    std::uint64_t zeros;  // positions that are no keys
    double asked;         // part of them that should answer with a value
    std::uint64_t wrong;  // how many do
};

Status measure(const TensorJob& job, const std::vector<Part>& parts, std::span<const std::uint8_t> bytes,
               Workspace& workspace, std::vector<Rate>& rates) {
    ByteReader in(bytes);
    ChunkState state;
    std::size_t n = 0;
    for (const Part& part : parts) {
        QC_TRY(job.codec.quantizer->open(*part.spec, part.range, in, workspace, state));
        n += part.range.count;
    }
    QC_TRY(pass_profile(parts, *job.codec.coder, in, workspace));
    for (unsigned k = 0; k < state.planes; ++k) {
        PlaneReader reader;
        QC_TRY(reader.open(in, *job.codec.coder, n, state.bits[k], workspace, Workspace::kState0));
        if (reader.mode() != StreamMode::kCoded) {
            rates.push_back({n, 0.0, 0});
            continue;
        }
        const auto& s = *static_cast<const bloomier::State*>(reader.state());
        std::uint64_t others = 0;
        for (std::size_t at = 0; at < n; at += kBlock) {
            const std::size_t m = std::min(kBlock, n - at);
            const std::uint8_t* symbols = nullptr;
            QC_TRY(reader.next(m, &symbols));
            for (std::size_t i = 0; i < m; ++i) others += symbols[i] != s.zero;
        }
        QC_TRY(reader.finish());
        if (others < s.keys) return corrupt("bloomier: fewer symbols beside zero than keys");
        rates.push_back({n - s.keys, s.n_values / static_cast<double>(1u << s.r), others - s.keys});
    }
    return kOkStatus;
}

// For each plane of a chunk: positions that are no keys, the rate of wrong ones asked for, and how many are.
py::list bloomier_rates(const std::vector<TensorJob>& jobs, const std::vector<std::uint64_t>& firsts,
                        const std::vector<std::size_t>& counts, const Bytes& chunk) {
    require(!jobs.empty() && firsts.size() == jobs.size() && counts.size() == jobs.size(), "a range per job");
    require(jobs[0].codec.coder->id == bloomier::kId, "a codec with bloomier");
    std::vector<Part> parts;
    std::size_t n = 0;
    for (std::size_t k = 0; k < jobs.size(); ++k) {
        require(jobs[k].codec.quantizer == jobs[0].codec.quantizer, "tensors of one chunk have one codec");
        require(counts[k] >= 1 && firsts[k] <= jobs[k].spec.n && counts[k] <= jobs[k].spec.n - firsts[k],
                "no such elements");
        require(counts[k] <= kChunk - n, "more than 2^20 elements in one chunk");
        n += counts[k];
        parts.push_back({&jobs[k].spec, {firsts[k], counts[k]}});
    }
    Workspace workspace;
    std::vector<Rate> rates;
    check(measure(jobs[0], parts, view(chunk), workspace, rates));
    py::list out;
    for (const Rate& rate : rates) out.append(py::make_tuple(rate.zeros, rate.asked, rate.wrong));
    return out;
}

}  // namespace

void add_bloomier(py::module_& m) {
    m.def("bloomier_encode", &bloomier_encode, py::arg("symbols").noconvert(), py::arg("bits"),
          py::arg("word_bits"), py::arg("seed"));
    m.def("bloomier_rates", &bloomier_rates, py::arg("jobs"), py::arg("firsts"), py::arg("counts"),
          py::arg("chunk").noconvert());
}

}  // namespace qc::bind
