// Predictions with channels as lanes: a tensor of one sample is (blocks of L channels, depth, height, width) of vectors, and
// lanes without a channel are only ever multiplied by zero. For wide layers and few samples.
#pragma once
#include "elementwise.hpp"
#include "join.hpp"
#include "noise.hpp"
#include "pool.hpp"

namespace convia::CONVIA_ISA {

#if LANES == 16 || defined(__aarch64__)
constexpr int WIDE_REGISTERS = 32;
#else
constexpr int WIDE_REGISTERS = 16;
#endif
constexpr int WIDE_COLUMNS = 14, WIDE_BLOCKS = 4;
constexpr Int WIDE_CHUNK = 24576;  // bytes of a packed kernel that stay in the first-level cache

static constexpr bool wide_fits(int blocks, int columns) { return blocks * columns + blocks + 1 <= WIDE_REGISTERS; }

// What a tile of sums begins with and ends in; of tensors of the output's sizes, whose blocks are `block` floats apart.
struct WideEnds {
    const float* shift;     // per channel; null: the sums go on from what is there
    const float* residual;  // added in the end, or null
    Int block, residual_block;
    bool relu;
};

// out[o][x] (+)= Σₜ Σᵢ w[t][i][o] · in[taps[t] + x·S + i]: O vectors of channels by X pixels stay in registers.
using WideTile = void (*)(const float* in, const std::int32_t* taps, Int n, Int channels, const float* w, float* out, WideEnds ends);
template <int O, int X, int S>
static void wide_tile(const float* in, const std::int32_t* taps, Int n, Int channels, const float* w, float* out, WideEnds ends) {
    V c[O][X];
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) c[o][x] = ends.shift ? load(ends.shift + o * L) : load(out + o * ends.block + x * L);
    for (Int t = 0; t < n; t++) {
        const float* p = in + taps[t];
        for (Int i = 0; i < channels; i++, p++, w += O * L) {
            V each[O];
            UNROLL for (int o = 0; o < O; o++) each[o] = pinned(load(w + o * L));
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
            store(out + o * ends.block + x * L, ends.relu ? rectified(v) : v);
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

// The pixels of a convolution: rows, or all of them as one where nothing lies between.
struct WideRows { Int rows, width; };
static inline WideRows wide_rows(const Step& s, const Tensor& y) {
    return s.wide.flat ? WideRows{1, y.d * y.h * y.w} : WideRows{y.d * y.h, y.w};
}
static inline const float* window_at(const Step& s, const Tensor& x, const float* act, Int z, Int row) {
    return act + (x.at + (z * s.s[0] - s.pad[0]) * x.ds + (row * s.s[1] - s.pad[1]) * x.hs - s.pad[2]) * L;
}

template <class F>
static inline void each_sample(const Block& b, F f) {
    float* first = b.act;  // which f may move
    for (int g = 0; g < b.group; g++) f(first + g * b.apart);
}

static void wide_conv(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Tensor* added = s.wide.residual < 0 ? nullptr : &plan.tensors[s.wide.residual];
    Int ins = plan.channels[s.ins[0]], spatial = s.k[0] * s.k[1] * s.k[2], whole = ins / L * spatial, rest = ins % L;
    Int rows = wide_rows(s, y).rows, width = wide_rows(s, y).width;
    Int columns = tiles_of(width, s.wide.columns), places = rows * columns;
    bool by_blocks = s.wide.tiles % b.parts == 0 || s.wide.tiles >= 4 * b.parts;
    Int first = by_blocks ? cut(s.wide.tiles, b.parts, b.part) : 0, last = by_blocks ? cut(s.wide.tiles, b.parts, b.part + 1) : s.wide.tiles;
    Int from = by_blocks ? 0 : cut(places, b.parts, b.part), to = by_blocks ? places : cut(places, b.parts, b.part + 1);
    for (Int k = first; k < last; k++) {
        Int o0 = cut(y.c, s.wide.tiles, k), o = cut(y.c, s.wide.tiles, k + 1) - o0;
        const float *w = b.packed + s.wide.packed + o0 * ins * spatial * L, *shift = b.packed + s.wide.shift + o0 * L;
        Int per_chunk = largest(1, WIDE_CHUNK / (o * L * L * 4));
        Int chunks = tiles_of(whole, per_chunk), parts = chunks + (rest > 0);
        for (Int q = 0; q < parts; q++) {
            bool partial = q == chunks;
            Int t0 = partial ? whole : cut(whole, chunks, q), n = partial ? spatial : cut(whole, chunks, q + 1) - t0;
            bool end = q == parts - 1;
            each_sample(b, [&](float* act) {
                for (Int place = from; place < to; place++) {
                    Int row = place / columns, j = place % columns, z = row / y.h, line = row % y.h;
                    Int x0 = cut(width, columns, j), many = cut(width, columns, j + 1) - x0;
                    WideEnds ends{q ? nullptr : shift, added && end ? act + at(*added, o0, z, line) + x0 * L : nullptr, y.cs * L,
                                  added ? added->cs * L : 0, end && s.act == Act::relu};
                    choose_wide_tile(o, many, s.s[2] == 2, std::make_integer_sequence<int, WIDE_BLOCKS * WIDE_COLUMNS>())(
                        window_at(s, x, act, z, line) + x0 * s.s[2] * L, s.wide.taps.data() + t0, n, partial ? rest : L,
                        w + t0 * L * o * L, act + at(y, o0, z, line) + x0 * L, ends);
                }
            });
        }
        if (s.act != Act::linear && s.act != Act::relu) each_sample(b, [&](float* act) {
            for (Int place = from; place < to; place++) {
                Int row = place / columns, j = place % columns, x0 = cut(width, columns, j), x1 = cut(width, columns, j + 1);
                for (Int i = 0; i < o; i++)
                    activate_row(s.act, s.alpha, act + at(y, o0 + i, row / y.h, row % y.h) + x0 * L, x1 - x0);
            }
        });
    }
}

template <int X>
static inline void depthwise_tile(const Step& s, const float* in, Int step, const float* w, V shift, float* out, bool relu) {
    V c[X];
    UNROLL for (int x = 0; x < X; x++) c[x] = shift;
    for (std::size_t t = 0; t < s.wide.taps.size(); t++) {
        const float* p = in + s.wide.taps[t];
        V each = pinned(load(w + t * L));
        UNROLL for (int x = 0; x < X; x++) c[x] += each * load(p + x * step);
    }
    UNROLL for (int x = 0; x < X; x++) store(out + x * L, relu ? rectified(c[x]) : c[x]);
}

static void wide_depthwise(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    constexpr int MOST = WIDE_REGISTERS / 4;
    for (Int c = cut(y.c, b.parts, b.part); c < cut(y.c, b.parts, b.part + 1); c++) {
        const float* w = b.packed + s.wide.packed + c * Int(s.wide.taps.size()) * L;
        V shift = load(b.packed + s.wide.shift + c * L);
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) {
                const float* in = window_at(s, x, b.act, z, row) + c * x.cs * L;
                float* out = b.act + at(y, c, z, row);
                Int step = s.s[2] * L, i = 0;
                for (; i + MOST <= y.w; i += MOST) depthwise_tile<MOST>(s, in + i * step, step, w, shift, out + i * L, s.act == Act::relu);
                for (; i < y.w; i++) depthwise_tile<1>(s, in + i * step, step, w, shift, out + i * L, s.act == Act::relu);
                if (s.act != Act::linear && s.act != Act::relu) activate_row(s.act, s.alpha, out, y.w);
            }
    }
}

// y = x·scale + shift, a vector of each per block of channels.
static void wide_affine(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = cut(y.c, b.parts, b.part); c < cut(y.c, b.parts, b.part + 1); c++) {
        V scale = load(b.packed + s.wide.packed + c * L), shift = load(b.packed + s.wide.shift + c * L);
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) {
                const float* p = b.act + at(x, c, z, row);
                float* q = b.act + at(y, c, z, row);
                for (Int i = 0; i < y.w; i++) store(q + i * L, load(p + i * L) * scale + shift);
            }
    }
}

