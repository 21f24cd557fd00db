// Winograd's algorithm F(2×2, 3×3) (Lavin and Gray, 2016, arXiv:1509.09308): tiles of 2 × 2 results become 16 products
// of matrices, one per frequency, with 2.25 times fewer multiplications. The transforms only add and subtract samples.
#pragma once
#include "elementwise.hpp"
#include "tiles.hpp"

namespace convia::CONVIA_ISA {

constexpr int FREQUENCIES = 16;

// Planes of channels, and the rows and columns that exist; all others count as zeros.
struct Planes {
    const float* data;
    Int channel, row;  // strides in floats
    Int from[2], to[2];
    bool holds(Int y, Int x, Int size) const {
        return y >= from[0] && y + size <= to[0] && x >= from[1] && x + size <= to[1];
    }
    const float* at(Int c, Int y, Int x) const { return data + c * channel + y * row + x * L; }
    V or_zero(Int c, Int y, Int x) const { return holds(y, x, 1) ? load(at(c, y, x)) : zero(); }
};

static inline Planes activations(const Step& s, const Tensor& x, const Tensor& y, const Block& b) {
    return {b.act + x.at * L, x.cs * L, x.hs * L, {-s.pad[1], -s.pad[2]}, {y.h + 2 - s.pad[1], y.w + 2 - s.pad[2]}};
}
static inline Planes gradients(const Tensor& y, const Block& b) {
    return {b.grad + y.gat * L, y.gcs * L, y.ghs * L, {0, 0}, {y.h, y.w}};
}

template <int N>
static inline void gather(const Planes& p, Int c, Int y, Int x, V* d) {  // N × N values
    if (p.holds(y, x, N)) {
        const float* q = p.at(c, y, x);
        UNROLL for (int i = 0; i < N * N; i++) d[i] = load(q + i / N * p.row + i % N * L);
    } else {
        for (int i = 0; i < N * N; i++) d[i] = p.or_zero(c, y + i / N, x + i % N);
    }
}

// Bᵀ d B of a tile of 4 × 4
static inline void to_frequencies(V* d) {
    auto line = [](V& a, V& b, V& c, V& e) {
        V b1 = b + c, b2 = c - b;
        a = a - c, e = b - e, b = b1, c = b2;
    };
    UNROLL for (int i = 0; i < 4; i++) line(d[i], d[4 + i], d[8 + i], d[12 + i]);
    UNROLL for (int i = 0; i < 4; i++) line(d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]);
}

// Aᵀ m A: the 2 × 2 results
static inline void from_frequencies(const V* m, V* y) {
    V r[8];
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = m[i] + m[4 + i] + m[8 + i];
        r[4 + i] = m[4 + i] - m[8 + i] - m[12 + i];
    }
    UNROLL for (int i = 0; i < 2; i++) {
        y[2 * i] = r[4 * i] + r[4 * i + 1] + r[4 * i + 2];
        y[2 * i + 1] = r[4 * i + 1] - r[4 * i + 2] - r[4 * i + 3];
    }
}

// G w Gᵀ of a kernel of 3 × 3
static inline void kernel_frequencies(const float* w, float* u) {
    float r[12];
    for (int i = 0; i < 3; i++) {
        float even = 0.5f * (w[i] + w[6 + i]), odd = 0.5f * w[3 + i];
        r[i] = w[i], r[3 + i] = even + odd, r[6 + i] = even - odd, r[9 + i] = w[6 + i];
    }
    for (int i = 0; i < 4; i++) {
        float even = 0.5f * (r[3 * i] + r[3 * i + 2]), odd = 0.5f * r[3 * i + 1];
        u[4 * i] = r[3 * i], u[4 * i + 1] = even + odd, u[4 * i + 2] = even - odd, u[4 * i + 3] = r[3 * i + 2];
    }
}

// Kernels as [frequency][tile of outputs][input][output of the tile]; for the way back inputs and outputs change places.
static void winograd_pack(const float* w, const Winograd& way, float* packed, Int outs, Int ins, bool backward, int part, int parts) {
    float u[FREQUENCIES], some[FREQUENCIES][L * MOST_ROWS];
    for (Int j = part; j < way.tiles; j += parts) {
        Int o0 = cut(outs, way.tiles, j), rows = cut(outs, way.tiles, j + 1) - o0;
        for (Int i0 = 0; i0 < ins; i0 += L) {
            Int n = smallest(L, ins - i0);
            for (Int i = 0; i < n; i++)
                for (Int o = 0; o < rows; o++) {
                    kernel_frequencies(w + (backward ? (i0 + i) * outs + o0 + o : (o0 + o) * ins + i0 + i) * 9, u);
                    for (int f = 0; f < FREQUENCIES; f++) some[f][i * rows + o] = u[f];
                }
            for (int f = 0; f < FREQUENCIES; f++) {  // a kernel turned around has its outer frequencies exchanged
                int a = f / 4, c = f % 4;
                if (backward) a = a % 3 ? a : 3 - a, c = c % 3 ? c : 3 - c;
                __builtin_memcpy(packed + way.packed + f * outs * ins + o0 * ins + i0 * rows, some[4 * a + c], n * rows * sizeof(float));
            }
        }
    }
}

