// The gradient of a 3 × 3 kernel by Winograd's algorithm with channels as lanes: 3 × 3 results of a "kernel" of 2 × 2 gradients,
// whose 16 frequencies are summed over all tiles before they are turned back.
#pragma once
#include "wide_weights.hpp"
#include "wide_winograd.hpp"

namespace convia::CONVIA_ISA {

constexpr int WEIGHT_FREQUENCIES = 16;
constexpr Int WEIGHT_TILES = 96, WEIGHT_PITCH = 97;  // tiles at a time; where the next block of them begins
constexpr Int WEIGHT_SPAN = 8;                       // blocks of inputs that share the frequencies of gradients

// Tiles of 2 × 2 gradients of all samples: how many there are in a plane, and where one lies.
struct GradientTiles {
    Int rows, columns, planes;
    GradientTiles(const Tensor& y) : rows(tiles_of(y.h, 2)), columns(tiles_of(y.w, 2)), planes(y.d) {}
    ResultTile operator[](Int number) const {
        Int column = number % columns, row = number / columns % rows, plane = number / (columns * rows);
        return {plane / planes, plane % planes, row * 2, column * 2};
    }
};

// A tile of N × N numbers of some memory, zeros beyond its rows and columns.
template <int N>
static inline void load_tile(const float* p, Int row, Int rows, Int columns, V* d) {
    if (rows >= N && columns >= N) {
        UNROLL for (int i = 0; i < N * N; i++) d[i] = load(p + i / N * row + i % N * L);
    } else {
        for (int i = 0; i < N * N; i++) d[i] = i / N < rows && i % N < columns ? load(p + i / N * row + i % N * L) : zero();
    }
}

// Frequencies [frequency][block][tile] of inputs, and of gradients.
static void input_frequencies(const Plan& plan, const Step& s, const Block& b, Int first, Int n, Int i0, Int blocks, float* to) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    GradientTiles tiles(y);
    for (Int t = 0; t < n; t++) {
        ResultTile tile = tiles[first + t];
        for (Int c = 0; c < blocks; c++) {
            V d[16];
            const float* p = b.act + tile.sample * b.apart + at(x, i0 + c, tile.plane, tile.y - s.pad[1]) + (tile.x - s.pad[2]) * L;
            load_tile<4>(p, x.hs * L, y.h + 2 - tile.y, y.w + 2 - tile.x, d);
            UNROLL for (int i = 0; i < 4; i++) to_frequencies<4, 4>(d + i);
            UNROLL for (int i = 0; i < 4; i++) to_frequencies<4, 1>(d + i * 4);
            UNROLL for (int f = 0; f < 16; f++) store(to + ((f * blocks + c) * WEIGHT_PITCH + t) * L, d[f]);
        }
    }
}
static void gradient_frequencies(const Plan& plan, const Step& s, const Block& b, Int first, Int n, Int o0, Int blocks, float* to) {
    const Tensor& y = plan.tensors[s.out];
    GradientTiles tiles(y);
    for (Int t = 0; t < n; t++) {
        ResultTile tile = tiles[first + t];
        for (Int c = 0; c < blocks; c++) {
            V g[4], half[8], u[16];
            const float* p = b.grad + tile.sample * b.grad_apart + grad_at(y, o0 + c, tile.plane, tile.y) + tile.x * L;
            load_tile<2>(p, y.ghs * L, y.h - tile.y, y.w - tile.x, g);
            UNROLL for (int i = 0; i < 2; i++) kernel_to_frequencies<4, 2, 2, 2>(g + i, half + i);
            UNROLL for (int i = 0; i < 4; i++) kernel_to_frequencies<4, 2, 1, 1>(half + i * 2, u + i * 4);
            UNROLL for (int f = 0; f < 16; f++) store(to + ((f * blocks + c) * WEIGHT_PITCH + t) * L, u[f]);
        }
    }
}

