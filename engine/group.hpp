// Normalization of each sample over groups of its elements: layer, group, instance and root mean square normalization.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// f(row of x, row of y or of its gradient, number of the first element, elements)
template <class F>
static inline void each_member(const Tensor& x, const Tensor& y, bool gradient, const Block& b, F f) {
    each_row([&](Int c, Int z, Int row, Int n, Int element) {
        float* q = gradient ? b.grad + grad_at(y, c, z, row) : b.act + at(y, c, z, row);
        for (Int i = 0; i < n; i++) f(load(b.act + at(x, c, z, row) + i * L), q + i * L, c, z, row, i * L, element + i);
    }, x, y);
}

struct Groups { float *mean, *inverse, *sum, *product; Int count; };

// Means and inverse deviations of the groups, in scratch memory.
static Groups group_statistics(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    Int n = s.groups, size = n * L;
    Groups g{b.scratch, b.scratch + size, b.scratch + 2 * size, b.scratch + 3 * size, x.size() / n};
    __builtin_memset(b.scratch, 0, sizeof(float) * 4 * size);
    auto add = [&](float* sums, auto f) {
        each_member(x, x, false, b, [&](V v, float*, Int, Int, Int, Int, Int e) {
            Int k = s.member[e] * L;
            store(sums + k, load(sums + k) + f(v, k));
        });
        for (Int k = 0; k < size; k += L) store(sums + k, load(sums + k) / float(g.count));
    };
    if (s.centered) add(g.mean, [](V v, Int) { return v; });
    add(g.inverse, [&](V v, Int k) { V e = v - load(g.mean + k); return e * e; });
    for (Int k = 0; k < size; k++) g.inverse[k] = 1.f / __builtin_sqrtf(g.inverse[k] + s.epsilon);
    return g;
}

static void group_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Groups g = group_statistics(plan, s, b);
    const float* gamma = s.params[0] < 0 ? nullptr : plan.params[s.params[0]].data;
    const float* beta = s.params[1] < 0 ? nullptr : plan.params[s.params[1]].data;
    each_member(x, y, false, b, [&](V v, float* q, Int, Int, Int, Int, Int e) {
        Int k = s.member[e] * L, p = s.index[e];
        store(q, (v - load(g.mean + k)) * load(g.inverse + k) * (gamma ? gamma[p] : 1.f) + (beta ? beta[p] : 0.f));
    });
}

static void group_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Groups g = group_statistics(plan, s, b);
    const Param* gamma = s.params[0] < 0 ? nullptr : &plan.params[s.params[0]];
    const Param* beta = s.params[1] < 0 ? nullptr : &plan.params[s.params[1]];
    auto learned = [](const Param* p) { return p && p->grad >= 0; };
    float *slopes = b.scratch + 4 * s.groups * L, *shifts = slopes + (gamma ? gamma->size : 0) * L;
    if (gamma) __builtin_memset(slopes, 0, sizeof(float) * gamma->size * L);
    if (beta) __builtin_memset(shifts, 0, sizeof(float) * beta->size * L);
    each_member(x, y, true, b, [&](V v, float* q, Int, Int, Int, Int, Int e) {
        Int k = s.member[e] * L, p = s.index[e] * L;
        V normal = (v - load(g.mean + k)) * load(g.inverse + k), each = load(q);
        if (learned(gamma)) store(slopes + p, load(slopes + p) + each * normal);
        if (learned(beta)) store(shifts + p, load(shifts + p) + each);
        if (gamma) each = each * gamma->data[s.index[e]];
        store(g.sum + k, load(g.sum + k) + each);
        store(g.product + k, load(g.product + k) + each * normal);
    });
    if (learned(gamma)) add_lane_sums(b.wgrad + gamma->grad, slopes, gamma->size);
    if (learned(beta)) add_lane_sums(b.wgrad + beta->grad, shifts, beta->size);
    if (!s.wanted[0]) return;
    float share = 1.f / g.count;
    each_member(x, y, true, b, [&](V v, float* q, Int c, Int z, Int row, Int i, Int e) {
        Int k = s.member[e] * L;
        V inverse = load(g.inverse + k), normal = (v - load(g.mean + k)) * inverse, each = load(q);
        if (gamma) each = each * gamma->data[s.index[e]];
        each -= normal * load(g.product + k) * share;
        if (s.centered) each -= load(g.sum + k) * share;
        give(b.grad + grad_at(x, c, z, row) + i, each * inverse, s.fresh[0]);
    });
}

}  // namespace convia::CONVIA_ISA
