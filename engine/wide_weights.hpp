// Gradients of kernels with channels as lanes: sums over pixels, whose tiles of inputs by outputs stay in registers.
#pragma once
#include "wide.hpp"

namespace convia::CONVIA_ISA {

constexpr int WEIGHT_INS = L < 8 ? L : 8, WIDE_WEIGHT_BLOCKS = (WIDE_REGISTERS - 1) / (WEIGHT_INS + 1) < WIDE_BLOCKS
                                                                   ? (WIDE_REGISTERS - 1) / (WEIGHT_INS + 1) : WIDE_BLOCKS;
constexpr Int AHEAD = 24;  // pixels that are fetched before their time
constexpr Int WEIGHT_CHUNK = 1 << 20;  // bytes of the samples that tiles of weights go over again and again

// Pixels of several samples: how many there are, and how far they are apart.
struct Pixels { Int samples, planes, rows, columns; };
struct Strides { Int sample, plane, row, column; };

// acc[k][o] += Σ over pixels of x[k]·g[o], of inputs side by side or TAPS so far apart; rows of acc are `step` floats apart.
using WideWeights = void (*)(const float* x, Strides xs, const float* g, Strides gs, Int g_block, Pixels n, float* acc, Int step, Int apart);
template <int O, int K, bool TAPS>
static void wide_weights(const float* x, Strides xs, const float* g, Strides gs, Int g_block, Pixels n, float* acc, Int step, Int apart) {
    V c[K][O];
    UNROLL for (int k = 0; k < K; k++)
        UNROLL for (int o = 0; o < O; o++) c[k][o] = load(acc + k * step + o * L);
    for (Int s = 0; s < n.samples; s++)
        for (Int z = 0; z < n.planes; z++)
            for (Int y = 0; y < n.rows; y++) {
                const float* p = x + s * xs.sample + z * xs.plane + y * xs.row;
                const float* q = g + s * gs.sample + z * gs.plane + y * gs.row;
                for (Int i = 0; i < n.columns; i++, p += xs.column, q += L) {
                    V each[O];
                    __builtin_prefetch(p + AHEAD * xs.column);
                    UNROLL for (int o = 0; o < O; o++) {
                        __builtin_prefetch(q + o * g_block + AHEAD * L);
                        each[o] = pinned(load(q + o * g_block));
                    }
                    UNROLL for (int k = 0; k < K; k++) {
                        V v = all(p[TAPS ? k * apart : k]);
                        if (O > 1) v = pinned(v);
                        UNROLL for (int o = 0; o < O; o++) c[k][o] += each[o] * v;
                    }
                }
            }
    UNROLL for (int k = 0; k < K; k++)
        UNROLL for (int o = 0; o < O; o++) store(acc + k * step + o * L, c[k][o]);
}
template <bool TAPS, int... I>
static WideWeights choose_wide_weights(Int o, Int k, std::integer_sequence<int, I...>) {
    static constexpr WideWeights table[] = {wide_weights<I / WEIGHT_INS + 1, I % WEIGHT_INS + 1, TAPS>...};
    return table[(o - 1) * WEIGHT_INS + k - 1];
}
using WeightTiles = std::make_integer_sequence<int, WIDE_WEIGHT_BLOCKS * WEIGHT_INS>;

// The results of a convolution for which a tap lies within the input, along one axis.
struct Range { Int from, to; };
static inline Range seen_by(const Step& s, int axis, Int tap, Int ins, Int outs) {
    Int shift = s.pad[axis] - tap * s.dil[axis];  // of the input: result × stride − shift
    Int from = shift > 0 ? tiles_of(shift, s.s[axis]) : 0, to = ins - 1 + shift < 0 ? 0 : (ins - 1 + shift) / s.s[axis] + 1;
    return {from, largest(from, smallest(to, outs))};
}

// Where a tap meets the results of some rows: f(x, its strides, g, its strides, pixels), of the blocks of channels i and o. Of the
// first tap of a row all results, for there are zeros around.
template <class F>
static inline void with_tap(const Plan& plan, const Step& s, const Block& b, Range rows, Int tap, bool all_columns, Int i, Int o, F f) {
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    bool transposed = s.kind == Kind::conv_transpose;  // activations are gradients there, and the other way round
    Int number[3] = {tap / (s.k[1] * s.k[2]), tap / s.k[2] % s.k[1], tap % s.k[2]};
    Range z = seen_by(s, 0, number[0], x.d, y.d), r = seen_by(s, 1, number[1], x.h, y.h), c = all_columns ? Range{0, y.w} : seen_by(s, 2, number[2], x.w, y.w);
    r.from = largest(r.from, rows.from), r.to = smallest(r.to, rows.to);
    auto start = [&](int axis, const Range& range) { return range.from * s.s[axis] - s.pad[axis] + number[axis] * s.dil[axis]; };
    const float* p = (transposed ? b.grad + grad_at(x, i, start(0, z), start(1, r)) : b.act + at(x, i, start(0, z), start(1, r))) + start(2, c) * L;
    const float* g = (transposed ? b.act + at(y, o, z.from, r.from) : b.grad + grad_at(y, o, z.from, r.from)) + c.from * L;
    Strides xs{b.apart, s.s[0] * x.ds * L, s.s[1] * x.hs * L, s.s[2] * L}, gs{b.grad_apart, y.gds * L, y.ghs * L, L};
    if (transposed) std::swap(xs.sample, gs.sample);
    Pixels n{b.group, z.to - z.from, r.to - r.from, c.to - c.from};
    bool follow = n.columns == y.w && s.s[1] * s.s[2] == 1 && x.w == y.w && x.hs == x.w && y.ghs == y.w;  // one row the other
    if (follow) n = {b.group, n.planes, 1, n.rows * y.w};
    if (follow && n.columns == y.h * y.w && s.s[0] == 1 && x.h == y.h && x.ds == x.h * x.w && y.gds == y.h * y.w) n = {b.group, 1, 1, n.planes * n.columns};
    if (n.planes > 0 && n.rows > 0 && n.columns > 0) f(p, xs, g, gs, n);
}

// What has been gathered as (input, tap) by vectors of outputs, to the gradient, which is (outs, ins, taps).
static void spread_weights(const float* acc, Int step, Int run, float* target, Int apart, Int outs, bool stores) {
    for (Int j0 = 0; j0 < run; j0 += L) {
        Int n = smallest(L, run - j0);
        V rows[L];
        for (Int j = 0; j < L; j++) rows[j] = j < n ? load(acc + (j0 + j) * step) : zero();
        transpose(rows);
        for (Int o = 0; o < smallest(L, outs); o++) {
            float* to = target + o * apart + j0;
            V sum = zero();
            if (!stores) __builtin_memcpy(&sum, to, n * sizeof(float));
            sum += rows[o];
            __builtin_memcpy(to, &sum, n * sizeof(float));
        }
    }
}

// Parts of the samples whose pixels stay in the cache: some samples or, where one has too many, some rows of one.
template <class F>
static inline void each_part(const Block& b, Int bytes_of_row, Int rows, F f) {
    Int most = largest(1, WEIGHT_CHUNK / bytes_of_row), groups = tiles_of(b.group, largest(1, most / rows)), chunks = tiles_of(rows, most);
    for (Int k = 0; k < groups; k++) {
        Block part = b;
        Int from = cut(b.group, groups, k);
        part.group = int(cut(b.group, groups, k + 1) - from);
        part.act = b.act + from * b.apart;
        part.grad = b.grad + from * b.grad_apart;
        for (Int q = 0; q < chunks; q++) f(part, Range{cut(rows, chunks, q), cut(rows, chunks, q + 1)});
    }
}

// The same of the channels of some groups, outputs and inputs from o and i on; others do not belong together.
static void spread_groups(const Step& s, const float* acc, Int step, Int o0, Int i0, Int n, Int outs, Int ins, float* gradient) {
    Int spatial = s.k[0] * s.k[1] * s.k[2], each = ins / s.groups;
    for (Int o = o0; o < smallest(o0 + L, outs); o++)
        for (Int i = i0; i < i0 + n; i++) {
            if (o / (outs / s.groups) != i / each) continue;
            for (Int t = 0; t < spatial; t++) {
                float &to = gradient[(o * each + i % each) * spatial + t], sum = acc[((i - i0) * spatial + t) * step + o - o0];
                to = s.stores ? sum : to + sum;
            }
        }
}

// A unit is a block of inputs by some blocks of outputs. Either one follows the other through all samples or, where all that are
// this thread's stay in the cache (`resident`), all of them go through the samples part by part.
static void conv_weights(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    Int ins = plan.channels[s.large()], outs = plan.channels[s.small()], spatial = s.k[0] * s.k[1] * s.k[2];
    Int parts = s.wide.parts, blocks = y.c / parts, each = x.c / parts, groups = tiles_of(blocks, WIDE_WEIGHT_BLOCKS);
    Int size = spatial * L * L * smallest(blocks, WIDE_WEIGHT_BLOCKS), units = parts * groups * each;
    Int from = cut(units, b.parts, b.part), to = cut(units, b.parts, b.part + 1);
    struct Unit { Int i0, o0, o; };
    auto of = [&](Int unit) {
        Int number = unit / each, part = number / groups, first = cut(blocks, groups, number % groups);
        return Unit{part * each + unit % each, part * blocks + first, cut(blocks, groups, number % groups + 1) - first};
    };
    float* gradient = b.wgrad + plan.params[s.params[0]].grad;
    auto pass = [&](Int first, Int last, Int blocks_in, Int blocks_out) {
        __builtin_memset(b.scratch, 0, (last - first) * size * sizeof(float));
        Int bytes_of_row = (blocks_in * x.d * x.w * s.s[1] + blocks_out * y.d * y.w) * L * 4;
        each_part(b, bytes_of_row, y.h, [&](const Block& part, Range rows) {
            for (Int unit = first; unit < last; unit++) {
                Unit u = of(unit);
                Int i0 = u.i0, o0 = u.o0, o = u.o, n = smallest(L, ins - i0 * L), width = s.k[2], apart = s.dil[2] * L;
                bool by_taps = width > n;  // a row of them takes the place of inputs
                float* acc = b.scratch + (unit - first) * size;
                for (Int t = 0; t < spatial; t += by_taps ? width : 1)
                    with_tap(plan, s, part, rows, t, by_taps, i0, o0, [&](const float* p, Strides xs, const float* g, Strides gs, Pixels pixels) {
                        for (Int i = 0; by_taps && i < n; i++)
                            for (Int k = 0; k < width; k += WEIGHT_INS)
                                choose_wide_weights<true>(o, smallest(WEIGHT_INS, width - k), WeightTiles())(
                                    p + i + k * apart, xs, g, gs, y.gcs * L, pixels, acc + (i * spatial + t + k) * o * L, o * L, apart);
                        for (Int i = 0; !by_taps && i < n; i += WEIGHT_INS)
                            choose_wide_weights<false>(o, smallest(WEIGHT_INS, n - i), WeightTiles())(
                                p + i, xs, g, gs, y.gcs * L, pixels, acc + (i * spatial + t) * o * L, spatial * o * L, 1);
                    });
            }
        });
        for (Int unit = first; unit < last; unit++) {
            Unit u = of(unit);
            Int i0 = u.i0, o0 = u.o0, o = u.o;
            for (Int k = 0; k < o && s.groups > 1; k++)
                spread_groups(s, b.scratch + (unit - first) * size + k * L, o * L, (o0 + k) * L, i0 * L, smallest(L, ins - i0 * L), outs, ins, gradient);
            for (Int k = 0; k < o && s.groups == 1; k++)
                spread_weights(b.scratch + (unit - first) * size + k * L, o * L, smallest(L, ins - i0 * L) * spatial,
                               gradient + ((o0 + k) * L * ins + i0 * L) * spatial, ins * spatial, outs - (o0 + k) * L, s.stores);
        }
    };
    if (s.wide.resident) return pass(from, to, x.c, y.c);
    for (Int unit = from; unit < to; unit++) pass(unit, unit + 1, 1, WIDE_WEIGHT_BLOCKS);
}

static void depthwise_weights(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Int outs = plan.channels[s.out], spatial = s.k[0] * s.k[1] * s.k[2];
    float* gradient = b.wgrad + plan.params[s.params[0]].grad;
    for (Int c = cut(y.c, b.parts, b.part); c < cut(y.c, b.parts, b.part + 1); c++)
        for (Int t = 0; t < spatial; t++) {
            V sums[4] = {};
            with_tap(plan, s, b, {0, y.h}, t, false, c, c, [&](const float* x, Strides xs, const float* g, Strides gs, Pixels n) {
                for (Int k = 0; k < n.samples; k++)
                    for (Int z = 0; z < n.planes; z++)
                        for (Int row = 0; row < n.rows; row++) {
                            const float* p = x + k * xs.sample + z * xs.plane + row * xs.row;
                            const float* q = g + k * gs.sample + z * gs.plane + row * gs.row;
                            Int i = 0;
                            for (; i + 4 <= n.columns; i += 4)
                                UNROLL for (int u = 0; u < 4; u++) sums[u] += load(p + (i + u) * xs.column) * load(q + (i + u) * L);
                            for (; i < n.columns; i++) sums[0] += load(p + i * xs.column) * load(q + i * L);
                        }
            });
            V sum = sums[0] + sums[1] + (sums[2] + sums[3]);
            for (int k = 0; k < L && c * L + k < outs; k++) {
                float* to = gradient + (c * L + k) * spatial + t;
                *to = s.stores ? sum[k] : *to + sum[k];
            }
        }
}

}  // namespace convia::CONVIA_ISA
