// Convolutions, and dense layers as convolutions of one pixel: directly, or by Winograd's algorithm.
#pragma once
#include "elementwise.hpp"
#include "tiles.hpp"
#include "winograd.hpp"

namespace convia::CONVIA_ISA {

// Write a matrix of few rows column by column.
static void turn(const float* from, Int rows, Int columns, float* to) {
    V r[L];
    Int t = 0;
    for (; rows <= L && (columns - t - L + 1) * rows >= L; t += L) {  // what a store writes too much, the next one overwrites
        for (int o = 0; o < L; o++) r[o] = o < rows ? loadu(from + o * columns + t) : zero();
        transpose(r);
        for (int i = 0; i < L; i++) storeu(to + (t + i) * rows, r[i]);
    }
    for (; t < columns; t++)
        for (Int o = 0; o < rows; o++) to[t * rows + o] = from[o * columns + t];
}

// Copy a kernel (out, in, kernel…) to the order in which tiles read it.
static void pack_taps(const Plan& plan, const Step& s, float* packed, int part, int parts, bool forward, bool backward) {
    const float* w = plan.params[s.params[0]].data;
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    Int ig = x.c / s.groups, og = y.c / s.groups, kd = s.k[0], kh = s.k[1], kw = s.k[2], kk = kd * kh * kw, taps = ig * kk;
    for (Int j = part; forward && j < s.groups * s.out_tiles; j += parts) {
        Int g = j / s.out_tiles, o0 = cut(og, s.out_tiles, j % s.out_tiles), o1 = cut(og, s.out_tiles, j % s.out_tiles + 1);
        turn(w + (g * og + o0) * taps, o1 - o0, taps, packed + s.packed + (g * og + o0) * taps);
    }
    if (!backward || kk == 1) return;  // as the kernel lies: a row of inputs for each output
    for (Int j = part; j < s.groups * s.in_tiles; j += parts) {  // [z][x][y][out][in of the tile]
        Int g = j / s.in_tiles, i0 = cut(ig, s.in_tiles, j % s.in_tiles), i1 = cut(ig, s.in_tiles, j % s.in_tiles + 1);
        float* to = packed + s.back_packed + (g * ig + i0) * kk * og;
        for (Int o = 0; o < og; o++)
            for (Int i = i0; i < i1; i++) {
                const float* from = w + ((g * og + o) * ig + i) * kk;
                for (Int z = 0; z < kd; z++)
                    for (Int ky = 0; ky < kh; ky++)
                        for (Int kx = 0; kx < kw; kx++) to[(((z * kw + kx) * kh + ky) * og + o) * (i1 - i0) + i - i0] = *from++;
            }
    }
}

// Sums of many channels read their samples once per tile of results: those are laid side by side first, or else each
// tap would lie on a page of its own.
struct Samples { const float* in; const std::int32_t* taps; Int step; };

static inline Samples gathered(const Plan& plan, const Step& s, Samples far, Int n, Int width, Int tiles, float* scratch) {
    if (!s.gathers || tiles < GATHERING_TILES) return far;
    for (Int t = 0; t < n; t++)
        for (Int x = 0; x < width; x++)
            store(scratch + (t * WIDEST + x) * L, load(far.in + far.taps[t] + x * far.step));
    return {scratch, plan.near.data(), L};
}

// One pixel: O channels of accumulators; kernels are read as they lie, a row of inputs for each output.
using Rows = void (*)(const float* in, Int n, const float* w, float* out, const float* bias, bool relu);
template <int O>
static void rows(const float* in, Int n, const float* w, float* out, const float* bias, bool relu) {
    V c[O];
    UNROLL for (int o = 0; o < O; o++) c[o] = all(bias[o]);
    for (Int t = 0; t < n; t++) {
        if (t % 16 == 0)
            UNROLL for (int o = 0; o < O; o++) __builtin_prefetch(w + (O + o) * n + t);  // the next rows: another thread wrote them
        V v = pinned(load(in + t * L));
        UNROLL for (int o = 0; o < O; o++) c[o] += w[o * n + t] * v;
    }
    UNROLL for (int o = 0; o < O; o++) store(out + o * L, relu ? rectified(c[o]) : c[o]);
}
template <int... I>
static Rows choose_rows(Int o, std::integer_sequence<int, I...>) {
    static constexpr Rows table[] = {rows<I + 1>...};
    return table[o - 1];
}

static void dense_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const float *w = plan.params[s.params[0]].data, *bias = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    Int parts = tiles_of(y.c, MOST_ROWS);
    float* out = b.act + y.at * L;
    for (Int k = 0; k < parts; k++) {
        Int o = cut(y.c, parts, k), n = cut(y.c, parts, k + 1) - o;
        choose_rows(n, std::make_integer_sequence<int, MOST_ROWS>())(b.act + x.at * L, x.c, w + o * x.c, out + o * L,
                                                                     bias ? bias + o : no_bias, s.act == Act::relu);
    }
    if (s.act != Act::linear && s.act != Act::relu) activate_row(s.act, s.alpha, out, y.c);
}

