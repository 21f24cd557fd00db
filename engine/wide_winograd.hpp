// Winograd's algorithm (Lavin and Gray, 2016, arXiv:1509.09308) with channels as lanes: m results of a kernel of r numbers take
// m + r − 1 products along an axis, one per frequency, instead of m·r: 2.25 or 4 times fewer multiplications for 2 × 2 or 4 × 4
// results of 3 × 3, 2.8 for 2 × 2 of 5 × 5, 1.75 for 2 of 7, 2 for 4 of 3.
#pragma once
#include "sweep.hpp"

namespace convia::CONVIA_ISA {

constexpr Int FEW_TILES = 24;  // of results, for which a kernel is not worth fetching

// Call a function with std::integral_constant of 0, 1, …, N − 1.
template <int N, int FROM = 0, class Function>
static inline void each_of(Function function) {
    function(std::integral_constant<int, FROM>());
    if constexpr (FROM + 1 < N) each_of<N, FROM + 1>(function);
}

// The points of Cook and Toom's polynomials are 0, pairs ±q of these, and infinity.
constexpr float POINTS[] = {1, 2, 0.5f};

// The coefficients of Π(t − q²) over the first pairs but one (-1: over all), t⁰ first.
struct Coefficients { float of[4]; };
static constexpr Coefficients product_of(int pairs, int without) {
    Coefficients c{{1}};
    for (int p = 0, degree = 0; p < pairs; p++) {
        if (p == without) continue;
        float square = POINTS[p] * POINTS[p];
        for (int i = ++degree; i >= 0; i--) c.of[i] = (i ? c.of[i - 1] : 0) - square * c.of[i];
    }
    return c;
}
static constexpr float power(float q, int n) { return n ? q * power(q, n - 1) : 1; }

// Σ c[i] · d[2i·S] over a polynomial of so many pairs.
template <int PAIRS, int WITHOUT, int S>
static inline V polynomial(const V* d) {
    constexpr int DEGREE = PAIRS - (WITHOUT >= 0);
    constexpr Coefficients c = product_of(PAIRS, WITHOUT);
    V sum = d[2 * DEGREE * S];
    UNROLL for (int i = 0; i < DEGREE; i++) sum += c.of[i] * d[2 * i * S];
    return sum;
}

// Bᵀd, G g and Aᵀm of N points: lines of N samples, of R numbers of a kernel, of N products that become M results; S (and T,
// where results go) apart. One point leaves things as they are.
template <int N, int S>
static inline void to_frequencies(V* d) {
    if constexpr (N > 1) {
        constexpr int PAIRS = N / 2 - 1;
        V first = polynomial<PAIRS, -1, S>(d), last = polynomial<PAIRS, -1, S>(d + S), pairs[2 * PAIRS];
        each_of<PAIRS>([&](auto p) {
            V even = polynomial<PAIRS, p, S>(d + 2 * S), odd = POINTS[p] * polynomial<PAIRS, p, S>(d + S);
            pairs[2 * p] = even + odd, pairs[2 * p + 1] = even - odd;
        });
        d[0] = first, d[(N - 1) * S] = last;
        UNROLL for (int i = 0; i < 2 * PAIRS; i++) d[(i + 1) * S] = pairs[i];
    }
}
template <int N, int R, int S, int T>
static inline void kernel_to_frequencies(const V* g, V* u) {
    if constexpr (N == 1) {
        u[0] = g[0];
    } else {
        constexpr int PAIRS = N / 2 - 1;
        u[0] = g[0] * (1 / product_of(PAIRS, -1).of[0]), u[(N - 1) * T] = g[(R - 1) * S];
        each_of<PAIRS>([&](auto p) {
            constexpr float q = POINTS[p];
            constexpr Coefficients c = product_of(PAIRS, p);
            float weight = 0;
            for (int i = 0; i < PAIRS; i++) weight += c.of[i] * power(q, 2 * i + 2) * 2;
            V even = zero(), odd = zero();
            UNROLL for (int i = 0; i < R; i++) (i % 2 ? odd : even) += power(q, i) / weight * g[i * S];
            u[(2 * p + 1) * T] = even + odd, u[(2 * p + 2) * T] = even - odd;
        });
    }
}
template <int N, int M, int S, int T>
static inline void from_frequencies(const V* m, V* y) {
    if constexpr (N == 1) {
        y[0] = m[0];
    } else {
        constexpr int PAIRS = N / 2 - 1;
        V sums[PAIRS], differences[PAIRS];
        UNROLL for (int p = 0; p < PAIRS; p++)
            sums[p] = m[(2 * p + 1) * S] + m[(2 * p + 2) * S], differences[p] = m[(2 * p + 1) * S] - m[(2 * p + 2) * S];
        each_of<M>([&](auto i) {
            V sum = zero();
            if constexpr (i == 0) sum = m[0];
            if constexpr (i == M - 1) sum += m[(N - 1) * S];
            UNROLL for (int p = 0; p < PAIRS; p++) sum += power(POINTS[p], i) * (i % 2 ? differences[p] : sums[p]);
            y[i * T] = sum;
        });
    }
}

// A tile of results: its sample, plane, and first row and column.
struct ResultTile { Int sample, plane, y, x; };
static inline ResultTile result_tile(const Sweep& s, Int number) {
    const WideWinograd& w = s.winograd;
    const WinogradForm& form = WINOGRAD_FORMS[w.form];
    Int column = number % w.columns, row = number / w.columns % w.rows, plane = number / (w.columns * w.rows);
    return {plane / s.d, plane % s.d, row * form.rows, column * form.columns};
}

// Inputs as [frequency][block of channels][tile].
template <int F>
static void winograd_in(const Sweep& s, const Sweeping& on, Int first, Int n, float* to) {
    constexpr WinogradForm form = WINOGRAD_FORMS[F];
    constexpr int H = form.high(), W = form.wide();
    const WideWinograd& w = s.winograd;
    for (Int t = 0; t < n; t++) {
        ResultTile tile = result_tile(s, first + t);
        const float* p = on.base + tile.sample * on.apart + s.in.at + w.origin + tile.plane * s.in.plane + tile.y * s.in.row + tile.x * L;
        Int rows = s.h + form.kernel_rows - 1 - tile.y, columns = s.w + form.kernel_columns - 1 - tile.x;
        for (Int c = 0; c < s.channels / L; c++, p += s.in.block) {
            V d[H * W];
            if (rows >= H && columns >= W) {
                UNROLL for (int i = 0; i < H * W; i++) d[i] = load(p + i / W * s.in.row + i % W * L);
            } else {
                for (int i = 0; i < H * W; i++) d[i] = i / W < rows && i % W < columns ? load(p + i / W * s.in.row + i % W * L) : zero();
            }
            UNROLL for (int i = 0; i < W; i++) to_frequencies<H, W>(d + i);
            UNROLL for (int i = 0; i < H; i++) to_frequencies<W, 1>(d + i * W);
            float* out = to + (c * w.most + t) * L;
            UNROLL for (int i = 0; i < H * W; i++) store(out + i * w.in_step * L, d[i]);
        }
    }
}

// Results of the blocks of channels from `o0` on, from [frequency][block][tile].
template <int F>
static void winograd_out(const Sweep& s, const Sweeping& on, Int first, Int n, Int o0, Int blocks, const float* from) {
    constexpr WinogradForm form = WINOGRAD_FORMS[F];
    constexpr int H = form.high(), W = form.wide(), Y = form.rows, X = form.columns;
    const WideWinograd& w = s.winograd;
    for (Int t = 0; t < n; t++) {
        ResultTile tile = result_tile(s, first + t);
        float* base = on.base + tile.sample * on.apart;
        float* out = base + s.out.at + o0 * s.out.block + tile.plane * s.out.plane + tile.y * s.out.row + tile.x * L;
        const float* added = !on.added ? nullptr
            : base + on.added->at + o0 * on.added->block + tile.plane * on.added->plane + tile.y * on.added->row + tile.x * L;
        Int rows = smallest(Y, s.h - tile.y), columns = smallest(X, s.w - tile.x);
        for (Int o = 0; o < blocks; o++, out += s.out.block) {
            const float* m = from + (o * w.most + t) * L;
            V d[H * W], half[Y * W], y[Y * X];
            UNROLL for (int i = 0; i < H * W; i++) d[i] = load(m + i * w.out_step * L);
            UNROLL for (int i = 0; i < W; i++) from_frequencies<H, Y, W, W>(d + i, half + i);
            UNROLL for (int i = 0; i < Y; i++) from_frequencies<W, X, 1, 1>(half + i * W, y + i * X);
            V shift = on.first ? load(on.first + (o0 + o) * on.first_step * L) : zero();
            auto finish = [&](int i) {
                float* q = out + i / X * s.out.row + i % X * L;
                V v = y[i] + (on.first ? shift : load(q));
                if (added) v += load(added + o * on.added->block + i / X * on.added->row + i % X * L);
                store(q, on.act == Act::relu ? rectified(v) : v);
            };
            if (rows == Y && columns == X) {
                UNROLL for (int i = 0; i < Y * X; i++) finish(i);
            } else {
                for (int i = 0; i < Y * X; i++)
                    if (i / X < rows && i % X < columns) finish(i);
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
template <int F>
static void run_winograd(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    constexpr int FREQUENCIES = WINOGRAD_FORMS[F].frequencies();
    const WideWinograd& w = s.winograd;
    Int results = b.group * s.d * w.rows * w.columns;
    bool by_channels = results < b.parts * FEW_TILES;
    Int k0 = by_channels ? cut(s.tiles, b.parts, b.part) : 0, k1 = by_channels ? cut(s.tiles, b.parts, b.part + 1) : s.tiles;
    Int from = by_channels ? 0 : cut(results, b.parts, b.part), to = by_channels ? results : cut(results, b.parts, b.part + 1);
    Int groups = tiles_of(to - from, w.most);
    float *v = b.scratch, *m = v + FREQUENCIES * w.in_step * L;
    for (Int g = 0; k0 < k1 && g < groups; g++) {
        Int first = from + cut(to - from, groups, g), n = from + cut(to - from, groups, g + 1) - first;
        winograd_in<F>(s, on, first, n, v);
        for (Int k = k0; k < k1; k++) {
            Int o0 = cut(s.blocks, s.tiles, k), o = cut(s.blocks, s.tiles, k + 1) - o0;
            for (int f = 0; f < FREQUENCIES; f++)
                winograd_product(s, o, n, v + f * w.in_step * L, packed + s.packed + (o0 * FREQUENCIES + f * o) * s.channels * L, m + f * w.out_step * L);
            winograd_out<F>(s, on, first, n, o0, o, m);
        }
    }
}

// Call a function with the number of a form that is known only now.
template <int F = 0, class Function>
static void with_form(int form, Function function) {
    if (form == F) return function(std::integral_constant<int, F>());
    if constexpr (F + 1 < WINOGRADS) with_form<F + 1>(form, function);
}

// Any convolution that does not treat each channel by itself.
static void run_dense(const Sweep& s, const Block& b, const float* packed, const Sweeping& on) {
    if (s.winograd.form < 0) return run_sweep(s, b, packed, on);
    with_form(s.winograd.form, [&](auto form) { run_winograd<form>(s, b, packed, on); });
}

}  // namespace convia::CONVIA_ISA
