// Steps on 8-bit numbers with channels as lanes: a byte q of a tensor is the number (q − zero) · scale (Jacob et al., 2018,
// arXiv:1712.05877). Sums of products are whole numbers, and what becomes of them is computed in one order without
// contraction, so that all instruction sets make the same bytes.
#pragma once
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "wide.hpp"
#include "wide_pack.hpp"

namespace convia::CONVIA_ISA {

using Byte = std::uint8_t;
typedef std::uint8_t VB __attribute__((vector_size(L), may_alias));  // the L channels of a pixel

// Weights and pixels: four bytes per lane, as they are or as two pairs of 16 bits.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr int BYTE_REGISTERS = WIDE_REGISTERS;
struct Quads { VI all; };
static inline Quads split_weights(VI v) { return {v}; }
static inline Quads split_pixels(VI v) { return {v}; }
static inline VI dot(VI sum, Quads pixels, Quads weights) {
#if LANES == 16
    return (VI)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)pixels.all, (__m512i)weights.all);
#else
    return (VI)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)pixels.all, (__m256i)weights.all);
#endif
}
#else
constexpr int BYTE_REGISTERS = WIDE_REGISTERS - 4;
struct Quads { VI even, odd; };
typedef std::int16_t VS __attribute__((vector_size(4 * L), may_alias));
static inline Quads split_weights(VI v) { return {(VI)((VS)((VS)v << 8) >> 8), (VI)((VS)v >> 8)}; }
static inline Quads split_pixels(VI v) { return {v & 0x00ff00ff, (VI)((VU)v >> 8) & 0x00ff00ff}; }
static inline VI pairs(VI a, VI b) {  // products of 16 bits, added in twos
#if defined(__x86_64__) && LANES == 16
    return (VI)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__x86_64__) && LANES == 8
    return (VI)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (VI)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}
static inline VI dot(VI sum, Quads pixels, Quads weights) {
    return sum + pairs(pixels.even, weights.even) + pairs(pixels.odd, weights.odd);
}
#endif

static inline VI load_whole(const void* p) { return *static_cast<const VI*>(p); }
static inline void store_whole(void* p, VI v) { *static_cast<VI*>(p) = v; }

// The bytes of a pixel as whole numbers, and the last bytes of such; compilers convert them one by one.
static inline VI widened(const Byte* p) {
#if defined(__x86_64__) && LANES == 16
    return (VI)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__x86_64__) && LANES == 8
    return (VI)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#elif defined(__x86_64__)
    const __m128i none = _mm_setzero_si128();
    return (VI)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_loadu_si32(p), none), none);
#else
    return __builtin_convertvector(*reinterpret_cast<const VB*>(p), VI);
