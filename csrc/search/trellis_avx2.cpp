// search/trellis_avx2.cpp - the walk in vectors of eight.
#include "simd/isa.hpp"

#if QC_X86
#include <algorithm>
#include <cstring>
#include <utility>

#include "entropy/trellis.hpp"
#include "search/trellis.hpp"

QC_TARGET("avx2")
namespace qc::trellis {
namespace {
constexpr std::size_t kVectorBytes = 32;
}
}  // namespace qc::trellis
#include "search/trellis_walk.hpp"
#include "search/trellis_records.hpp"

namespace qc::trellis {

const Kernels kAvx2{arrange, round_levels, walk_with<RecordTables, WordDecisions>};

}  // namespace qc::trellis
QC_TARGET_END
#endif
