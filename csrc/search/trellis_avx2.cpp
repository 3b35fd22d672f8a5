// search/trellis_avx2.cpp - the walk in vectors of eight.
#include "simd/isa.hpp"

#if QC_X86
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "entropy/trellis.hpp"
#include "search/trellis.hpp"

#pragma GCC push_options
#pragma GCC target("avx2")
#include "search/trellis_walk.hpp"

namespace qc::trellis {

const Kernels kAvx2{largest, arrange, walk_with<PlainTables>};

}  // namespace qc::trellis
#pragma GCC pop_options
#endif