// Over the channels of each pixel.
static void wide_softmax(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int channels = plan.channels[s.out];
    VI lane;
    for (int i = 0; i < L; i++) lane[i] = i;
    for (Int z = 0; z < y.d; z++)
        for (Int row = 0; row < y.h; row++)
            for (Int i = 0; i < y.w; i++) {
                const float* p = b.act + at(x, 0, z, row) + i * L;
                float* q = b.act + at(y, 0, z, row) + i * L;
                auto live = [&](Int c) { return lane + std::int32_t(c * L) < std::int32_t(channels); };
                V most = all(-__builtin_inff()), sum = zero();
                for (Int c = 0; c < y.c; c++) most = nan_or_max(most, live(c) ? load(p + c * x.cs * L) : all(-__builtin_inff()));
                float top = most[0];
                for (int k = 1; k < L; k++) top = most[k] > top || most[k] != most[k] ? most[k] : top;
                for (Int c = 0; c < y.c; c++) {
                    V e = live(c) ? vexp(load(p + c * x.cs * L) - top) : zero();
                    store(q + c * y.cs * L, e);
                    sum += e;
                }
                float share = 1 / lane_sum(sum);
                for (Int c = 0; c < y.c; c++) store(q + c * y.cs * L, load(q + c * y.cs * L) * share);
            }
}

static void wide_copy(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    for (Int c = 0; s.wide.clears && c < y.c; c++)
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) __builtin_memset(b.act + at(y, c, z, row), 0, y.w * L * sizeof(float));
    for (const Wide::Run& run : s.wide.runs) __builtin_memcpy(b.act + run.to, b.act + run.from, run.count * sizeof(float));
}