#endif
}
static inline void store_last_bytes(Byte* p, VI v) {
#if defined(__x86_64__) && LANES == 16
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#elif defined(__x86_64__) && LANES == 8
    __m256i last = (__m256i)(v & 255);
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(last), _mm256_extracti128_si256(last, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
#elif defined(__x86_64__)
    __m128i words = _mm_packs_epi32((__m128i)(v & 255), _mm_setzero_si128());
    _mm_storeu_si32(p, _mm_packus_epi16(words, words));
#else
    *reinterpret_cast<VB*>(p) = __builtin_convertvector((VU)v, VB);
#endif
}
static inline V load_bytes(const Byte* p) { return __builtin_convertvector(widened(p), V); }
static inline V within(V v, float low, float high) {
    v = v > low ? v : all(low);
    return v < high ? v : all(high);
}
static inline void store_bytes(Byte* p, V v, float low = 0, float high = 255) {  // the nearest whole numbers
    store_last_bytes(p, (VI)(within(v, low, high) + 12582912.f));  // where the unit is the last bit
}

static inline bool is_bytes(const Plan& plan, int tensor) { return plan.quanta[tensor].scale > 0; }
static inline Byte* bytes_of(float* act) { return reinterpret_cast<Byte*>(act); }

// out[o][x] = first[o] + Σ w · in over taps of whole blocks of channels, then over those of the last one, which has fewer.
struct ByteTaps { const std::int32_t* offsets; Int whole, rest, groups; };
using ByteTile = void (*)(const Byte* in, ByteTaps taps, const Byte* w, const std::int32_t* first, std::int32_t* out);
template <int O, int X, int S>
static void byte_tile(const Byte* in, ByteTaps taps, const Byte* w, const std::int32_t* first, std::int32_t* out) {
    VI c[O][X];
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) c[o][x] = load_whole(first + o * L);
    auto add = [&](const Byte* p) {
        Quads each[O];
        UNROLL for (int o = 0; o < O; o++) each[o] = split_weights((VI)pinned((V)load_whole(w + o * 4 * L)));
        UNROLL for (int x = 0; x < X; x++) {
            std::int32_t four;
            __builtin_memcpy(&four, p + x * S * L, 4);
            VI v = four - VI{};
            if (O > 1) v = (VI)pinned((V)v);
            Quads pixel = split_pixels(v);
            UNROLL for (int o = 0; o < O; o++) c[o][x] = dot(c[o][x], pixel, each[o]);
        }
        w += O * 4 * L;
    };
    for (Int t = 0; t < taps.whole; t++)
        for (int i = 0; i < L / 4; i++) add(in + taps.offsets[t] + 4 * i);
    for (Int t = taps.whole; t < taps.whole + taps.rest; t++)
        for (Int i = 0; i < taps.groups; i++) add(in + taps.offsets[t] + 4 * i);
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) store_whole(out + (o * X + x) * L, c[o][x]);
}
static constexpr bool byte_fits(int blocks, int columns) { return blocks * columns + blocks + 1 <= BYTE_REGISTERS; }
template <int O, int X>
static constexpr ByteTile byte_tile_or_none(bool every_other) {
    if constexpr (byte_fits(O, X)) return every_other ? byte_tile<O, X, 2> : byte_tile<O, X, 1>;
    else return nullptr;
}
template <int... I>
static ByteTile choose_byte_tile(Int o, Int x, bool every_other, std::integer_sequence<int, I...>) {
    static constexpr ByteTile table[2][WIDE_BLOCKS * WIDE_COLUMNS] = {
        {byte_tile_or_none<I / WIDE_COLUMNS + 1, I % WIDE_COLUMNS + 1>(false)...},
        {byte_tile_or_none<I / WIDE_COLUMNS + 1, I % WIDE_COLUMNS + 1>(true)...}};
    return table[every_other][(o - 1) * WIDE_COLUMNS + x - 1];
}

// What becomes of sums: v = sum · factor + shift (+ what is added), activated; then a number of `out`, or v itself.
struct Finish {
    const float *factor, *shift;
    Act act;
    float alpha;
    Quantum added, out;
};
struct Place { float* act; Int out, out_block, out_column, added, added_block; };  // `added` < 0: none

// From bytes to bytes, with an activation that cuts numbers off: everything in units of the results.
template <bool ADDED>
static void finish_bytes(const Finish& f, const std::int32_t* sums, Int blocks, Int columns, const Place& place, float low, float high) {
    float inverse = 1 / f.out.scale, unit = ADDED ? f.added.scale * inverse : 0, zero = float(f.out.zero) - float(f.added.zero) * unit;
    Int step = place.out_column;
    for (Int o = 0; o < blocks; o++) {
        V factor = load(f.factor + o * L) * inverse, shift = load(f.shift + o * L) * inverse + zero;
        Byte* to = bytes_of(place.act) + place.out + o * place.out_block;
        const Byte* from = bytes_of(place.act) + place.added + o * place.added_block;
        for (Int x = 0; x < columns; x++, sums += L, to += step, from += L) {
            V v = __builtin_convertvector(load_whole(sums), V) * factor + shift;
            if (ADDED) v += load_bytes(from) * unit;
            store_bytes(to, v, low, high);
        }
    }
}

