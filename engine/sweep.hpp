// With channels as lanes, convolutions are sweeps: sums over taps, of L channels of results side by side. A tensor of one
// sample is (blocks of L channels, depth, height, width) of vectors; lanes without a channel are only ever multiplied by zero.
#pragma once
#include "elementwise.hpp"

namespace convia::CONVIA_ISA {

#if LANES == 16 || defined(__aarch64__)
constexpr int WIDE_REGISTERS = 32;
#else
constexpr int WIDE_REGISTERS = 16;
#endif
constexpr int WIDE_COLUMNS = 14, WIDE_BLOCKS = 4;
constexpr Int WIDE_CHUNK = 24576;  // bytes of a packed kernel that stay in the first-level cache
alignas(64) static const float nothing[WIDE_BLOCKS * L] = {};

static constexpr bool wide_fits(int blocks, int columns) { return blocks * columns + blocks + 1 <= WIDE_REGISTERS; }

// What a tile of sums begins with and ends in; its blocks and pixels are so many floats apart.
struct WideEnds {
    const float* first;     // per channel; null: the sums go on from what is there
    const float* residual;  // added in the end, or null
    Int block, column, residual_block;
    bool relu;
};

// out[o][x] (+)= Σₜ Σᵢ w[t][i][o] · in[taps[t] + x·S + i]: O vectors of channels by X pixels stay in registers.
using WideTile = void (*)(const float* in, const std::int32_t* taps, Int n, Int channels, const float* w, float* out, WideEnds ends);
template <int O, int X, int S>
static void wide_tile(const float* in, const std::int32_t* taps, Int n, Int channels, const float* w, float* out, WideEnds ends) {
    V c[O][X];
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) c[o][x] = load(ends.first ? ends.first + o * L : out + o * ends.block + x * ends.column);
    UNROLL for (int o = 0; o < O; o++)  // what will be written comes from far as well
        UNROLL for (int x = 0; x < X; x++) __builtin_prefetch(out + o * ends.block + x * ends.column, 1);
    Int ahead = n * channels * O * L;  // what follows is what is needed next, and comes from far
    for (Int t = 0; t < n; t++) {
        const float *p = in + taps[t], *next = in + taps[t + (t + 1 < n)];
        for (Int i = 0; i < channels; i++, p++, w += O * L) {
            __builtin_prefetch(next + i * S * L);
            V each[O];
            UNROLL for (int o = 0; o < O; o++) each[o] = pinned(load(w + o * L));
            UNROLL for (int o = 0; o < O; o += 16 / L) __builtin_prefetch(w + ahead + o * L, 0, 2);
            UNROLL for (int x = 0; x < X; x++) {
                V v = all(p[x * S * L]);
                if (O > 1) v = pinned(v);
                UNROLL for (int o = 0; o < O; o++) c[o][x] += each[o] * v;
            }
        }
    }
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) {
            V v = c[o][x];
            if (ends.residual) v += load(ends.residual + o * ends.residual_block + x * L);
            store(out + o * ends.block + x * ends.column, ends.relu ? rectified(v) : v);
        }
}
template <int O, int X>
static constexpr WideTile wide_tile_or_none(bool every_other) {
    if constexpr (wide_fits(O, X)) return every_other ? wide_tile<O, X, 2> : wide_tile<O, X, 1>;
    else return nullptr;
}
template <int... I>
static WideTile choose_wide_tile(Int o, Int x, bool every_other, std::integer_sequence<int, I...>) {
    static constexpr WideTile table[2][WIDE_BLOCKS * WIDE_COLUMNS] = {
        {wide_tile_or_none<I / WIDE_COLUMNS + 1, I % WIDE_COLUMNS + 1>(false)...},
        {wide_tile_or_none<I / WIDE_COLUMNS + 1, I % WIDE_COLUMNS + 1>(true)...}};
    return table[every_other][(o - 1) * WIDE_COLUMNS + x - 1];
}

// The memory of samples that a sweep reads and writes, what its sums begin with (null: with what is there), and what is
// applied in the end.
struct Sweeping {
    float* base;
    Int apart;
    const float* first;
    Int first_step;  // from channel to channel
    Act act = Act::linear;
    float alpha = 0;
    const Walk* added = nullptr;
};

static void activate_tile(const Sweep& s, const Sweeping& on, float* out, Int blocks, Int n) {
    for (Int o = 0; o < blocks; o++) activate_row(on.act, on.alpha, out + o * s.out.block, n);
}