static void wide_forward_one(const Plan& plan, const Step& s, Block& b) {
    switch (s.kind) {
        case Kind::conv: return wide_depthwise(plan, s, b);
        case Kind::norm_frozen: return wide_affine(plan, s, b);
        case Kind::softmax: return b.part ? void() : wide_softmax(plan, s, b);
        case Kind::copy: return b.part ? void() : wide_copy(plan, s, b);
        case Kind::pool_max:
        case Kind::pool_average: return pool_forward(*b.share, s, b);  // of the thread's blocks of channels
        case Kind::unary: return unary_forward(*b.share, s, b);
        case Kind::join: return join_forward(*b.share, s, b);
        case Kind::noise: return noise_forward(*b.share, s, b);
        default: return;  // the plan holds no other steps
    }
}

static void wide_forward(const Plan& plan, const Step& s, Block& b) {
    if (s.kind == Kind::conv && !s.wide.depthwise) return wide_conv(plan, s, b);
    float* act = b.act;
    each_sample(b, [&](float* each) {
        b.act = each;
        wide_forward_one(plan, s, b);
    });
    b.act = act;
}

// A sample of memory order (…, channels) to blocks of channels, and back.
template <class F>
static inline void each_pixel(const Tensor& t, const float* act, F f) {
    Int pixel = 0;
    for (Int z = 0; z < t.d; z++)
        for (Int row = 0; row < t.h; row++)
            for (Int i = 0; i < t.w; i++) f(pixel++, const_cast<float*>(act) + at(t, 0, z, row) + i * L);
}

static void wide_load(const Plan& plan, Block& b) {
    for (std::size_t k = 0; k < plan.inputs.size(); k++) {
        const Tensor& t = plan.tensors[plan.inputs[k]];
        Int channels = plan.channels[plan.inputs[k]], size = channels * t.d * t.h * t.w;
        const Data::Input& input = b.data->inputs[k];
        each_pixel(t, b.act, [&](Int pixel, float* to) {
            Int start = b.rows[0] * size + pixel * channels;
            for (Int c = 0; c < channels; c++)
                to[c / L * t.cs * L + c % L] = input.bytes ? static_cast<const std::uint8_t*>(input.data)[start + c]
                                                           : static_cast<const float*>(input.data)[start + c];
        });
    }
}

static void wide_store(const Plan& plan, Block& b) {
    for (std::size_t k = 0; k < plan.outputs.size(); k++) {
        const Tensor& t = plan.tensors[plan.outputs[k].tensor];
        Int channels = plan.channels[plan.outputs[k].tensor];
        float* out = b.data->outputs[k] + b.place * channels * t.d * t.h * t.w;
        each_pixel(t, b.act, [&](Int, float* from) {
            for (Int c = 0; c < channels; c++) *out++ = from[c / L * t.cs * L + c % L];
        });
    }
}

// The factor and the shift of an output channel: a normalization that follows, and the bias.
struct WideScale { float scale, shift; };
static inline WideScale wide_scale(const Plan& plan, const std::vector<int>& norm, float epsilon, float bias, Int c) {
    if (norm.empty()) return {1, bias};
    auto value = [&](int which, float otherwise) { return norm[which] < 0 ? otherwise : plan.params[norm[which]].data[c]; };
    double scale = value(0, 1) / __builtin_sqrt(double(value(3, 1)) + epsilon);
    return {float(scale), float(value(1, 0) + (bias - value(2, 0)) * scale)};
}

// Kernels as [tile of outputs][tap][input][output of the tile], those of depthwise convolutions as [block][tap].
static void wide_pack(const Plan& plan, const Step& s, float* packed, int part, int parts) {
    bool conv = s.kind == Kind::conv;
    if (!conv && s.kind != Kind::norm_frozen) return;
    const Tensor& y = plan.tensors[s.out];
    Int outs = plan.channels[s.out], ins = s.wide.depthwise ? 1 : plan.channels[s.ins[0]], spatial = s.k[0] * s.k[1] * s.k[2];
    const float* bias = conv && s.params[1] >= 0 ? plan.params[s.params[1]].data : nullptr;
    const float* kernel = conv ? plan.params[s.params[0]].data : nullptr;
    WideScale of[WIDE_BLOCKS * L];
    for (Int k = part; k < s.wide.tiles; k += parts) {
        Int first = cut(y.c, s.wide.tiles, k) * L, last = cut(y.c, s.wide.tiles, k + 1) * L;
        for (Int c = first; c < last; c++) {
            WideScale& each = of[c - first];
            each = c >= outs ? WideScale{0, 0} : wide_scale(plan, conv ? s.wide.norm : s.params, conv ? s.wide.epsilon : s.epsilon,
                                                           bias ? bias[c] : 0.f, c);
            packed[s.wide.shift + c] = each.shift;
        }
        float* to = packed + s.wide.packed + first * (conv ? ins * spatial : 1);
        if (!conv)
            for (Int c = first; c < last; c++) *to++ = of[c - first].scale;
        for (Int i0 = 0; conv && i0 < ins; i0 += L)
            for (Int t = 0; t < spatial; t++)
                for (Int i = i0; i < smallest(ins, i0 + L); i++)
                    for (Int c = first; c < last; c++) *to++ = c < outs ? kernel[(c * ins + i) * spatial + t] * of[c - first].scale : 0;
    }
}

}  // namespace convia::CONVIA_ISA