template <Act A>
static void finish_numbers(const Finish& f, const std::int32_t* sums, Int blocks, Int columns, const Place& place) {
    Byte* bytes = bytes_of(place.act);
    const Quantum added = f.added, to_bytes = f.out;
    const float inverse = to_bytes.scale > 0 ? 1 / to_bytes.scale : 0, alpha = f.alpha;
    for (Int o = 0; o < blocks; o++) {
        V factor = load(f.factor + o * L), shift = load(f.shift + o * L);
        Int to = place.out + o * place.out_block, from = place.added + o * place.added_block;
        for (Int x = 0; x < columns; x++, sums += L, to += place.out_column, from += L) {
            V v = __builtin_convertvector(load_whole(sums), V) * factor + shift;
            if (place.added >= 0) v += added.scale > 0 ? (load_bytes(bytes + from) - float(added.zero)) * added.scale : load(place.act + from);
            v = activate<A>(v, alpha);
            if (inverse > 0) store_bytes(bytes + to, v * inverse + float(to_bytes.zero));
            else store(place.act + to, v);
        }
    }
}

static void finish(const Finish& f, const std::int32_t* sums, Int blocks, Int columns, const Place& place) {
    bool cuts = f.act == Act::linear || f.act == Act::relu || f.act == Act::capped_relu;
    if (cuts && f.out.scale > 0 && (place.added < 0 || f.added.scale > 0)) {
        float zero = float(f.out.zero), low = f.act == Act::linear ? 0 : zero;
        float most = f.act == Act::capped_relu ? f.alpha / f.out.scale + zero : 255;
        return (place.added < 0 ? finish_bytes<false> : finish_bytes<true>)(f, sums, blocks, columns, place, low, most < 255 ? most : 255);
    }
    with_act(f.act, [&](auto act) { finish_numbers<decltype(act)::value>(f, sums, blocks, columns, place); });
}

// Where a convolution's numbers lie behind its packed kernel: what sums begin with, factors, shifts.
struct ByteNumbers { const std::int32_t* first; const float *factor, *shift; };
static inline ByteNumbers numbers_of(const Plan& plan, const Step& s, const float* packed) {
    Int each = plan.tensors[s.out].c * L;
    const float* start = packed + s.wide.shift;
    return {reinterpret_cast<const std::int32_t*>(start), start + each, start + 2 * each};
}
static inline Finish finish_of(const Plan& plan, const Step& s, const ByteNumbers& numbers, Int block) {
    Quantum added = s.wide.residual < 0 ? Quantum{} : plan.quanta[s.wide.residual];
    return {numbers.factor + block * L, numbers.shift + block * L, s.act, s.alpha, added, plan.quanta[s.out]};
}

static void byte_sweep(const Plan& plan, const Step& s, const Block& b) {
    const Sweep& sweep = s.wide.forward;
    ByteNumbers numbers = numbers_of(plan, s, b.packed);
    Int columns = tiles_of(sweep.w, sweep.columns), places = sweep.d * sweep.h * columns;
    bool by_blocks = sweep.tiles % b.parts == 0 || sweep.tiles >= 4 * b.parts;
    Int first = by_blocks ? cut(sweep.tiles, b.parts, b.part) : 0, last = by_blocks ? cut(sweep.tiles, b.parts, b.part + 1) : sweep.tiles;
    Int from = by_blocks ? 0 : cut(places, b.parts, b.part), to = by_blocks ? places : cut(places, b.parts, b.part + 1);
    Int each = sweep.numbers.size(), rest = sweep.channels % L, groups = tiles_of(rest, 4);
    ByteTaps taps{sweep.taps.data(), sweep.channels / L * each, rest ? each : 0, groups};
    Int size = (taps.whole * (L / 4) + taps.rest * groups) * 4 * L;  // of the kernel of a block
    alignas(64) std::int32_t sums[WIDE_BLOCKS * WIDE_COLUMNS * L];
    for (Int k = first; k < last; k++) {
        Int o0 = cut(sweep.blocks, sweep.tiles, k), o = cut(sweep.blocks, sweep.tiles, k + 1) - o0;
        const Byte* w = reinterpret_cast<const Byte*>(b.packed + sweep.packed) + o0 * size;
        Finish ends = finish_of(plan, s, numbers, o0);
        for (int g = 0; g < b.group; g++)
            for (Int place = from; place < to; place++) {
                Int row = place / columns, j = place % columns, z = row / sweep.h, y = row % sweep.h;
                Int x0 = cut(sweep.w, columns, j), many = cut(sweep.w, columns, j + 1) - x0;
                float* act = b.act + g * b.apart;
                choose_byte_tile(o, many, sweep.in.column == 2 * L, std::make_integer_sequence<int, WIDE_BLOCKS * WIDE_COLUMNS>())(
                    bytes_of(act) + sweep.in.at + z * sweep.in.plane + y * sweep.in.row + x0 * sweep.in.column, taps, w,
                    numbers.first + o0 * L, sums);
                auto at = [&](const Walk& walk) { return walk.at + o0 * walk.block + z * walk.plane + y * walk.row + x0 * walk.column; };
                const Walk& added = s.wide.added;
                finish(ends, sums, o, many, {act, at(sweep.out), sweep.out.block, sweep.out.column, s.wide.residual < 0 ? -1 : at(added), added.block});
            }
    }
}

