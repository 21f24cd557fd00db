// Layers that make one tensor of several, element by element; sizes of 1 are stretched.
#pragma once
#include "elementwise.hpp"

namespace convia::CONVIA_ISA {

static inline V joined(Join kind, V a, V c) {
    switch (kind) {
        case Join::subtract: return a - c;
        case Join::multiply: return a * c;
        case Join::maximum: return vmax(a, c);
        case Join::minimum: return vmin(a, c);
        default: return a + c;
    }
}

static inline bool same_sizes(const Tensor& a, const Tensor& b) {
    return a.c == b.c && a.d == b.d && a.h == b.h && a.w == b.w;
}

// A row of a tensor whose axes are stretched to those of a result: where it begins, and how far its elements are apart.
struct Row { Int at, step; };
static inline Row row_of(const Tensor& t, const Tensor& result, Int c, Int z, Int y) {
    return {at(t, t.c > 1 ? c : 0, t.d > 1 ? z : 0, t.h > 1 ? y : 0), t.w == result.w ? L : 0};
}
static inline Row grad_row_of(const Tensor& t, const Tensor& result, Int c, Int z, Int y) {
    return {grad_at(t, t.c > 1 ? c : 0, t.d > 1 ? z : 0, t.h > 1 ? y : 0), t.w == result.w ? L : 0};
}

// Visit the rows of the result: whole planes where no input is stretched and nothing has a halo.
template <class F>
static inline void each_joined_row(const Plan& plan, const Step& s, F f) {
    const Tensor& y = plan.tensors[s.out];
    bool whole = y.hs == y.w && y.ds == y.h * y.w;
    for (int in : s.ins) {
        const Tensor& x = plan.tensors[in];
        whole = whole && same_sizes(x, y) && x.hs == x.w && x.ds == x.h * x.w;
    }
    Int d = whole ? 1 : y.d, h = whole ? 1 : y.h, n = whole ? y.d * y.h * y.w : y.w;
    for (Int c = 0; c < y.c; c++)
        for (Int z = 0; z < d; z++)
            for (Int row = 0; row < h; row++) f(c, z, row, n);
}

static void join_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    float share = s.join == Join::average ? 1.f / s.ins.size() : 1.f;
    each_joined_row(plan, s, [&](Int c, Int z, Int row, Int n) {
        float* r = b.act + at(y, c, z, row);
        for (std::size_t k = 1; k < s.ins.size(); k++) {
            Row p = k == 1 ? row_of(plan.tensors[s.ins[0]], y, c, z, row) : Row{at(y, c, z, row), L};
            Row q = row_of(plan.tensors[s.ins[k]], y, c, z, row);
            float scale = k + 1 == s.ins.size() ? share : 1.f;
            for (Int i = 0; i < n; i++)
                store(r + i * L, joined(s.join, load(b.act + p.at + i * p.step), load(b.act + q.at + i * q.step)) * scale);
        }
        if (s.act != Act::linear) activate_row(s.act, s.alpha, r, n);
    });
}

// The share of input k in the gradient; of equal extremes all get the same share, as in torch.
static void join_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    for (std::size_t k = 0; k < s.ins.size(); k++) {
        if (!s.wanted[k] || int(k) == s.wide.heir) continue;
        const Tensor& x = plan.tensors[s.ins[k]];
        bool stretched = !same_sizes(x, y), fresh = s.fresh[k] && !stretched;
        if (s.fresh[k] && stretched) zero_gradient(x, b);
        each_joined_row(plan, s, [&](Int c, Int z, Int row, Int n) {
            const float* g = b.grad + grad_at(y, c, z, row);
            Row target = grad_row_of(x, y, c, z, row), mine = row_of(x, y, c, z, row);
            for (Int i = 0; i < n; i++) {
                V v = load(g + i * L);
                switch (s.join) {
                    case Join::subtract: v = k ? -v : v; break;
                    case Join::average: v = v * (1.f / s.ins.size()); break;
                    case Join::multiply:
                        for (std::size_t o = 0; o < s.ins.size(); o++) {
                            Row other = row_of(plan.tensors[s.ins[o]], y, c, z, row);
                            if (o != k) v = v * load(b.act + other.at + i * other.step);
                        }
                        break;
                    case Join::maximum:
                    case Join::minimum: {
                        Row other = row_of(plan.tensors[s.ins[1 - k]], y, c, z, row);
                        V a = load(b.act + mine.at + i * mine.step), o = load(b.act + other.at + i * other.step);
                        VI wins = s.join == Join::maximum ? a > o : a < o;
                        v = wins ? v : a == o ? 0.5f * v : zero();
                        break;
                    }
                    default: break;
                }
                give(b.grad + target.at + i * target.step, v, fresh);
            }
        });
    }
}

}  // namespace convia::CONVIA_ISA