static void direct_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    const float* bias = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    Int ig = x.c / s.groups, og = y.c / s.groups, n = s.taps.size(), most = tiles_of(og, s.out_tiles);
    Int columns = smallest(WIDEST, ACCUMULATORS / most), x_tiles = tiles_of(y.w, columns);
    Int chunks = tiles_of(n * L * 4 * columns, CHUNK * 3);
    bool relu = s.act == Act::relu;
    for (Int g = 0; g < s.groups; g++)
        for (Int oz = 0; oz < y.d; oz++)
            for (Int oy = 0; oy < y.h; oy++) {
                const float* in = b.act + (x.at + g * ig * x.cs + (oz * s.s[0] - s.pad[0]) * x.ds
                                           + (oy * s.s[1] - s.pad[1]) * x.hs - s.pad[2]) * L;
                float* out = b.act + at(y, g * og, oz, oy);
                for (Int j = 0; j < x_tiles; j++) {
                    Int x0 = cut(y.w, x_tiles, j), width = cut(y.w, x_tiles, j + 1) - x0;
                    for (Int q = 0; q < chunks; q++) {
                        Int t0 = cut(n, chunks, q), tn = cut(n, chunks, q + 1) - t0;
                        Samples far{in + x0 * s.s[2] * L, s.taps.data() + t0, s.s[2] * L};
                        Samples from = gathered(plan, s, far, tn, width, s.out_tiles, b.scratch);
                        for (Int k = 0; k < s.out_tiles; k++) {
                            Int o0 = cut(og, s.out_tiles, k), o = cut(og, s.out_tiles, k + 1) - o0;
                            const float* first = q ? nullptr : bias ? bias + g * og + o0 : no_bias;
                            choose_tile(o, width)(from.in, from.taps, tn, from.step,
                                                  b.packed + s.packed + (g * og + o0) * n + t0 * o, o,
                                                  out + o0 * y.cs * L + x0 * L, y.cs * L, L, first, relu && q == chunks - 1);
                        }
                    }
                }
                if (s.act != Act::linear && !relu)
                    for (Int o = 0; o < og; o++) activate_row(s.act, s.alpha, out + o * y.cs * L, y.w);
            }
}

