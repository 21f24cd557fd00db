// The kernels on 8-bit numbers of one instruction set. Without contraction of products and sums: the same bytes everywhere.
#pragma GCC diagnostic ignored "-Wunused-function"  // of what it shares with the kernels on floats, it takes a part
#include "int8.hpp"

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {
static const ByteKernels byte_table{BYTE_REGISTERS, byte_load, byte_forward, byte_pack};
}  // namespace convia::CONVIA_ISA

namespace convia {
const ByteKernels* NAME(byte_kernels_, CONVIA_ISA)() { return &CONVIA_ISA::byte_table; }
}  // namespace convia
