// Steps with channels as lanes, forward; and samples that come and go. For wide layers and few samples.
#pragma once
#include "join.hpp"
#include "noise.hpp"
#include "pool.hpp"
#include "sweep.hpp"
#include "wide_norm.hpp"
#include "wide_pixel.hpp"
#include "wide_winograd.hpp"

namespace convia::CONVIA_ISA {

static void wide_conv(const Plan&, const Step& s, Block& b) {
    Sweeping on{b.act, b.apart, b.packed + s.wide.shift, 1, s.act, s.alpha, s.wide.residual < 0 ? nullptr : &s.wide.added};
    (s.wide.depthwise ? run_depthwise : run_dense)(s.wide.forward, b, b.packed, on);
}

static void wide_transposed(const Plan&, const Step& s, Block& b) {
    for (const Sweep& sweep : s.wide.back) run_dense(sweep, b, b.packed, {b.act, b.apart, b.packed + s.wide.shift, 1, s.act, s.alpha});
}

template <class F>
static inline void each_sample(Block& b, F f) {
    float *act = b.act, *grad = b.grad;
    int index = b.index;
    Int first = b.first;
    for (int g = 0; g < b.group; g++, b.act += b.apart, b.grad += b.grad_apart, b.index++, b.first++) f();
    b.act = act, b.grad = grad, b.index = index, b.first = first;
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

// Noise by the number of each element: channel, then pixel.
template <class F>
static inline void wide_noise(const Plan& plan, const Step& s, Block& b, F f) {
    const Tensor& x = plan.tensors[s.ins[0]];
    Int pixels = x.d * x.h * x.w, channels = plan.channels[s.ins[0]];
    VU sample = noise_of_sample(b.keys[s.key], b.first);
    for (Int c = 0; c < x.c; c++)
        for (Int z = 0, pixel = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++)
                for (Int i = 0; i < x.w; i++, pixel++) {
                    VU number;
                    for (int k = 0; k < L; k++) {
                        Int e = smallest(c * L + k, channels - 1) * pixels + pixel;
                        number[k] = std::uint32_t(s.index.empty() ? e : s.index[e]);
                    }
                    f(c, z, row, i * L, drawn(s, scrambled(sample + number * 0x85ebca6bu)));
                }
}

static void wide_noise_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    if (!b.training) return noise_forward(*b.share, s, b);
    wide_noise(plan, s, b, [&](Int c, Int z, Int row, Int i, Noisy noise) {
        V live;  // what is added must not reach lanes without a channel
        for (int k = 0; k < L; k++) live[k] = c * L + k < plan.channels[s.out];
        store(b.act + at(y, c, z, row) + i, load(b.act + at(x, c, z, row) + i) * noise.scale + noise.shift * live);
    });
}

static void wide_forward_one(const Plan& plan, const Step& s, Block& b) {
    switch (s.kind) {
        case Kind::norm_frozen:
        case Kind::norm_batch: return b.moments ? wide_norm_forward(plan, s, b) : wide_affine(plan, s, b);
        case Kind::norm_group: return wide_pixel_forward(plan, s, b);
        case Kind::softmax: return b.part ? void() : wide_softmax(plan, s, b);
        case Kind::copy: return b.part ? void() : wide_copy(plan, s, b);
        case Kind::pool_max:
        case Kind::pool_average: return pool_forward(*b.share, s, b);  // of the thread's blocks of channels
        case Kind::unary: return unary_forward(*b.share, s, b);
        case Kind::join: return join_forward(*b.share, s, b);
        case Kind::noise: return wide_noise_forward(plan, s, b);
        default: return;  // the plan holds no other steps
    }
}

static void wide_forward(const Plan& plan, const Step& s, Block& b) {
    if (s.kind == Kind::conv) return wide_conv(plan, s, b);
    if (s.kind == Kind::conv_transpose) return wide_transposed(plan, s, b);
    each_sample(b, [&] { wide_forward_one(plan, s, b); });
}

// A sample of memory order (…, channels) to blocks of channels, and back.
template <class F>
static inline void each_pixel(const Tensor& t, const float* act, F f) {
    Int pixel = 0;
    for (Int z = 0; z < t.d; z++)
        for (Int row = 0; row < t.h; row++)
            for (Int i = 0; i < t.w; i++) f(pixel++, const_cast<float*>(act) + at(t, 0, z, row) + i * L);
}

static void wide_load(const Plan& plan, int k, Block& b) {
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

}  // namespace convia::CONVIA_ISA