// Four pixels that lie side by side, to the four bytes of each lane: words of four channels first, then their bytes.
template <int... I>
static inline VI turned_words(VI v, std::integer_sequence<int, I...>) { return __builtin_shufflevector(v, v, (I % 4 * (L / 4) + I / 4)...); }
template <int... I>
static inline VI turned_bytes(VI v, std::integer_sequence<int, I...>) {
    typedef std::uint8_t Bytes __attribute__((vector_size(4 * L)));
    return (VI)__builtin_shufflevector((Bytes)v, (Bytes)v, (I / 16 * 16 + I % 4 * 4 + I % 16 / 4)...);
}
static inline VI four_pixels(const Byte* p) {
    VI v;
    __builtin_memcpy(&v, p, sizeof v);
    return turned_bytes(turned_words(v, std::make_integer_sequence<int, L>()), std::make_integer_sequence<int, 4 * L>());
}

template <int X>
static inline void byte_depthwise_tile(const Sweep& s, const Byte* in, const Byte* w, const std::int32_t* first, std::int32_t* sums) {
    VI c[X];
    UNROLL for (int x = 0; x < X; x++) c[x] = load_whole(first);
    for (std::size_t t = 0; t < s.taps.size(); t++) {
        Quads each = split_weights(load_whole(w + t * 4 * L));
        UNROLL for (int x = 0; x < X; x++) c[x] = dot(c[x], split_pixels(four_pixels(in + s.taps[t] + x * s.in.column)), each);
    }
    UNROLL for (int x = 0; x < X; x++) store_whole(sums + x * L, c[x]);
}

static void byte_depthwise(const Plan& plan, const Step& s, const Block& b) {
    constexpr Int PIECE = 12, TILE = 4;  // pixels whose sums are kept, and that are worked on together
    const Sweep& sweep = s.wide.forward;
    ByteNumbers numbers = numbers_of(plan, s, b.packed);
    alignas(64) std::int32_t sums[PIECE * L];
    for (int g = 0; g < b.group; g++)
        for (Int c = cut(sweep.blocks, b.parts, b.part); c < cut(sweep.blocks, b.parts, b.part + 1); c++) {
            const Byte* w = reinterpret_cast<const Byte*>(b.packed + sweep.packed) + c * Int(sweep.taps.size()) * 4 * L;
            const std::int32_t* first = numbers.first + c * L;
            Finish ends = finish_of(plan, s, numbers, c);
            float* act = b.act + g * b.apart;
            for (Int row = 0; row < sweep.d * sweep.h; row++) {
                Int z = row / sweep.h, y = row % sweep.h, out = sweep.out.at + c * sweep.out.block + z * sweep.out.plane + y * sweep.out.row;
                const Byte* in = bytes_of(act) + sweep.in.at + c * sweep.in.block + z * sweep.in.plane + y * sweep.in.row;
                for (Int x = 0; x < sweep.w; x += PIECE) {
                    Int n = smallest(PIECE, sweep.w - x), i = 0;
                    auto at = [&] { return in + (x + i) * sweep.in.column; };
                    for (; i + TILE <= n; i += TILE) byte_depthwise_tile<TILE>(sweep, at(), w, first, sums + i * L);
                    for (; i < n; i++) byte_depthwise_tile<1>(sweep, at(), w, first, sums + i * L);
                    finish(ends, sums, 1, n, {act, out + x * sweep.out.column, 0, sweep.out.column, -1, 0});
                }
            }
        }
}

