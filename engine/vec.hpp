// The vector type: LANES samples side by side. One source for all instruction sets, by the compiler's vector extensions.
#pragma once
#include <cstdint>
#include <utility>

#include "plan.hpp"

namespace convia::CONVIA_ISA {

constexpr int L = LANES;
typedef float V __attribute__((vector_size(4 * L), may_alias));
typedef std::int32_t VI __attribute__((vector_size(4 * L), may_alias));
typedef std::uint32_t VU __attribute__((vector_size(4 * L), may_alias));

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL _Pragma("unroll")
#endif

static inline V load(const float* p) { return *reinterpret_cast<const V*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
static inline V loadu(const float* p) { V v; __builtin_memcpy(&v, p, sizeof v); return v; }
static inline void storeu(float* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
static inline V all(float f) { return f - V{}; }  // x − 0 is x, so that nothing is computed (−0 + 0 is not −0)
static inline V zero() { return V{}; }
static inline V pick(VI yes, V a, V b) { return yes ? a : b; }
static inline V vmax(V a, V b) { return a > b ? a : b; }
static inline V vmin(V a, V b) { return a < b ? a : b; }
static inline V nan_or_max(V a, V b) { return (b > a) | (b != b) ? b : a; }
static inline V rectified(V a) { return a < 0.f ? zero() : a; }  // NaN stays NaN
static inline V vabs(V a) { return (V)((VI)a & 0x7fffffff); }
static inline Int smallest(Int a, Int b) { return a < b ? a : b; }
static inline Int largest(Int a, Int b) { return a > b ? a : b; }

// Keep a value in a register: the compiler must not fold its load into each of the multiplications that use it.
static inline V pinned(V v) {
#if defined(__x86_64__) && defined(__GNUC__)
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#endif
    return v;
}

// 2ⁿ·e^r by the polynomial of the Cephes library; a relative error of 2 units in the last place.
static inline V vexp(V x) {
    x = x > 88.3f ? all(88.3f) : x;
    x = x < -87.3f ? all(-87.3f) : x;
    V n = (x * 1.44269504088896341f + 12582912.f) - 12582912.f;  // rounds to a whole number
    V r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    return p * (V)((__builtin_convertvector(n, VI) + 127) << 23);
}

// Natural logarithm of positive numbers, also after Cephes.
static inline V vlog(V x) {
    VI bits = (VI)x;
    V e = __builtin_convertvector(((bits >> 23) & 255) - 126, V);
    V m = (V)((bits & 0x007fffff) | 0x3f000000);  // in [½, 1)
    VI low = m < 0.707106781186547524f;
    e = e - pick(low, all(1), zero());
    m = m + pick(low, m, zero()) - 1.f;
    V q = m * m;
    V p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    V y = m * q * p + e * -2.12194440e-4f - q * 0.5f;
    return x == x ? m + y + e * 0.693359375f : x;  // NaN stays NaN
}

static inline V vsqrt(V x) {
    for (int i = 0; i < L; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
}

// 1/x of normal numbers, to a unit in the last place: where there is an estimate of 14 bits, a step of Newton's is faster.
static inline V reciprocal(V x) {
#if LANES == 16 && defined(__AVX512F__)
    typedef float Sixteen __attribute__((vector_size(64)));
    V y = (V)__builtin_ia32_rcp14ps512_mask((Sixteen)x, Sixteen{}, 0xffff);
    return y + y * (1.f - x * y);
#else
    return 1.f / x;
#endif
}

// √x of what is not negative, to a unit in the last place, as above.
static inline V root(V x) {
#if LANES == 16 && defined(__AVX512F__)
    typedef float Sixteen __attribute__((vector_size(64)));
    V y = (V)__builtin_ia32_rsqrt14ps512_mask((Sixteen)vmax(x, all(1e-37f)), Sixteen{}, 0xffff);
    return x * (y + y * (0.5f - 0.5f * x * y * y));
#else
    return vsqrt(x);
#endif
}

static inline V vsigmoid(V x) { return reciprocal(1.f + vexp(-x)); }

// A rational function of odd numerator (as in Eigen); beyond ±7.9 tanh is ±1 to the last place.
static inline V vtanh(V x) {
    x = x > 7.90531110763549805f ? all(7.90531110763549805f) : x;
    x = x < -7.90531110763549805f ? all(-7.90531110763549805f) : x;
    V q = x * x;
    V p = q * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * q - 8.60467152213735e-11f;
    p = p * q + 5.12229709037114e-08f;
    p = p * q + 1.48572235717979e-05f;
    p = p * q + 6.37261928875436e-04f;
    p = p * q + 4.89352455891786e-03f;
    V d = q * 1.19825839466702e-06f + 1.18534705686654e-04f;
    d = d * q + 2.26843463243900e-03f;
    d = d * q + 4.89352518554385e-03f;
    return p * x * reciprocal(d);
}

// erf after Abramowitz & Stegun 7.1.26, to 1.5e-7.
static inline V verf(V x) {
    V a = vabs(x), t = 1.f / (1.f + 0.3275911f * a);
    V p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = (p * t + 0.254829592f) * t;
    V y = 1.f - p * vexp(-a * a);
    return x < 0.f ? -y : y;
}

// One stage of a transposition: exchange the lanes of a and b that differ in the bit S of their number.
template <int S, int... I>
static inline V low_half(V a, V b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, ((I & S) ? L + I - S : I)...);
}
template <int S, int... I>
static inline V high_half(V a, V b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, ((I & S) ? L + I : I + S)...);
}
using Lanes = std::make_integer_sequence<int, L>;

template <int S = 1>
static inline void transpose(V* r) {
    if constexpr (S < L) {
        UNROLL for (int i = 0; i < L; i++)
            if (!(i & S)) {
                V a = r[i], b = r[i + S];
                r[i] = low_half<S>(a, b, Lanes());
                r[i + S] = high_half<S>(a, b, Lanes());
            }
        transpose<2 * S>(r);
    }
}

// The sums over the lanes of L vectors, as the lanes of one.
template <int S = 1>
static inline V lane_sums(V* r) {
    if constexpr (S < L) {
        UNROLL for (int i = 0; i < L / S / 2; i++) {
            V a = r[2 * i], b = r[2 * i + 1];
            r[i] = low_half<S>(a, b, Lanes()) + high_half<S>(a, b, Lanes());
        }
        return lane_sums<2 * S>(r);
    }
    return r[0];
}

static inline float lane_sum(V v) {
    float s = 0;
    for (int i = 0; i < L; i++) s += v[i];
    return s;
}

// target[i] += the sum over the lanes of the i-th vector
static inline void add_lane_sums(float* target, const float* vectors, Int n) {
    V r[L];
    for (Int i = 0; i < n; i += L) {
        Int m = smallest(L, n - i);
        for (int j = 0; j < L; j++) r[j] = j < m ? load(vectors + (i + j) * L) : zero();
        V sums = lane_sums(r);
        if (m == L) storeu(target + i, loadu(target + i) + sums);
        else for (int j = 0; j < m; j++) target[i + j] += sums[j];
    }
}

static inline Int at(const Tensor& t, Int c, Int z, Int y) { return (t.at + c * t.cs + z * t.ds + y * t.hs) * L; }
static inline Int grad_at(const Tensor& t, Int c, Int z, Int y) { return (t.gat + c * t.gcs + z * t.gds + y * t.ghs) * L; }

// 1 where a lane holds a sample, 0 where there is none left.
static inline V live_lanes(const Block& b) {
    V v;
    for (int i = 0; i < L; i++) v[i] = i < b.live;
    return v;
}

// Visit the rows of tensors of one shape, as long as they can be: f(channel, z, y, vectors, number of the first element).
template <class F, class... T>
static inline void each_row(F f, const Tensor& t, const T&... others) {
    auto has_no_halo = [](const Tensor& x) { return x.hs == x.w && x.ds == x.h * x.w; };
    bool whole = (has_no_halo(t) && ... && has_no_halo(others));
    Int d = whole ? 1 : t.d, h = whole ? 1 : t.h, n = whole ? t.d * t.h * t.w : t.w;
    for (Int c = 0; c < t.c; c++)
        for (Int z = 0; z < d; z++)
            for (Int y = 0; y < h; y++) f(c, z, y, n, ((c * d + z) * h + y) * n);
}

static inline void give(float* g, V v, bool fresh) { store(g, fresh ? v : load(g) + v); }

static inline void zero_gradient(const Tensor& t, Block& b) {
    bool whole = t.ghs == t.w && t.gds == t.h * t.w;
    for (Int c = 0; c < t.c; c++)
        for (Int z = 0; z < (whole ? 1 : t.d); z++)
            for (Int y = 0; y < (whole ? 1 : t.h); y++)
                __builtin_memset(b.grad + grad_at(t, c, z, y), 0, sizeof(float) * L * (whole ? t.d * t.h * t.w : t.w));
}

}  // namespace convia::CONVIA_ISA
