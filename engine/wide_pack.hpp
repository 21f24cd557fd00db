// Kernels with channels as lanes, laid out for sweeps: the kernel itself is (outs, ins, taps) in memory.
#pragma once
#include "wide_winograd.hpp"

namespace convia::CONVIA_ISA {

constexpr Int MOST_TURNED = 25;  // taps of a kernel that is turned in the first-level cache, or by Winograd's algorithm

// The factor and the shift of an output channel: a normalization that follows, and the bias.
struct WideScale { float scale, shift; };
static inline WideScale wide_scale(const Plan& plan, const std::vector<int>& norm, float epsilon, float bias, Int c) {
    if (norm.empty()) return {1, bias};
    auto value = [&](int which, float otherwise) { return norm[which] < 0 ? otherwise : plan.params[norm[which]].data[c]; };
    double scale = value(0, 1) / __builtin_sqrt(double(value(3, 1)) + epsilon);
    return {float(scale), float(value(1, 0) + (bias - value(2, 0)) * scale)};
}

// A line of the kernel, of which there may be less than a vector.
static inline V some(const float* p, Int n) {
    if (n >= L) return loadu(p);
    V v = zero();
    for (Int l = 0; l < n; l++) v[l] = p[l];
    return v;
}

// A block of outputs by some inputs of the kernel, turned: f(input and tap, their numbers for all of the outputs).
template <class F>
static inline void each_turned(const float* kernel, Int outs, Int ins, Int taps, Int out, Int in, Int n, F f) {
    const float* start = kernel + (out * ins + in) * taps;
    for (Int j0 = 0; j0 < n * taps; j0 += L) {
        V rows[L];
        for (Int l = 0; l < L; l++) {
            const float* row = start + l * ins * taps + j0;
            __builtin_prefetch(row + 4 * L);
            rows[l] = out + l < outs ? some(row, n * taps - j0) : zero();
        }
        transpose(rows);
        for (Int j = j0; j < smallest(n * taps, j0 + L); j++) f(j, rows[j - j0]);
    }
}

// A block of channels that are summed, from `from` on, as [tap][channel of the block][result of the tile]. The way forward
// takes each output's factor into it.
static void pack_forward(const Sweep& s, const float* kernel, Int outs, const float* factors, Int from, float* to, Int k) {
    Int taps = s.numbers.size(), first = first_block(s, k), many = first_block(s, k + 1) - first, n = smallest(L, s.channels - from);
    for (Int o = 0; o < many; o++)
        each_turned(kernel, outs, s.channels, taps, (first + o) * L, from, n, [&](Int j, V v) {
            store(to + ((j % taps * n + j / taps) * many + o) * L, v * load(factors + o * L));
        });
}

// The same for the way back: results are the inputs; of a depthwise convolution nothing is summed but taps.
static void pack_back(const Sweep& s, const float* kernel, Int outs, Int ins, Int spatial, Int from, float* to, Int k) {
    Int first = first_block(s, k), many = first_block(s, k + 1) - first, taps = s.numbers.size(), n = smallest(L, s.channels - from);
    if (spatial == 1 || spatial > MOST_TURNED || n < L) {
        for (Int t = 0; t < taps; t++)
            for (Int o = from; o < from + n; o++)
                for (Int i = first; i < first + many; i++, to += L) {
                    Int live = smallest(L, ins - i * L);
                    const float* row = kernel + (o * ins + i * L) * spatial;
                    V v = zero();
                    if (spatial == 1) v = some(row, live);
                    else for (Int l = 0; l < live; l++) v[l] = row[l * spatial + s.numbers[t]];
                    store(to, v);
                }
        return;
    }
    for (Int i = 0; i < many; i++) {
        Int in = (first + i) * L, live = smallest(L, ins - in);
        V turned[MOST_TURNED * L];
        each_turned(kernel, outs, ins, spatial, from, in, live, [&](Int j, V v) { turned[j] = v; });
        for (Int t = 0; t < taps; t++) {
            V rows[L];
            for (Int l = 0; l < L; l++) rows[l] = l < live ? turned[l * spatial + s.numbers[t]] : zero();
            transpose(rows);
            for (Int o = 0; o < L; o++) store(to + ((t * L + o) * many + i) * L, rows[o]);
        }
    }
}

// The same with groups, from value(result, channel that is summed, tap).
template <class F>
static void pack_groups(const Sweep& s, Int from, float* to, Int k, F value) {
    Int first = first_block(s, k), many = first_block(s, k + 1) - first, taps = s.numbers.size(), part = k / (s.tiles / s.parts);
    for (Int t = 0; t < taps; t++)
        for (Int i = from; i < smallest(from + L, s.channels); i++)
            for (Int o = 0; o < many; o++, to += L)
                for (Int l = 0; l < L; l++) to[l] = value((first + o) * L + l, part * s.channels + i, s.numbers[t]);
}

// From such a block to [tile of channels][frequency][channel][channel of the tile].
template <int F>
static void pack_winograd(const Sweep& s, const float* direct, Int from, float* packed, Int k) {
    constexpr WinogradForm form = WINOGRAD_FORMS[F];
    constexpr int H = form.high(), W = form.wide(), Y = form.kernel_rows, X = form.kernel_columns, TAPS = Y * X;
    Int first = first_block(s, k), many = first_block(s, k + 1) - first;
    float* to = packed + s.packed + (first * H * W * s.channels + from * many) * L;
    for (Int i = 0; i < L * many; i++, to += L) {
        V g[TAPS], half[H * X], u[H * W];
        for (int t = 0; t < TAPS; t++) g[s.winograd.flipped ? TAPS - 1 - t : t] = load(direct + (t * L * many + i) * L);
        for (int j = 0; j < X; j++) kernel_to_frequencies<H, Y, X, X>(g + j, half + j);
        for (int j = 0; j < H; j++) kernel_to_frequencies<W, X, 1, 1>(half + j * X, u + j * W);
        for (int f = 0; f < H * W; f++) store(to + f * s.channels * many * L, u[f]);
    }
}

// `pack` lays out blocks of channels that are summed, of the kernel of a tile of results.
template <class F>
static void pack_tile(const Sweep& s, float* packed, Int k, F pack) {
    Int first = first_block(s, k), many = first_block(s, k + 1) - first, taps = s.numbers.size();
    alignas(64) float direct[MOST_TURNED * WIDE_BLOCKS * L * L];
    for (Int from = 0; from < s.channels; from += L) {
        if (s.winograd.form < 0) {
            pack(from, packed + s.packed + (first * s.channels + from * many) * taps * L);
        } else {
            pack(from, direct);
            with_form(s.winograd.form, [&](auto form) { pack_winograd<form>(s, direct, from, packed, k); });
        }
    }
}

// Of channels, which a normalization of pixels finds by the numbers of their elements.
static void pack_factors(const Plan& plan, const Step& s, float* packed) {
    const Tensor& y = plan.tensors[s.out];
    for (Int c = 0; c < y.c * L; c++) {
        bool live = c < plan.channels[s.out];
        auto value = [&](int param, float otherwise) { return param < 0 ? otherwise : plan.params[param].data[s.index[c * y.d * y.h * y.w]]; };
        packed[s.wide.scale + c] = live ? value(s.params[0], 1) : 0;
        packed[s.wide.shift + c] = live ? value(s.params[1], 0) : 0;
    }
}

// A weight of channels that belong together, 0 of others.
static inline float grouped_weight(const Plan& plan, const Step& s, Int o, Int i, Int tap) {
    Int outs = plan.channels[s.small()], ins = plan.channels[s.large()], each_ins = ins / s.groups, each_outs = outs / s.groups;
    if (o >= outs || i >= ins || o / each_outs != i / each_ins) return 0;
    return plan.params[s.params[0]].data[(o * each_ins + i % each_ins) * s.k[0] * s.k[1] * s.k[2] + tap];
}

// For sums over windows, and for the way that these go back.
static void pack_windows(const Plan& plan, const Step& s, const float* factors, float* packed, Int k) {
    const Sweep& sweep = s.wide.forward;
    const float* kernel = plan.params[s.params[0]].data;
    Int first = first_block(sweep, k) * L;
    pack_tile(sweep, packed, k, [&](Int from, float* to) {
        if (s.groups == 1 || s.wide.depthwise) return pack_forward(sweep, kernel, plan.channels[s.small()], factors, from, to, k);
        pack_groups(sweep, from, to, k, [&](Int o, Int i, Int tap) { return factors[o - first] * grouped_weight(plan, s, o, i, tap); });
    });
}
static void pack_scattered(const Plan& plan, const Step& s, const Sweep& sweep, float* packed, Int k) {
    const float* kernel = plan.params[s.params[0]].data;
    Int outs = plan.channels[s.small()], ins = plan.channels[s.large()], spatial = s.k[0] * s.k[1] * s.k[2];
    pack_tile(sweep, packed, k, [&](Int from, float* to) {
        if (s.groups == 1 || s.wide.depthwise) return pack_back(sweep, kernel, outs, ins, spatial, from, to, k);
        pack_groups(sweep, from, to, k, [&](Int i, Int o, Int tap) { return grouped_weight(plan, s, o, i, tap); });
    });
}

// What is done to some blocks of a step's results: shifts are laid out, factors returned.
static void pack_scales(const Plan& plan, const Step& s, float* packed, Int first, Int last, float* factors) {
    bool conv = s.convolves();
    const float* bias = conv && s.params[1] >= 0 ? plan.params[s.params[1]].data : nullptr;
    for (Int c = first * L; c < last * L; c++) {
        WideScale each = c >= plan.channels[s.out] ? WideScale{0, 0} : wide_scale(plan, conv ? s.wide.norm : s.params,
                                                                             conv ? s.wide.epsilon : s.epsilon, bias ? bias[c] : 0.f, c);
        packed[s.wide.shift + c] = each.shift;
        factors[c - first * L] = each.scale;
        if (!conv) packed[s.wide.scale + c] = each.scale;
    }
}

static void wide_pack(const Plan& plan, const Step& s, float* packed, int part, int parts, bool forward, bool backward) {
    if (s.kind == Kind::norm_group && part == 0) pack_factors(plan, s, packed);
    bool transposed = s.kind == Kind::conv_transpose;
    alignas(64) float factors[WIDE_BLOCKS * L];
    if (s.kind == Kind::norm_frozen || transposed)
        for (Int k = part; forward && k < plan.tensors[s.out].c; k += parts) pack_scales(plan, s, packed, k, k + 1, factors);
    if (!s.convolves()) return;
    for (float& each : factors) each = 1;
    for (Int k = part; (transposed ? backward : forward) && k < s.wide.forward.tiles; k += parts) {
        if (!transposed) pack_scales(plan, s, packed, first_block(s.wide.forward, k), first_block(s.wide.forward, k + 1), factors);
        pack_windows(plan, s, factors, packed, k);
    }
    for (const Sweep& sweep : s.wide.back)
        for (Int k = part; (transposed ? forward : backward) && k < sweep.tiles; k += parts) pack_scattered(plan, s, sweep, packed, k);
}

}  // namespace convia::CONVIA_ISA
