// Transposed convolutions go the way of a convolution back: forward is its gradient with respect to the data, and the
// gradient is the convolution. The mirror is that convolution, of tensors that see activations as gradients and
// gradients as activations; the only copy is that of the gradient into a halo.
#pragma once
#include "conv.hpp"

namespace convia::CONVIA_ISA {

static inline Block mirrored(Block b) {
    std::swap(b.act, b.grad);
    return b;
}

static void conv_transpose_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Block back = mirrored(b);
    direct_backward_data(plan, s.mirror[0], back);
    const float* bias = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    if (!bias && s.act == Act::linear) return;
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        float* p = b.act + at(y, c, z, row);
        for (Int i = 0; bias && i < n; i++) store(p + i * L, load(p + i * L) + bias[c]);
        if (s.act != Act::linear) activate_row(s.act, s.alpha, p, n);
    }, y);
}

static void conv_transpose_backward(const Plan& plan, const Step& s, Block& b) {
    const Step& m = s.mirror[0];
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Tensor &wide = plan.tensors[m.ins[0]], &narrow = plan.tensors[m.out];
    const Param& kernel = plan.params[s.params[0]];
    const Param* bias = s.params[1] < 0 ? nullptr : &plan.params[s.params[1]];
    if (s.act != Act::linear) derive_activation(plan, s, b);
    if (bias && bias->grad >= 0) bias_gradient(y, b, b.wgrad + bias->grad);
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        __builtin_memcpy(b.grad + at(wide, c, z, row), b.grad + grad_at(y, c, z, row), sizeof(float) * L * n);
    }, wide);
    Block back = mirrored(b);
    if (kernel.grad >= 0) direct_backward_weights(plan, m, back, b.wgrad + kernel.grad);
    if (!s.wanted[0]) return;
    direct_forward(plan, m, back);
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const float* p = b.grad + at(narrow, c, z, row);
        float* q = b.grad + grad_at(x, c, z, row);
        for (Int i = 0; i < n; i++) give(q + i * L, load(p + i * L), s.fresh[0]);
    }, narrow);
}

}  // namespace convia::CONVIA_ISA