// Results tile by tile: finish(channel, row of tiles, column of tiles, the 2 × 2 values). A window starts `lead` before
// its results. Tiles are worked on in groups, so that kernels are read once per group.
template <class F>
static void winograd(const Planes& in, const Winograd& way, const float* packed, float* scratch, Int ins, Int outs,
                     Int lead_y, Int lead_x, F finish) {
    Int in_plane = ins * way.group + 1, out_plane = outs * way.group + 1, all_tiles = way.h * way.w;
    float *spectra = scratch, *products = scratch + FREQUENCIES * in_plane * L;
    Int groups = tiles_of(all_tiles, way.group), chunks = tiles_of(ins * L * 4 * way.columns, CHUNK * 3);
    for (Int j = 0; j < groups; j++) {
        Int from = cut(all_tiles, groups, j), count = cut(all_tiles, groups, j + 1) - from, parts = tiles_of(count, way.columns);
        for (Int i = 0; i < ins; i++)
            for (Int t = 0; t < count; t++) {
                V d[FREQUENCIES];
                gather<4>(in, i, (from + t) / way.w * 2 - lead_y, (from + t) % way.w * 2 - lead_x, d);
                to_frequencies(d);
                float* to = spectra + (i * way.group + t) * L;
                UNROLL for (int f = 0; f < FREQUENCIES; f++) store(to + f * in_plane * L, d[f]);
            }
        for (int f = 0; f < FREQUENCIES; f++)
            for (Int q = 0; q < chunks; q++) {
                Int i0 = cut(ins, chunks, q), n = cut(ins, chunks, q + 1) - i0;
                for (Int k = 0; k < way.tiles; k++) {
                    Int o0 = cut(outs, way.tiles, k), o = cut(outs, way.tiles, k + 1) - o0;
                    for (Int x = 0; x < parts; x++) {
                        Int x0 = cut(count, parts, x), width = cut(count, parts, x + 1) - x0;
                        choose_tile(o, width)(spectra + (f * in_plane + x0) * L, way.taps.data() + i0, n, L,
                                              packed + way.packed + f * outs * ins + o0 * ins + i0 * o, o,
                                              products + (f * out_plane + o0 * way.group + x0) * L, way.group * L, L,
                                              q ? nullptr : no_bias, false);
                    }
                }
            }
        for (Int o = 0; o < outs; o++)
            for (Int t = 0; t < count; t++) {
                V m[FREQUENCIES], y[4];
                const float* at = products + (o * way.group + t) * L;
                UNROLL for (int f = 0; f < FREQUENCIES; f++) m[f] = load(at + f * out_plane * L);
                from_frequencies(m, y);
                finish(o, (from + t) / way.w, (from + t) % way.w, y);
            }
    }
}

static void winograd_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const float* bias = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    bool relu = s.act == Act::relu;
    winograd(activations(s, x, y, b), s.forward, b.packed, b.scratch, x.c, y.c, s.pad[1], s.pad[2],
             [&](Int o, Int ty, Int tx, const V* v) {
        float* out = b.act + at(y, o, 0, 2 * ty) + 2 * tx * L;
        V shift = bias ? all(bias[o]) : zero();
        Int rows = smallest(2, y.h - 2 * ty), columns = smallest(2, y.w - 2 * tx);
        for (Int i = 0; i < rows; i++)
            for (Int j = 0; j < columns; j++) {
                V r = v[2 * i + j] + shift;
                store(out + i * y.hs * L + j * L, relu ? rectified(r) : r);
            }
    });
    if (s.act == Act::linear || relu) return;
    for (Int o = 0; o < y.c; o++)
        for (Int row = 0; row < y.h; row++) activate_row(s.act, s.alpha, b.act + at(y, o, 0, row), y.w);
}

static void winograd_backward_data(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    winograd(gradients(y, b), s.back, b.packed, b.scratch, y.c, x.c, 2 - s.pad[1], 2 - s.pad[2],
             [&](Int i, Int ty, Int tx, const V* v) {
        float* out = b.grad + grad_at(x, i, 0, 2 * ty) + 2 * tx * L;
        Int rows = smallest(2, x.h - 2 * ty), columns = smallest(2, x.w - 2 * tx);
        for (Int k = 0; k < rows; k++)
            for (Int j = 0; j < columns; j++) give(out + k * x.ghs * L + j * L, v[2 * k + j], s.fresh[0]);
    });
    for (Int row = 0; row < x.h; row++) derive_rows(plan, s, b, 0, x.c, 0, row);
}

