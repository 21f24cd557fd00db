// Linear maps along one axis, the same for all lines: y[to] = Σ weight · x[from]. Interpolation, averages of windows.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// Where the lines of a tensor lie: strides along the axis and along the two others, whose sizes are m and n.
struct Lines {
    float* data;
    Int along, outer, inner, m, n;
    float* at(Int place, Int i, Int j) const { return data + (place * along + i * outer + j * inner) * L; }
};

static inline Lines lines_of(int axis, const Tensor& t, float* data, Int d, Int h) {
    switch (axis) {
        case 0: return {data, d, h, 1, t.h, t.w};
        case 1: return {data, h, d, 1, t.d, t.w};
        default: return {data, 1, d, h, t.d, t.h};
    }
}
static inline Lines act_lines(const Step& s, const Tensor& t, Block& b, Int c) {
    return lines_of(s.axis, t, b.act + at(t, c, 0, 0), t.ds, t.hs);
}
static inline Lines grad_lines(const Step& s, const Tensor& t, Block& b, Int c) {
    return lines_of(s.axis, t, b.grad + grad_at(t, c, 0, 0), t.gds, t.ghs);
}

// target[i] = or += Σ weight · source[j] over the terms (i, j); the first term of an i is stored where it begins a run.
template <class F>
static inline void each_term(const Step& s, const Lines& lines, F f) {
    for (std::size_t k = 0; k < s.factors.size(); k++)
        for (Int i = 0; i < lines.m; i++)
            for (Int j = 0; j < lines.n; j++) f(k, i, j);
}

static void mix_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = 0; c < x.c; c++) {
        Lines p = act_lines(s, x, b, c), q = act_lines(s, y, b, c);
        each_term(s, p, [&](std::size_t k, Int i, Int j) {
            bool first = !k || s.member[k] != s.member[k - 1];
            give(q.at(s.member[k], i, j), load(p.at(s.index[k], i, j)) * s.factors[k], first);
        });
    }
}

static void mix_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    if (s.fresh[0]) zero_gradient(x, b);
    for (Int c = 0; c < x.c; c++) {
        Lines p = grad_lines(s, x, b, c), q = grad_lines(s, y, b, c);
        each_term(s, p, [&](std::size_t k, Int i, Int j) {
            give(p.at(s.index[k], i, j), load(q.at(s.member[k], i, j)) * s.factors[k], false);
        });
    }
}

}  // namespace convia::CONVIA_ISA
