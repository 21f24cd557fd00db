// The instruction sets that there are kernels for, the best first: row(name, whether this machine has it); of the kernels on
// bytes there are several for one width of vectors: row(name, instruction set, whether this machine has it).
#pragma once
#if defined(CONVIA_X86)
#include <cpuid.h>
#define EACH_ISA(row) row(avx512, convia::has_avx512()) row(avx2, convia::has_avx2()) row(portable, true)
#define EACH_BYTE_ISA(row) \
    row(avx512_vnni, avx512, convia::has_avx512() && convia::has_avx512_vnni()) row(avx512, avx512, convia::has_avx512()) \
    row(avx2_vnni, avx2, convia::has_avx2() && convia::has_avx_vnni()) row(avx2, avx2, convia::has_avx2()) row(portable, portable, true)
#elif defined(CONVIA_NEON)
#define EACH_ISA(row) row(neon, true)
#define EACH_BYTE_ISA(row) row(neon, neon, true)
#else
#define EACH_ISA(row) row(portable, true)
#define EACH_BYTE_ISA(row) row(portable, portable, true)
#endif

#if defined(CONVIA_X86)
namespace convia {

// Features of the processor whose registers the operating system saves; __builtin_cpu_supports needs a library that
// Windows lacks.
inline bool has_features(unsigned basic, unsigned extended, unsigned saved) {
    unsigned a, b, c, d, state = 0, upper;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & basic) != basic) return false;
    __asm__("xgetbv" : "=a"(state), "=d"(upper) : "c"(0));
    return (state & saved) == saved && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & extended) == extended;
}

inline constexpr unsigned XSAVE_AVX_FMA = 1u << 27 | 1u << 28 | 1u << 12, AVX2 = 1u << 5;
inline constexpr unsigned AVX512_F_DQ_BW_VL = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;

// Those of leaf 7 that need no other registers to be saved: sums of products of bytes, 512 and 256 bits wide.
inline bool has_avx512_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11);
}
inline bool has_avx_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
inline bool has_avx2() { return has_features(XSAVE_AVX_FMA, AVX2, 0x06); }
inline bool has_avx512() { return has_features(XSAVE_AVX_FMA, AVX2 | AVX512_F_DQ_BW_VL, 0xe6); }

}  // namespace convia
#endif