// One row of the input's gradient: taps of the rows of the output's gradient that it has touched, column by column.
static void direct_backward_row(const Plan& plan, const Step& s, Block& b, Int g, Int z, Int oz, Int iz, Int iy, Int ky, Int rows) {
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    Int ig = x.c / s.groups, og = y.c / s.groups, kh = s.k[1], kw = s.k[2], per_in = s.k[0] * kh * kw * og;
    Int columns = smallest(WIDEST, ACCUMULATORS / tiles_of(ig, s.in_tiles));
    Int n = rows * og, chunks = tiles_of(n * L * 4 * columns, CHUNK * 3);
    Int oy = s.s[1] == 1 ? iy + s.pad[1] : (iy + s.pad[1] - ky * s.dil[1]) / s.s[1] + ky * s.dil[1];  // where tap ky = 0 would lie
    const float* in = b.grad + (y.gat + g * og * y.gcs + oz * y.gds + oy * y.ghs) * L;
    const float* kernel = plan.params[s.params[0]].data;
    float* out = b.grad + grad_at(x, g * ig, iz, iy);
    for (Int kx = 0; kx < kw; kx++) {
        Int shift = kx * s.dil[2] - s.pad[2];  // column x of the output touches column x·stride + shift
        Int from = shift >= 0 ? 0 : (-shift + s.s[2] - 1) / s.s[2], room = x.w - 1 - shift;
        Int to = room < 0 ? 0 : smallest(y.w, room / s.s[2] + 1);
        if (to <= from) continue;
        Int x_tiles = tiles_of(to - from, columns);
        for (Int j = 0; j < x_tiles; j++) {
            Int x0 = from + cut(to - from, x_tiles, j), width = from + cut(to - from, x_tiles, j + 1) - x0;
            for (Int q = 0; q < chunks; q++) {
                Int t0 = cut(n, chunks, q), tn = cut(n, chunks, q + 1) - t0;
                Samples far{in + x0 * L, s.back_taps.data() + ky * og + t0, L};
                Samples from = gathered(plan, s, far, tn, width, s.in_tiles, b.scratch);
                for (Int k = 0; k < s.in_tiles; k++) {
                    Int i0 = cut(ig, s.in_tiles, k), i = cut(ig, s.in_tiles, k + 1) - i0;
                    const float* w = per_in == og ? kernel + (g * og + t0) * ig + i0
                                                  : b.packed + s.back_packed + (g * ig + i0) * per_in
                                                    + (((z * kw + kx) * kh + ky) * og + t0) * i;
                    choose_tile(i, width)(from.in, from.taps, tn, from.step, w, per_in == og ? ig : i,
                                          out + (i0 * x.gcs + x0 * s.s[2] + shift) * L, x.gcs * L, s.s[2] * L, nullptr, false);
                }
            }
        }
    }
}

static void direct_backward_data(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    Int ig = x.c / s.groups;
    for (Int g = 0; g < s.groups; g++)
        for (Int iz = 0; iz < x.d; iz++)
            for (Int iy = 0; iy < x.h; iy++) {
                if (s.fresh[0])
                    for (Int i = 0; i < ig; i++)
                        __builtin_memset(b.grad + grad_at(x, g * ig + i, iz, iy), 0, sizeof(float) * L * x.w);
                for (Int z = 0; z < s.k[0]; z++) {
                    Int oz = iz + s.pad[0] - z * s.dil[0];
                    if (oz < 0 || oz % s.s[0] || (oz /= s.s[0]) >= y.d) continue;
                    if (s.s[1] == 1) {  // the taps that lie within the output follow one another
                        Int ky = 0, end = s.k[1];
                        while (ky < end && iy + s.pad[1] - ky * s.dil[1] >= y.h) ky++;
                        while (end > ky && iy + s.pad[1] - (end - 1) * s.dil[1] < 0) end--;
                        if (end > ky) direct_backward_row(plan, s, b, g, z, oz, iz, iy, ky, end - ky);
                    } else {
                        for (Int ky = 0; ky < s.k[1]; ky++) {
                            Int oy = iy + s.pad[1] - ky * s.dil[1];
                            if (oy >= 0 && oy % s.s[1] == 0 && oy / s.s[1] < y.h)
                                direct_backward_row(plan, s, b, g, z, oz, iz, iy, ky, 1);
                        }
                    }
                }
                derive_rows(plan, s, b, g * ig, (g + 1) * ig, iz, iy);
            }
}

static void direct_backward_weights(const Plan& plan, const Step& s, Block& b, float* target) {
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    Int ig = x.c / s.groups, og = y.c / s.groups, n = s.taps.size();
    Int o_tiles = tiles_of(og, WEIGHT_ROWS), k_tiles = tiles_of(n, WEIGHT_COLUMNS);
    Int most = largest(1, CHUNK / (WEIGHT_ROWS * y.w * L * 4)), chunks = tiles_of(y.h, most);
    for (Int g = 0; g < s.groups; g++)
        for (Int j = 0; j < o_tiles; j++) {
            Int o0 = cut(og, o_tiles, j), o = cut(og, o_tiles, j + 1) - o0;
            for (Int oz = 0; oz < y.d; oz++)
                for (Int q = 0; q < chunks; q++) {
                    Int y0 = cut(y.h, chunks, q), rows = cut(y.h, chunks, q + 1) - y0;
                    const float* in = b.act + (x.at + g * ig * x.cs + (oz * s.s[0] - s.pad[0]) * x.ds
                                               + (y0 * s.s[1] - s.pad[1]) * x.hs - s.pad[2]) * L;
                    for (Int k = 0; k < k_tiles; k++) {
                        Int k0 = cut(n, k_tiles, k), width = cut(n, k_tiles, k + 1) - k0;
                        choose_weight_tile(o, width)(b.grad + grad_at(y, g * og + o0, oz, y0), y.gcs * L, y.ghs * L, in,
                                                     s.taps.data() + k0, s.s[1] * x.hs * L, s.s[2] * L, rows, y.w,
                                                     b.scratch + k0 * L, n * L, oz == 0 && q == 0);
                    }
                }
            add_lane_sums(target + (g * og + o0) * n, b.scratch, o * n);
        }
}