// The largest byte of a window, or the average, which is a number of another scale.
static void byte_pool(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    Byte* bytes = bytes_of(b.act);
    Quantum in = plan.quanta[s.ins[0]], out = plan.quanta[s.out];
    each_window(plan, s, [&](Int c, const Window& v, Int result, Int) {
        auto byte = [&](Int z, Int y, Int w) { return bytes + at(x, c, z, y) + w * L; };
        if (s.kind == Kind::pool_max) {
            VB most = *reinterpret_cast<const VB*>(byte(v.from[0], v.from[1], v.from[2]));
            each_in(v, [&](Int z, Int y, Int w) {
                VB each = *reinterpret_cast<const VB*>(byte(z, y, w));
                most = each > most ? each : most;
            });
            *reinterpret_cast<VB*>(bytes + result) = most;
        } else {
            VI sum{};
            each_in(v, [&](Int z, Int y, Int w) { sum += widened(byte(z, y, w)); });
            V mean = __builtin_convertvector(sum, V) * share(v);
            store_bytes(bytes + result, (mean - float(in.zero)) * (in.scale / out.scale) + float(out.zero));
        }
    });
}

static void byte_add(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &other = plan.tensors[s.ins[1]], &y = plan.tensors[s.out];
    Byte* bytes = bytes_of(b.act);
    Quantum p = plan.quanta[s.ins[0]], q = plan.quanta[s.ins[1]], out = plan.quanta[s.out];
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const Byte *from = bytes + at(x, c, z, row), *too = bytes + at(other, c, z, row);
        Byte* to = bytes + at(y, c, z, row);
        for (Int i = 0; i < n * L; i += L) {
            V v = (load_bytes(from + i) - float(p.zero)) * (p.scale / out.scale);
            store_bytes(to + i, v + (load_bytes(too + i) - float(q.zero)) * (q.scale / out.scale) + float(out.zero));
        }
    }, x, other, y);
}

// Threads share the blocks of channels that are filled.
static void byte_copy(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Byte* bytes = bytes_of(b.act);
    Int first = cut(y.c, b.parts, b.part), last = cut(y.c, b.parts, b.part + 1), from = at(y, first, 0, 0), to = at(y, last, 0, 0);
    for (Int c = first; s.wide.clears && c < last; c++)
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) __builtin_memset(bytes + at(y, c, z, row), plan.quanta[s.out].zero, y.w * L);
    for (const Wide::Run& run : s.wide.runs) {
        Int start = largest(run.to, from), count = smallest(run.to + run.count, to) - start;
        if (count > 0) __builtin_memcpy(bytes + start, bytes + run.from + start - run.to, count);
    }
}

static void convert(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool to_bytes = is_bytes(plan, s.out);
    Quantum q = plan.quanta[to_bytes ? s.out : s.ins[0]];
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        Int from = at(x, c, z, row), to = at(y, c, z, row);
        for (Int i = 0; i < n * L; i += L) {
            if (to_bytes) store_bytes(bytes_of(b.act) + to + i, load(b.act + from + i) * (1 / q.scale) + float(q.zero));
            else store(b.act + to + i, (load_bytes(bytes_of(b.act) + from + i) - float(q.zero)) * q.scale);
        }
    }, x, y);
}

static void byte_forward(const Plan& plan, const Step& s, Block& b) {
    if (s.kind == Kind::conv) return (s.wide.depthwise ? byte_depthwise : byte_sweep)(plan, s, b);
    each_sample(b, [&] {
        switch (s.kind) {
            case Kind::pool_max:
            case Kind::pool_average: return byte_pool(*b.share, s, b);
            case Kind::join: return byte_add(*b.share, s, b);
            case Kind::copy: return byte_copy(plan, s, b);
            default: return convert(*b.share, s, b);
        }
    });
}

