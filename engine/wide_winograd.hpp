// Winograd's algorithm F(m×m, 3×3) (Lavin and Gray, 2016, arXiv:1509.09308) with channels as lanes: tiles of m × m results
// become (m + 2)² products of matrices, one per frequency, with 2.25 (m = 2) or 4 times (m = 4) fewer multiplications.
#pragma once
#include "sweep.hpp"

namespace convia::CONVIA_ISA {

constexpr Int FEW_TILES = 24;  // of results, for which a kernel is not worth fetching

// Bᵀd, G g and Aᵀm of a line of values that are S apart.
template <int M, int S>
static inline void to_frequencies(V* d) {
    V a = d[0], b = d[S], c = d[2 * S], e = d[3 * S];
    if constexpr (M == 2) {
        d[0] = a - c, d[S] = b + c, d[2 * S] = c - b, d[3 * S] = b - e;
    } else {
        V f = d[4 * S], even = f - 4 * c, odd = e - 4 * b, even2 = f - c, odd2 = 2 * (e - b);
        d[0] = 4 * a - 5 * c + f, d[5 * S] = 4 * b - 5 * e + d[5 * S];
        d[S] = even + odd, d[2 * S] = even - odd, d[3 * S] = even2 + odd2, d[4 * S] = even2 - odd2;
    }
}
template <int M, int S, int T>
static inline void kernel_to_frequencies(const V* g, V* u) {
    V a = g[0], b = g[S], c = g[2 * S];
    u[0] = a, u[(M + 1) * T] = c;
    if constexpr (M == 2) {
        V even = (a + c) * 0.5f, odd = b * 0.5f;
        u[T] = even + odd, u[2 * T] = even - odd;
    } else {
        V even = (a + c) * (-1 / 6.f), odd = b * (-1 / 6.f), even2 = a * (1 / 24.f) + c * (1 / 6.f), odd2 = b * (1 / 12.f);
        u[0] = a * 0.25f;
        u[T] = even + odd, u[2 * T] = even - odd, u[3 * T] = even2 + odd2, u[4 * T] = even2 - odd2;
    }
}
template <int M, int S, int T>
static inline void from_frequencies(const V* m, V* y) {
    V sum = m[S] + m[2 * S], difference = m[S] - m[2 * S];
    if constexpr (M == 2) {
        y[0] = m[0] + sum, y[T] = difference - m[3 * S];
    } else {
        V sum2 = m[3 * S] + m[4 * S], difference2 = m[3 * S] - m[4 * S];
        y[0] = m[0] + sum + sum2, y[T] = difference + 2 * difference2;
        y[2 * T] = sum + 4 * sum2, y[3 * T] = difference + 8 * difference2 + m[5 * S];
    }
}

// A tile of results: its sample, plane, and first row and column.
struct ResultTile { Int sample, plane, y, x; };
static inline ResultTile result_tile(const Sweep& s, Int number) {
    const WideWinograd& w = s.winograd;
    Int column = number % w.columns, row = number / w.columns % w.rows, plane = number / (w.columns * w.rows);
    return {plane / s.d, plane % s.d, row * w.side, column * w.side};
}

// Inputs as [frequency][block of channels][tile].
template <int M>
static void winograd_in(const Sweep& s, const Sweeping& on, Int first, Int n, float* to) {
    constexpr int N = M + 2;
    const WideWinograd& w = s.winograd;
    for (Int t = 0; t < n; t++) {
        ResultTile tile = result_tile(s, first + t);
        const float* p = on.base + tile.sample * on.apart + s.in.at + w.origin + tile.plane * s.in.plane + tile.y * s.in.row + tile.x * L;
        Int rows = s.h + 2 - tile.y, columns = s.w + 2 - tile.x;
        for (Int c = 0; c < s.channels / L; c++, p += s.in.block) {
            V d[N * N];
            if (rows >= N && columns >= N) {
                UNROLL for (int i = 0; i < N * N; i++) d[i] = load(p + i / N * s.in.row + i % N * L);
            } else {
                for (int i = 0; i < N * N; i++) d[i] = i / N < rows && i % N < columns ? load(p + i / N * s.in.row + i % N * L) : zero();
            }
            UNROLL for (int i = 0; i < N; i++) to_frequencies<M, N>(d + i);
            UNROLL for (int i = 0; i < N; i++) to_frequencies<M, 1>(d + i * N);
            float* out = to + (c * w.most + t) * L;
            UNROLL for (int i = 0; i < N * N; i++) store(out + i * w.in_step * L, d[i]);
        }
    }
}

// Results of the blocks of channels from `o0` on, from [frequency][block][tile].
template <int M>
static void winograd_out(const Sweep& s, const Sweeping& on, Int first, Int n, Int o0, Int blocks, const float* from) {
    constexpr int N = M + 2;
    const WideWinograd& w = s.winograd;
    for (Int t = 0; t < n; t++) {
        ResultTile tile = result_tile(s, first + t);
        float* base = on.base + tile.sample * on.apart;
        float* out = base + s.out.at + o0 * s.out.block + tile.plane * s.out.plane + tile.y * s.out.row + tile.x * L;
        const float* added = !on.added ? nullptr
            : base + on.added->at + o0 * on.added->block + tile.plane * on.added->plane + tile.y * on.added->row + tile.x * L;
        Int rows = smallest(M, s.h - tile.y), columns = smallest(M, s.w - tile.x);
        for (Int o = 0; o < blocks; o++, out += s.out.block) {
            const float* m = from + (o * w.most + t) * L;
            V d[N * N], half[M * N], y[M * M];
            UNROLL for (int i = 0; i < N * N; i++) d[i] = load(m + i * w.out_step * L);
            UNROLL for (int i = 0; i < N; i++) from_frequencies<M, N, N>(d + i, half + i);
            UNROLL for (int i = 0; i < M; i++) from_frequencies<M, 1, 1>(half + i * N, y + i * M);
            V shift = on.first ? load(on.first + (o0 + o) * on.first_step * L) : zero();
            auto finish = [&](int i) {
                float* q = out + i / M * s.out.row + i % M * L;
                V v = y[i] + (on.first ? shift : load(q));
                if (added) v += load(added + o * on.added->block + i / M * on.added->row + i % M * L);
                store(q, on.act == Act::relu ? rectified(v) : v);
            };
            if (rows == M && columns == M) {
                UNROLL for (int i = 0; i < M * M; i++) finish(i);
            } else {
                for (int i = 0; i < M * M; i++)
                    if (i / M < rows && i % M < columns) finish(i);
            }
            for (Int r = 0; r < rows && on.act != Act::linear && on.act != Act::relu; r++) activate_row(on.act, on.alpha, out + r * s.out.row, columns);
        }
    }
}

// One frequency of a tile of channels: a product of matrices.
static void winograd_product(const Sweep& s, Int o, Int n, const float* v, const float* weights, float* m) {
    const WideWinograd& w = s.winograd;
    Int blocks = s.channels / L, chunks = tiles_of(blocks, largest(1, WIDE_CHUNK / (o * L * L * 4))), columns = tiles_of(n, s.columns);
    for (Int q = 0; q < chunks; q++) {
        Int c0 = cut(blocks, chunks, q);
        for (Int j = 0; j < columns; j++) {
            Int x0 = cut(n, columns, j), many = cut(n, columns, j + 1) - x0;
            WideEnds ends{q ? nullptr : nothing, nullptr, w.most * L, L, 0, false};
            choose_wide_tile(o, many, false, std::make_integer_sequence<int, WIDE_BLOCKS * WIDE_COLUMNS>())(
                v + x0 * L, w.taps.data() + c0, cut(blocks, chunks, q + 1) - c0, L, weights + c0 * L * o * L, m + x0 * L, ends);
        }
    }
}

// Threads share the tiles of results or, where these are few, those of channels.
template <int M>
static void run_winograd(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    constexpr int FREQUENCIES = (M + 2) * (M + 2);
    const WideWinograd& w = s.winograd;
    Int results = b.group * s.d * w.rows * w.columns;
    bool by_channels = results < b.parts * FEW_TILES;
    Int k0 = by_channels ? cut(s.tiles, b.parts, b.part) : 0, k1 = by_channels ? cut(s.tiles, b.parts, b.part + 1) : s.tiles;
    Int from = by_channels ? 0 : cut(results, b.parts, b.part), to = by_channels ? results : cut(results, b.parts, b.part + 1);
    Int groups = tiles_of(to - from, w.most);
    float *v = b.scratch, *m = v + FREQUENCIES * w.in_step * L;
    for (Int g = 0; k0 < k1 && g < groups; g++) {
        Int first = from + cut(to - from, groups, g), n = from + cut(to - from, groups, g + 1) - first;
        winograd_in<M>(s, on, first, n, v);
        for (Int k = k0; k < k1; k++) {
            Int o0 = cut(s.blocks, s.tiles, k), o = cut(s.blocks, s.tiles, k + 1) - o0;
            for (int f = 0; f < FREQUENCIES; f++)
                winograd_product(s, o, n, v + f * w.in_step * L, packed + s.packed + (o0 * FREQUENCIES + f * o) * s.channels * L, m + f * w.out_step * L);
            winograd_out<M>(s, on, first, n, o0, o, m);
        }
    }
}

// From kernels as `run_sweep` takes them to [tile of channels][frequency][channel][channel of the tile].
template <int M>
static void pack_winograd(const Sweep& s, const float* direct, float* packed, Int k) {
    constexpr int N = M + 2;
    Int first = cut(s.blocks, s.tiles, k), many = cut(s.blocks, s.tiles, k + 1) - first;
    float* to = packed + s.packed + first * N * N * s.channels * L;
    for (Int c = 0; c < s.channels; c++)
        for (Int o = 0; o < many; o++) {
            V g[9], half[N * 3], u[N * N];
            for (int t = 0; t < 9; t++) g[s.winograd.flipped ? 8 - t : t] = load(direct + ((c / L * 9 + t) * L + c % L) * many * L + o * L);
            for (int i = 0; i < 3; i++) kernel_to_frequencies<M, 3, 3>(g + i, half + i);
            for (int i = 0; i < N; i++) kernel_to_frequencies<M, 1, 1>(half + i * 3, u + i * N);
            for (int i = 0; i < N * N; i++) store(to + ((i * s.channels + c) * many + o) * L, u[i]);
        }
}

// Any convolution that does not treat each channel by itself.
static void run_dense(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    (s.winograd.side == 4 ? run_winograd<4> : s.winograd.side == 2 ? run_winograd<2> : run_sweep)(s, b, packed, on);
}

}  // namespace convia::CONVIA_ISA