// Of one pixel: samples are transposed, so that features are the lanes and nothing is summed over lanes.
static void dense_weights(const Plan& plan, const Step& s, const Block& b, float* target, Int from, Int to, bool first) {
    const Tensor& x = plan.tensors[s.ins[0]];
    const Tensor& y = plan.tensors[s.out];
    V r[L];
    for (Int i = 0; i < x.c; i += L) {
        Int m = smallest(L, x.c - i);
        for (int j = 0; j < L; j++) r[j] = j < m ? load(b.act + (x.at + (i + j) * x.cs) * L) : zero();
        transpose(r);
        for (Int o = from; o < to; o++) {
            const float* g = b.grad + (y.gat + o * y.gcs) * L;
            float* w = target + o * x.c + i;
            V even = zero(), odd = zero();
            UNROLL for (int j = 0; j < L; j += 2) {
                even += g[j] * r[j];
                odd += g[j + 1] * r[j + 1];
            }
            even += odd;
            if (m == L) storeu(w, first ? even : loadu(w) + even);
            else for (int j = 0; j < m; j++) w[j] = first ? even[j] : w[j] + even[j];
        }
    }
}

static void dense_backward_weights(const Plan& plan, const Step& s, Block& b, float* target) {
    if (!s.shared || !b.sharing) dense_weights(plan, s, b, target, 0, plan.tensors[s.out].c, s.stores && b.foremost);
}

static void bias_gradient(const Tensor& y, Block& b, float* target) {
    for (Int o = 0; o < y.c; o++) {
        const float* g = b.grad + (y.gat + o * y.gcs) * L;
        V even = zero(), odd = zero();
        Int n = y.d * y.h * y.w, i = 0;
        for (; i + 1 < n; i += 2) even += load(g + i * L), odd += load(g + (i + 1) * L);
        if (i < n) even += load(g + i * L);
        store(b.scratch + o * L, even + odd);
    }
    add_lane_sums(target, b.scratch, y.c);
}

static void pack(const Plan& plan, const Step& s, float* packed, int part, int parts, bool backward) {
    if (s.dense) return;
    const float* w = plan.params[s.params[0]].data;
    Int outs = plan.tensors[s.out].c, ins = plan.tensors[s.ins[0]].c;
    if (s.forward.used) winograd_pack(w, s.forward, packed, outs, ins, false, part, parts);
    if (s.back.used && backward) winograd_pack(w, s.back, packed, ins, outs, true, part, parts);
    pack_taps(plan, s, packed, part, parts, !s.forward.used, backward && !s.back.used);
}

static void conv_forward(const Plan& plan, const Step& s, Block& b) {
    (s.dense ? dense_forward : s.forward.used ? winograd_forward : direct_forward)(plan, s, b);
}

static void conv_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    if (s.act != Act::linear && !s.derived) derive_activation(plan, s, b);
    const Param& kernel = plan.params[s.params[0]];
    const Param* bias = s.params[1] < 0 ? nullptr : &plan.params[s.params[1]];
    if (bias && bias->grad >= 0) bias_gradient(y, b, b.wgrad + bias->grad);
    auto to_weights = s.dense ? dense_backward_weights : s.weights.used ? winograd_backward_weights : direct_backward_weights;
    if (kernel.grad >= 0) to_weights(plan, s, b, b.wgrad + kernel.grad);
    if (s.wanted[0]) (s.back.used ? winograd_backward_data : direct_backward_data)(plan, s, b);
}

}  // namespace convia::CONVIA_ISA
