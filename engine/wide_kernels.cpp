// The kernels with channels as lanes of one instruction set, compiled as kernels.cpp is.
#include "wide_back.hpp"
#include "wide_pack.hpp"

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {
static const WideKernels wide_table{WIDE_REGISTERS, WIDE_BLOCKS, WIDE_COLUMNS, WIDE_WEIGHT_BLOCKS, RECORDS, MOMENTS, wide_load, wide_forward, wide_store,
                                    wide_pack, wide_norm_stats, wide_moments, wide_norm_sums, wide_join_sums, wide_backward,
                                    wide_weights_of, gather, scatter, winograd_weights_size};
}  // namespace convia::CONVIA_ISA

namespace convia {
const WideKernels* NAME(wide_kernels_, CONVIA_ISA)() { return &CONVIA_ISA::wide_table; }
}  // namespace convia