// Units of some blocks of inputs by some of outputs, of which threads have so many each.
struct WeightUnits {
    Int groups, most, spans;
    WeightUnits(const Tensor& x, const Tensor& y, Int parts) : groups(tiles_of(y.c, WIDE_WEIGHT_BLOCKS)) {
        most = smallest(WEIGHT_SPAN, largest(1, x.c * groups / parts));
        spans = tiles_of(x.c, most);
    }
    Int size() const { return groups * spans; }
};

static Int winograd_weights_size(const Tensor& x, const Tensor& y, Int threads) {
    Int blocks = WeightUnits(x, y, threads).most, o = smallest(WIDE_WEIGHT_BLOCKS, y.c);
    return WEIGHT_FREQUENCIES * L * (blocks * o * L + (blocks + o) * WEIGHT_PITCH);
}

static void winograd_weights(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int ins = plan.channels[s.ins[0]], outs = plan.channels[s.out];
    GradientTiles tiles(y);
    WeightUnits units(x, y, b.parts);
    Int all = b.group * tiles.planes * tiles.rows * tiles.columns, chunks = tiles_of(all, WEIGHT_TILES);
    for (Int unit = cut(units.size(), b.parts, b.part); unit < cut(units.size(), b.parts, b.part + 1); unit++) {
        Int group = unit / units.spans, span = unit % units.spans, o0 = cut(y.c, units.groups, group), i0 = cut(x.c, units.spans, span);
        Int o = cut(y.c, units.groups, group + 1) - o0, blocks = cut(x.c, units.spans, span + 1) - i0, step = o * L;
        float *acc = b.scratch, *v = acc + WEIGHT_FREQUENCIES * blocks * L * step, *u = v + WEIGHT_FREQUENCIES * blocks * WEIGHT_PITCH * L;
        __builtin_memset(acc, 0, (v - acc) * sizeof(float));
        for (Int q = 0; q < chunks; q++) {
            Int first = cut(all, chunks, q), n = cut(all, chunks, q + 1) - first;
            input_frequencies(plan, s, b, first, n, i0, blocks, v);
            gradient_frequencies(plan, s, b, first, n, o0, o, u);
            for (Int f = 0; f < WEIGHT_FREQUENCIES; f++)
                for (Int i = 0; i < blocks * L; i += WEIGHT_INS)
                    choose_wide_weights<false>(o, WEIGHT_INS, WeightTiles())(
                        v + (f * blocks + i / L) * WEIGHT_PITCH * L + i % L, {0, 0, 0, L}, u + f * o * WEIGHT_PITCH * L, {}, WEIGHT_PITCH * L,
                        {1, 1, 1, n}, acc + (f * blocks * L + i) * step, step, 1);
        }
        float* gradient = b.wgrad + plan.params[s.params[0]].grad;
        for (Int c = 0; c < blocks; c++) {
            Int live = smallest(L, ins - (i0 + c) * L);
            for (Int i = 0; i < live; i++)
                for (Int k = 0; k < o; k++) {
                    V m[16], half[12], w[9];
                    UNROLL for (int f = 0; f < 16; f++) m[f] = load(acc + ((f * blocks + c) * L + i) * step + k * L);
                    UNROLL for (int j = 0; j < 4; j++) from_frequencies<4, 3, 4, 4>(m + j, half + j);
                    UNROLL for (int j = 0; j < 3; j++) from_frequencies<4, 3, 1, 1>(half + j * 4, w + j * 3);
                    UNROLL for (int t = 0; t < 9; t++) store(v + (i * 9 + t) * step + k * L, w[t]);
                }
            for (Int k = 0; k < o; k++)
                spread_weights(v + k * L, step, live * 9, gradient + ((o0 + k) * L * ins + (i0 + c) * L) * 9, ins * 9, outs - (o0 + k) * L, s.stores);
        }
    }
}

}  // namespace convia::CONVIA_ISA
