// Steps with channels as lanes, backward.
#pragma once
#include "wide_winograd_weights.hpp"

namespace convia::CONVIA_ISA {

static void bias_weights(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Int outs = plan.channels[s.out];
    float* gradient = b.wgrad + plan.params[s.params[1]].grad;
    for (Int c = cut(y.c, b.parts, b.part); c < cut(y.c, b.parts, b.part + 1); c++) {
        VD sum{};
        for (int k = 0; k < b.group; k++)
            each_row_of(y, c, [&](Int, Int start) {
                for (Int i = 0; i < y.w; i++) sum += wide(load(b.grad + k * b.grad_apart + start + i * L));
            });
        for (int k = 0; k < L && c * L + k < outs; k++) gradient[c * L + k] = float(sum[k]) + (s.stores ? 0 : gradient[c * L + k]);
    }
}

// Of all samples; threads share the weights.
static void wide_weights_of(const Plan& plan, const Step& s, Block& b) {
    if (s.kind == Kind::norm_group) return wide_pixel_weights(plan, s, b);
    auto learns = [&](int p) { return p >= 0 && plan.params[p].grad >= 0; };
    if (learns(s.params[0])) (s.wide.depthwise ? depthwise_weights : s.wide.winograd_weights ? winograd_weights : conv_weights)(plan, s, b);
    if (learns(s.params[1])) bias_weights(plan, s, b);
}

// Of the samples of this thread.
static void wide_conv_backward(const Plan& plan, const Step& s, Block& b) {
    if (s.act != Act::linear) each_sample(b, [&] { derive_activation(plan, s, b); });
    if (!s.wanted[0]) return;
    for (const Sweep& sweep : s.wide.back) {
        Sweeping on{b.grad, b.grad_apart, s.fresh[0] ? nothing : nullptr, 0};
        (s.wide.depthwise ? run_depthwise : run_dense)(sweep, b, b.packed, on);
    }
}

static void wide_transposed_backward(const Plan& plan, const Step& s, Block& b) {
    if (s.act != Act::linear) each_sample(b, [&] { derive_activation(plan, s, b); });
    if (s.wanted[0]) run_dense(s.wide.forward, b, b.packed, {b.grad, b.grad_apart, s.fresh[0] ? nothing : nullptr, 0});
}

static void wide_copy_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool set = s.fresh[0] && s.covers;
    if (s.fresh[0] && !s.covers) zero_gradient(x, b);
    const float* g = b.grad + (y.gat - y.at) * L;
    float* to = b.grad + (x.gat - x.at) * L;
    for (const Wide::Run& run : s.wide.runs)
        if (set) __builtin_memcpy(to + run.from, g + run.to, run.count * sizeof(float));
        else for (Int i = 0; i < run.count; i++) to[run.from + i] += g[run.to + i];
}

static void wide_softmax_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int channels = plan.channels[s.out];
    for (Int z = 0; z < y.d; z++)
        for (Int row = 0; row < y.h; row++)
            for (Int i = 0; i < y.w; i++) {
                const float *p = b.act + at(y, 0, z, row) + i * L, *g = b.grad + grad_at(y, 0, z, row) + i * L;
                float* to = b.grad + grad_at(x, 0, z, row) + i * L;
                float sum = 0;
                for (Int c = 0; c < channels; c++) sum += p[c / L * y.cs * L + c % L] * g[c / L * y.gcs * L + c % L];
                for (Int c = 0; c < y.c; c++) give(to + c * x.gcs * L, load(p + c * y.cs * L) * (load(g + c * y.gcs * L) - sum), s.fresh[0]);
            }
}

static void wide_noise_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    wide_noise(plan, s, b, [&](Int c, Int z, Int row, Int i, Noisy noise) {
        give(b.grad + grad_at(x, c, z, row) + i, load(b.grad + grad_at(y, c, z, row) + i) * noise.scale, s.fresh[0]);
    });
}

static void wide_backward(const Plan& plan, const Step& s, Block& b) {
    if (s.kind == Kind::conv) return wide_conv_backward(plan, s, b);
    if (s.kind == Kind::conv_transpose) return wide_transposed_backward(plan, s, b);
    each_sample(b, [&] {
        switch (s.kind) {
            case Kind::norm_frozen:
            case Kind::norm_batch: return wide_norm_backward(plan, s, b);
            case Kind::norm_group: return s.wanted[0] ? wide_pixel_backward(plan, s, b) : void();
            case Kind::softmax: return wide_softmax_backward(plan, s, b);
            case Kind::copy: return wide_copy_backward(plan, s, b);
            case Kind::pool_max:
            case Kind::pool_average: return pool_backward(plan, s, b);
            case Kind::unary: return unary_backward(plan, s, b);
            case Kind::join:
                if (s.act != Act::linear) derive_activation(plan, s, b);
                return join_backward(plan, s, b);
            case Kind::noise: return wide_noise_backward(plan, s, b);
            default: return;
        }
    });
}

// A lane of a tensor that has samples as lanes, from one that has channels, and back.
template <class F>
static inline void each_element(const Tensor& wide, bool gradient, const Tensor& narrow, int lane, F f) {
    for (Int c = 0; c < narrow.c; c++)
        for (Int z = 0, pixel = 0; z < wide.d; z++)
            for (Int row = 0; row < wide.h; row++)
                for (Int i = 0; i < wide.w; i++, pixel++)
                    f((gradient ? grad_at(wide, c / L, z, row) : at(wide, c / L, z, row)) + i * L + c % L,
                      (gradient ? narrow.gat + c * narrow.gcs : narrow.at + c * narrow.cs) * L + pixel * L + lane);
}

static void gather(const Tensor& wide, const float* act, const Tensor& narrow, float* to, int lane) {
    each_element(wide, false, narrow, lane, [&](Int from, Int target) { to[target] = act[from]; });
}

static void scatter(const Tensor& narrow, const float* grad, int lane, const Tensor& wide, float* to) {
    each_element(wide, true, narrow, lane, [&](Int target, Int from) { to[target] = grad[from]; });
}

}  // namespace convia::CONVIA_ISA
