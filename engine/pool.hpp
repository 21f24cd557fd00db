// The maximum or the average of windows, which are cut off at the border.
#pragma once
#include "elementwise.hpp"

namespace convia::CONVIA_ISA {

struct Window { Int from[3], to[3]; };

static inline Window window_of(const Step& s, const Tensor& x, Int z, Int y, Int w) {
    const Int place[3] = {z, y, w}, size[3] = {x.d, x.h, x.w};
    Window v;
    for (int a = 0; a < 3; a++) {
        Int from = place[a] * s.s[a] - s.pad[a];
        v.from[a] = largest(from, 0);
        v.to[a] = smallest(from + s.k[a], size[a]);
    }
    return v;
}

template <class F>
static inline void each_in(const Window& v, F f) {
    for (Int z = v.from[0]; z < v.to[0]; z++)
        for (Int y = v.from[1]; y < v.to[1]; y++)
            for (Int x = v.from[2]; x < v.to[2]; x++) f(z, y, x);
}

// Visit the windows: f(channel, window, offset of the result, offset of its gradient).
template <class F>
static inline void each_window(const Plan& plan, const Step& s, F f) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = 0; c < y.c; c++)
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) {
                Window v = window_of(s, x, z, row, 0);
                for (Int w = 0; w < y.w; w++) {
                    Int start = w * s.s[2] - s.pad[2];
                    v.from[2] = largest(start, 0), v.to[2] = smallest(start + s.k[2], x.w);
                    f(c, v, at(y, c, z, row) + w * L, grad_at(y, c, z, row) + w * L);
                }
            }
}

static inline float share(const Window& v) {
    return 1.f / ((v.to[0] - v.from[0]) * (v.to[1] - v.from[1]) * (v.to[2] - v.from[2]));
}

// The usual case: windows of 2 × 2 that fit side by side, two rows to one.
static inline bool is_two_by_two(const Step& s) {
    return s.k[0] == 1 && s.k[1] == 2 && s.k[2] == 2 && s.s[0] == 1 && s.s[1] == 2 && s.s[2] == 2 && !s.pad[1] && !s.pad[2];
}

template <class F>
static inline void each_pair_of_rows(const Plan& plan, const Step& s, F f) {
    const Tensor& y = plan.tensors[s.out];
    for (Int c = 0; c < y.c; c++)
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) f(c, z, row);
}

// The maximum or the sum of a window that begins at p.
template <bool MOST>
static inline V pooled(const float* p, const Tensor& x, Int planes, Int rows, Int columns) {
    auto both = [](V a, V b) { return MOST ? nan_or_max(a, b) : a + b; };
    V value = MOST ? load(p) : zero();
    for (Int z = 0; z < planes; z++)
        for (Int row = 0; row < rows; row++) {
            const float* q = p + (z * x.ds + row * x.hs) * L;
            if (columns == 3) value = both(value, both(both(load(q), load(q + L)), load(q + 2 * L)));
            else for (Int w = 0; w < columns; w++) value = both(value, load(q + w * L));
        }
    return value;
}

static void pool_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool most = s.kind == Kind::pool_max;
    if (is_two_by_two(s) && 2 * y.h <= x.h && 2 * y.w <= x.w) {
        each_pair_of_rows(plan, s, [&](Int c, Int z, Int row) {
            const float *p = b.act + at(x, c, z, 2 * row), *q = p + x.hs * L;
            float* r = b.act + at(y, c, z, row);
            for (Int i = 0; i < y.w; i++, p += 2 * L, q += 2 * L) {
                V v1 = load(p), v2 = load(p + L), v3 = load(q), v4 = load(q + L);
                store(r + i * L, most ? nan_or_max(nan_or_max(v1, v2), nan_or_max(v3, v4)) : (v1 + v2 + v3 + v4) * 0.25f);
            }
        });
        return;
    }
    auto pool = [&](auto most) {
        each_window(plan, s, [&](Int c, const Window& v, Int result, Int) {
            const float* p = b.act + at(x, c, v.from[0], v.from[1]) + v.from[2] * L;
            V value = pooled<most>(p, x, v.to[0] - v.from[0], v.to[1] - v.from[1], v.to[2] - v.from[2]);
            store(b.act + result, most ? value : value * share(v));
        });
    };
    if (most) pool(std::true_type());
    else pool(std::false_type());
}

static void pool_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool most = s.kind == Kind::pool_max, pairs = is_two_by_two(s) && 2 * y.h <= x.h && 2 * y.w <= x.w;
    if (s.fresh[0] && !(pairs && 2 * y.h == x.h && 2 * y.w == x.w)) zero_gradient(x, b);
    if (pairs) return with_act(s.derive, [&](auto act) {
        constexpr Act A = decltype(act)::value;
        auto slope = [&](V value) { return derivative<A>(value, s.derive_alpha); };
        bool set = s.fresh[0];  // windows do not overlap
        each_pair_of_rows(plan, s, [&](Int c, Int z, Int row) {
            const float *p = b.act + at(x, c, z, 2 * row), *q = p + x.hs * L, *r = b.act + at(y, c, z, row);
            const float* g = b.grad + grad_at(y, c, z, row);
            float *u = b.grad + grad_at(x, c, z, 2 * row), *d = u + x.ghs * L;
            for (Int i = 0; i < y.w; i++, p += 2 * L, q += 2 * L, u += 2 * L, d += 2 * L) {
                V v = load(g + i * L);
                if (!most) {
                    v = v * 0.25f;
                    give(u, v * slope(load(p)), set), give(u + L, v * slope(load(p + L)), set);
                    give(d, v * slope(load(q)), set), give(d + L, v * slope(load(q + L)), set);
                    continue;
                }
                V m = load(r + i * L);  // the first of equal maxima takes all
                v = v * slope(m);
                VI k1 = load(p) == m, k2 = (load(p + L) == m) & ~k1, k3 = (load(q) == m) & ~(k1 | k2);
                VI k4 = ~(k1 | k2 | k3);
                give(u, pick(k1, v, zero()), set), give(u + L, pick(k2, v, zero()), set);
                give(d, pick(k3, v, zero()), set), give(d + L, pick(k4, v, zero()), set);
            }
        });
    });
    each_window(plan, s, [&](Int c, const Window& v, Int result, Int gradient) {
        V g = load(b.grad + gradient), m = load(b.act + result);
        V part = g * share(v);
        VI left = VI{} == 0;  // lanes whose maximum is still to be found
        each_in(v, [&](Int z, Int row, Int w) {
            float* target = b.grad + grad_at(x, c, z, row) + w * L;
            if (most) {
                VI here = (load(b.act + at(x, c, z, row) + w * L) == m) & left;
                left &= ~here;
                part = pick(here, g, zero());
            }
            store(target, load(target) + part);
        });
    });
    for (Int z = 0; z < x.d; z++)
        for (Int row = 0; row < x.h; row++) derive_rows(plan, s, b, 0, x.c, z, row);
}

}  // namespace convia::CONVIA_ISA