// A g Aᵀ: the frequencies of the gradients of 2 × 2 results
static inline void slope_frequencies(const V* g, V* m) {
    V r[8];
    UNROLL for (int j = 0; j < 2; j++) r[j] = g[j], r[2 + j] = g[j] + g[2 + j], r[4 + j] = g[j] - g[2 + j], r[6 + j] = -g[2 + j];
    UNROLL for (int i = 0; i < 4; i++) {
        V a = r[2 * i], c = r[2 * i + 1];
        m[4 * i] = a, m[4 * i + 1] = a + c, m[4 * i + 2] = a - c, m[4 * i + 3] = -c;
    }
}

// Frequencies of the tiles from … to, as [frequency][tile][sample][channel]: channels become the lanes.
template <int N, class F>
static void spread_channels(const Planes& p, Int channels, Int width, Int from, Int to, Int lead_y, Int lead_x, float* out, F transform) {
    Int row = tiles_of(channels, L) * L;
    for (Int c0 = 0; c0 < channels; c0 += L)
        for (Int t = from; t < to; t++) {
            V d[L][FREQUENCIES], r[L];
            for (Int c = 0; c < L; c++) {
                if (c0 + c < channels) {
                    V window[N * N];
                    gather<N>(p, c0 + c, t / width * 2 - lead_y, t % width * 2 - lead_x, window);
                    transform(window, d[c]);
                } else {
                    for (V& v : d[c]) v = zero();
                }
            }
            for (int f = 0; f < FREQUENCIES; f++) {
                UNROLL for (int c = 0; c < L; c++) r[c] = d[c][f];
                transpose(r);
                float* at = out + (f * (to - from) + t - from) * L * row + c0;
                UNROLL for (int c = 0; c < L; c++) store(at + c * row, r[c]);
            }
        }
}

// target += Gᵀ u G, for the kernels of one output
static void add_kernels(const float* u, Int plane, Int ins, float* target) {
    for (Int i = 0; i < ins; i += L) {
        Int n = smallest(L, ins - i);
        V d[FREQUENCIES], r[12];
        float w[9][L];
        UNROLL for (int f = 0; f < FREQUENCIES; f++) d[f] = loadu(u + f * plane + i);
        UNROLL for (int j = 0; j < 4; j++) {
            V sum = 0.5f * (d[4 + j] + d[8 + j]), difference = 0.5f * (d[4 + j] - d[8 + j]);
            r[j] = d[j] + sum, r[4 + j] = difference, r[8 + j] = sum + d[12 + j];
        }
        UNROLL for (int k = 0; k < 3; k++) {
            V sum = 0.5f * (r[4 * k + 1] + r[4 * k + 2]), difference = 0.5f * (r[4 * k + 1] - r[4 * k + 2]);
            storeu(w[3 * k], r[4 * k] + sum), storeu(w[3 * k + 1], difference), storeu(w[3 * k + 2], sum + r[4 * k + 3]);
        }
        for (Int j = 0; j < n; j++)
            for (int k = 0; k < 9; k++) target[(i + j) * 9 + k] += w[k][j];
    }
}

static void winograd_backward_weights(const Plan& plan, const Step& s, Block& b, float* target) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Winograd& way = s.weights;
    Planes in = activations(s, x, y, b), g = gradients(y, b);
    Int ins = tiles_of(x.c, L) * L, outs = tiles_of(y.c, L) * L, plane = y.c * ins;
    float *sums = b.scratch, *spectra = sums + FREQUENCIES * plane, *slopes = spectra + FREQUENCIES * way.group * L * ins;
    Int x_tiles = tiles_of(ins / L, WIDEST), most = smallest(MOST_ROWS, ACCUMULATORS / tiles_of(ins / L, x_tiles));
    Int o_tiles = tiles_of(y.c, most), chunks = tiles_of(way.h * way.w, way.group);
    for (Int q = 0; q < chunks; q++) {
        Int from = cut(way.h * way.w, chunks, q), to = cut(way.h * way.w, chunks, q + 1), n = (to - from) * L;
        spread_channels<4>(in, x.c, way.w, from, to, s.pad[1], s.pad[2], spectra, [](V* d, V* m) {
            to_frequencies(d);
            for (int f = 0; f < FREQUENCIES; f++) m[f] = d[f];
        });
        spread_channels<2>(g, y.c, way.w, from, to, 0, 0, slopes, slope_frequencies);
        for (int f = 0; f < FREQUENCIES; f++)
            for (Int j = 0; j < x_tiles; j++) {
                Int x0 = cut(ins / L, x_tiles, j), width = cut(ins / L, x_tiles, j + 1) - x0;
                for (Int k = 0; k < o_tiles; k++) {
                    Int o0 = cut(y.c, o_tiles, k), o = cut(y.c, o_tiles, k + 1) - o0;
                    choose_tile(o, width)(spectra + f * n * ins + x0 * L, way.taps.data(), n, L, slopes + f * n * outs + o0, outs,
                                          sums + f * plane + o0 * ins + x0 * L, ins, L, q ? nullptr : no_bias, false);
                }
            }
    }
    for (Int o = 0; o < y.c; o++) add_kernels(sums + o * ins, plane, x.c, target + o * x.c * 9);
}

}  // namespace convia::CONVIA_ISA