// An input of memory order (…, channels) to bytes; threads share its pixels.
static void byte_load(const Plan& plan, int input, Block& b) {
    const Tensor& t = plan.tensors[plan.inputs[input]];
    Int channels = plan.channels[plan.inputs[input]], size = channels * t.d * t.h * t.w;
    const Data::Input& from = b.data->inputs[input];
    Quantum q = plan.quanta[plan.inputs[input]];
    Int pixels = t.d * t.h * t.w;
    for (Int pixel = cut(pixels, b.parts, b.part); pixel < cut(pixels, b.parts, b.part + 1); pixel++) {
        Int start = b.rows[0] * size + pixel * channels, row = pixel / t.w;
        Byte* to = bytes_of(b.act) + at(t, 0, row / t.h, row % t.h) + pixel % t.w * L;
        for (Int c0 = 0; c0 < channels; c0 += L, to += t.cs * L) {
            V v{};
            Int n = smallest(L, channels - c0);
            if (from.bytes) for (Int c = 0; c < n; c++) v[c] = static_cast<const Byte*>(from.data)[start + c0 + c];
            else __builtin_memcpy(&v, static_cast<const float*>(from.data) + start + c0, n * sizeof(float));
            store_bytes(to, v * (1 / q.scale) + float(q.zero));
        }
    }
}

// The kernel of an output channel to whole numbers −127 … 127: its factor, and what the zero of the inputs adds.
static void byte_pack(const Plan& plan, const Step& s, float* packed, int part, int parts) {
    if (s.kind != Kind::conv) return;
    const Sweep& sweep = s.wide.forward;
    const float *kernel = plan.params[s.params[0]].data, *bias = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    Int outs = plan.channels[s.out], spatial = s.k[0] * s.k[1] * s.k[2], run = sweep.channels * spatial, rest = sweep.channels % L;
    Int whole = sweep.channels - rest, columns = tiles_of(s.k[2], 4), tail = tiles_of(rest, 4);
    Int each = s.wide.depthwise ? columns * s.k[0] * s.k[1] : spatial * (whole / 4 + tail);  // words of a lane
    ByteNumbers numbers = numbers_of(plan, s, packed);
    auto* first = const_cast<std::int32_t*>(numbers.first);
    auto *factor = const_cast<float*>(numbers.factor), *shift = const_cast<float*>(numbers.shift);
    Quantum in = plan.quanta[s.ins[0]];
    for (Int k = part; k < sweep.tiles; k += parts) {
        Int o0 = cut(sweep.blocks, sweep.tiles, k), many = cut(sweep.blocks, sweep.tiles, k + 1) - o0;
        auto* to = reinterpret_cast<std::int8_t*>(packed + sweep.packed) + o0 * each * 4 * L;
        __builtin_memset(to, 0, many * each * 4 * L);
        for (Int c = o0 * L; c < (o0 + many) * L; c++) {
            first[c] = 0, factor[c] = 0, shift[c] = 0;
            if (c >= outs) continue;
            WideScale scale = wide_scale(plan, s.wide.norm, s.wide.epsilon, bias ? bias[c] : 0.f, c);
            const float* row = kernel + c * run;
            float most = 0;
            for (Int i = 0; i < run; i++) most = row[i] > most ? row[i] : -row[i] > most ? -row[i] : most;
            float step = most > 0 ? most / 127 : 1;
            Int block = c / L - o0, lane = c % L, sum = 0;
            for (Int i = 0; i < sweep.channels; i++)
                for (Int t = 0; t < spatial; t++) {
                    auto value = std::int8_t((row[i * spatial + t] / step + 12582912.f) - 12582912.f);
                    Int word = s.wide.depthwise ? t / s.k[2] * columns + t % s.k[2] / 4
                        : i < whole ? (i / L * spatial + t) * (L / 4) + i % L / 4 : spatial * (whole / 4) + t * tail + (i - whole) / 4;
                    to[((word * many + block) * L + lane) * 4 + (s.wide.depthwise ? t % s.k[2] : i) % 4] = value;
                    sum += value;
                }
            first[c] = std::int32_t(-in.zero * sum);
            factor[c] = in.scale * step * scale.scale;
            shift[c] = scale.shift;
        }
    }
}

}  // namespace convia::CONVIA_ISA