// Threads share the tiles of channels or, where these are too few, the pixels.
static void run_sweep(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    Int columns = tiles_of(s.w, s.columns), places = s.d * s.h * columns;
    bool by_blocks = s.tiles % b.parts == 0 || s.tiles >= 4 * b.parts;
    Int first = by_blocks ? cut(s.tiles, b.parts, b.part) : 0, last = by_blocks ? cut(s.tiles, b.parts, b.part + 1) : s.tiles;
    Int from = by_blocks ? 0 : cut(places, b.parts, b.part), to = by_blocks ? places : cut(places, b.parts, b.part + 1);
    Int numbers = s.numbers.size(), whole = s.channels / L * numbers, rest = s.channels % L;
    for (Int k = first; k < last; k++) {
        Int o0 = first_block(s, k), o = first_block(s, k + 1) - o0, start = s.in.at + k / (s.tiles / s.parts) * s.part_step;
        const float* w = packed + s.packed + o0 * s.channels * numbers * L;
        Int chunks = tiles_of(whole, largest(1, WIDE_CHUNK / (o * L * L * 4))), parts = largest(1, chunks + (rest > 0));
        for (Int q = 0; q < parts; q++) {
            bool partial = q == chunks, end = q == parts - 1;
            Int t0 = partial ? whole : cut(whole, chunks, q), n = partial ? numbers : cut(whole, chunks, q + 1) - t0;
            for (int g = 0; g < b.group; g++) {
                float* base = on.base + g * on.apart;
                for (Int place = from; place < to; place++) {
                    Int row = place / columns, j = place % columns, z = row / s.h, y = row % s.h;
                    Int x0 = cut(s.w, columns, j), many = cut(s.w, columns, j + 1) - x0;
                    float* out = base + s.out.at + o0 * s.out.block + z * s.out.plane + y * s.out.row + x0 * s.out.column;
                    const float* added = !end || !on.added ? nullptr
                        : base + on.added->at + o0 * on.added->block + z * on.added->plane + y * on.added->row + x0 * L;
                    WideEnds ends{q || !on.first ? nullptr : on.first + o0 * on.first_step * L, added, s.out.block, s.out.column,
                                  added ? on.added->block : 0, end && on.act == Act::relu};
                    choose_wide_tile(o, many, s.in.column == 2 * L, std::make_integer_sequence<int, WIDE_BLOCKS * WIDE_COLUMNS>())(
                        base + start + z * s.in.plane + y * s.in.row + x0 * s.in.column, s.taps.data() + t0, n,
                        partial ? rest : L, w + t0 * L * o * L, out, ends);
                    if (end && on.act != Act::linear && on.act != Act::relu) activate_tile(s, on, out, o, many);
                }
            }
        }
    }
}

template <int X>
static inline void depthwise_tile(const Sweep& s, const float* in, const float* w, const float* first, float* out, bool relu) {
    V c[X];
    UNROLL for (int x = 0; x < X; x++) c[x] = load(first ? first : out + x * s.out.column);
    for (std::size_t t = 0; t < s.taps.size(); t++) {
        const float* p = in + s.taps[t];
        V each = pinned(load(w + t * L));
        UNROLL for (int x = 0; x < X; x++) c[x] += each * load(p + x * s.in.column);
    }
    UNROLL for (int x = 0; x < X; x++) store(out + x * s.out.column, relu ? rectified(c[x]) : c[x]);
}

// Of convolutions that treat each channel by itself.
static void run_depthwise(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    constexpr int MOST = WIDE_REGISTERS / 4;
    for (int g = 0; g < b.group; g++)
        for (Int c = cut(s.blocks, b.parts, b.part); c < cut(s.blocks, b.parts, b.part + 1); c++) {
            const float *w = packed + s.packed + c * Int(s.taps.size()) * L, *first = on.first ? on.first + c * on.first_step * L : nullptr;
            for (Int z = 0; z < s.d; z++)
                for (Int y = 0; y < s.h; y++) {
                    float* base = on.base + g * on.apart;
                    const float* in = base + s.in.at + c * s.in.block + z * s.in.plane + y * s.in.row;
                    float* out = base + s.out.at + c * s.out.block + z * s.out.plane + y * s.out.row;
                    Int x = 0;
                    auto tile = [&](auto many) {
                        depthwise_tile<many>(s, in + x * s.in.column, w, first, out + x * s.out.column, on.act == Act::relu);
                        x += many;
                    };
                    while (x + MOST <= s.w) tile(std::integral_constant<int, MOST>());
                    while (x < s.w) tile(std::integral_constant<int, 1>());
                    if (on.act != Act::linear && on.act != Act::relu) activate_row(on.act, on.alpha, out, s.w);
                }
        }
}

}  // namespace convia::CONVIA_ISA
