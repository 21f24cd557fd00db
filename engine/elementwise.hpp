// Layers that look at each element by itself, and those that only move elements.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

constexpr float SELU_SCALE = 1.0507009873554805f, SELU_ALPHA = 1.6732632423543772f;

static inline V softplus(V x) { return vmax(x, zero()) + vlog(1.f + vexp(-vabs(x))); }

// φ(x)
template <Act A>
static inline V activate(V x, float a) {
    switch (A) {
        case Act::relu: return rectified(x);
        case Act::leaky_relu: return x > 0.f ? x : x * a;
        case Act::elu: return x > 0.f ? x : a * (vexp(x) - 1.f);
        case Act::selu: return SELU_SCALE * (x > 0.f ? x : SELU_ALPHA * (vexp(x) - 1.f));
        case Act::tanh: return vtanh(x);
        case Act::sigmoid: return vsigmoid(x);
        case Act::softplus: return softplus(x);
        case Act::exponential: return vexp(x);
        case Act::capped_relu: x = x < 0.f ? zero() : x; return x > a ? all(a) : x;
        case Act::hard_sigmoid: x = x * (1.f / 6) + 0.5f; x = x < 0.f ? zero() : x; return x > 1.f ? all(1) : x;
        case Act::hard_tanh: x = x < -1.f ? all(-1) : x; return x > 1.f ? all(1) : x;
        case Act::softsign: return x / (1.f + vabs(x));
        case Act::silu: return x * vsigmoid(x);
        case Act::gelu: return 0.5f * x * (1.f + verf(x * 0.70710678118654752f));
        case Act::gelu_tanh: return 0.5f * x * (1.f + vtanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
        case Act::mish: return x * vtanh(softplus(x));
        case Act::hard_silu: { V r = x + 3.f; r = r < 0.f ? zero() : r; r = r > 6.f ? all(6) : r; return x * r * (1.f / 6); }
        case Act::log_sigmoid: return -softplus(-x);
        case Act::tanh_shrink: return x - vtanh(x);
        case Act::soft_shrink: return x > a ? x - a : x < -a ? x + a : zero();
        case Act::hard_shrink: return vabs(x) > a ? x : zero();
        case Act::squareplus: return 0.5f * (x + vsqrt(x * x + a));
        case Act::sparse_plus: return x <= -1.f ? zero() : x < 1.f ? 0.25f * (x + 1.f) * (x + 1.f) : x;
        case Act::sparse_sigmoid: return x <= -1.f ? zero() : x < 1.f ? 0.5f * (x + 1.f) : all(1);
        case Act::absolute: return vabs(x);
        case Act::square: return x * x;
        case Act::root: return vsqrt(x);
        case Act::logarithm: return x > 0.f ? vlog(x) : x == 0.f ? all(-__builtin_inff()) : all(__builtin_nanf(""));
        case Act::reciprocal: return 1.f / x;
        default: return x;
    }
}

// φ′, from φ(x) = y where that suffices, else from x
template <Act A>
static inline V derivative(V y, float a) {
    switch (A) {
        case Act::relu: return y > 0.f ? all(1) : zero();
        case Act::leaky_relu: return y > 0.f ? all(1) : all(a);
        case Act::elu: return y > 0.f ? all(1) : y + a;
        case Act::selu: return y > 0.f ? all(SELU_SCALE) : y + SELU_SCALE * SELU_ALPHA;
        case Act::tanh: return 1.f - y * y;
        case Act::sigmoid: return y * (1.f - y);
        case Act::softplus: return 1.f - vexp(-y);
        case Act::exponential: return y;
        case Act::capped_relu: return (y > 0.f) & (y < a) ? all(1) : zero();
        case Act::hard_sigmoid: return (y > 0.f) & (y < 1.f) ? all(1.f / 6) : zero();
        case Act::hard_tanh: return (y > -1.f) & (y < 1.f) ? all(1) : zero();
        case Act::softsign: { V r = 1.f - vabs(y); return r * r; }
        case Act::silu: { V s = vsigmoid(y); return s * (1.f + y * (1.f - s)); }
        case Act::gelu: return 0.5f * (1.f + verf(y * 0.70710678118654752f)) + y * 0.3989422804014327f * vexp(-0.5f * y * y);
        case Act::gelu_tanh: {
            V t = vtanh(0.7978845608028654f * (y + 0.044715f * y * y * y));
            return 0.5f * (1.f + t) + 0.5f * y * (1.f - t * t) * 0.7978845608028654f * (1.f + 0.134145f * y * y);
        }
        case Act::mish: { V t = vtanh(softplus(y)); return t + y * (1.f - t * t) * vsigmoid(y); }
        case Act::hard_silu: return y < -3.f ? zero() : y > 3.f ? all(1) : y * (1.f / 3) + 0.5f;
        case Act::log_sigmoid: return vsigmoid(-y);
        case Act::tanh_shrink: { V t = vtanh(y); return t * t; }
        case Act::soft_shrink:
        case Act::hard_shrink: return vabs(y) > a ? all(1) : zero();
        case Act::squareplus: return 0.5f + 0.5f * y / vsqrt(y * y + a);
        case Act::sparse_plus: return y <= -1.f ? zero() : y < 1.f ? 0.5f * (y + 1.f) : all(1);
        case Act::sparse_sigmoid: return vabs(y) < 1.f ? all(0.5f) : zero();
        case Act::absolute: return y > 0.f ? all(1) : y < 0.f ? all(-1) : zero();
        case Act::square: return 2.f * y;
        case Act::root: return 0.5f / vsqrt(y);
        case Act::logarithm: return 1.f / y;
        case Act::reciprocal: return -1.f / (y * y);
        default: return all(1);
    }
}

// Call f with the activation as a compile-time constant.
template <class F>
static inline void with_act(Act act, F f) {
#define CASE(a) case Act::a: return f(std::integral_constant<Act, Act::a>());
    switch (act) {
        CASE(linear) CASE(relu) CASE(leaky_relu) CASE(elu) CASE(selu) CASE(tanh) CASE(sigmoid) CASE(softplus)
        CASE(exponential) CASE(capped_relu) CASE(hard_sigmoid) CASE(hard_tanh) CASE(softsign) CASE(silu) CASE(gelu)
        CASE(gelu_tanh) CASE(mish) CASE(hard_silu) CASE(log_sigmoid) CASE(tanh_shrink) CASE(soft_shrink)
        CASE(hard_shrink) CASE(squareplus) CASE(sparse_plus) CASE(sparse_sigmoid) CASE(absolute) CASE(square) CASE(root)
        CASE(logarithm) CASE(reciprocal)
    }
#undef CASE
}

static void activate_row(Act act, float alpha, float* p, Int n) {
    with_act(act, [&](auto a) {
        for (Int i = 0; i < n; i++) store(p + i * L, activate<decltype(a)::value>(load(p + i * L), alpha));
    });
}

// Gradient of what an activation in place was applied to.
static inline void derive_activation(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    with_act(s.act, [&](auto a) {
        each_row([&](Int c, Int z, Int row, Int n, Int) {
            const float* p = b.act + at(y, c, z, row);
            float* g = b.grad + grad_at(y, c, z, row);
            for (Int i = 0; i < n; i++) store(g + i * L, load(g + i * L) * derivative<decltype(a)::value>(load(p + i * L), s.alpha));
        }, y);
    });
}

// Of the step before, in rows that a step has just made: channels from … to of one row, or of all.
static inline void derive_rows(const Plan& plan, const Step& s, Block& b, Int from, Int to, Int z, Int y) {
    if (s.derive == Act::linear) return;
    const Tensor& x = plan.tensors[s.ins[0]];
    with_act(s.derive, [&](auto a) {
        for (Int c = from; c < to; c++) {
            const float* p = b.act + at(x, c, z, y);
            float* g = b.grad + grad_at(x, c, z, y);
            for (Int i = 0; i < x.w; i++)
                store(g + i * L, load(g + i * L) * derivative<decltype(a)::value>(load(p + i * L), s.derive_alpha));
        }
    });
}

static void unary_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    with_act(s.act, [&](auto a) {
        each_row([&](Int c, Int z, Int row, Int n, Int) {
            const float* p = b.act + at(x, c, z, row);
            float* q = b.act + at(y, c, z, row);
            for (Int i = 0; i < n; i++) store(q + i * L, activate<decltype(a)::value>(load(p + i * L), s.alpha));
        }, x, y);
    });
}

static void unary_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    with_act(s.act, [&](auto a) {
        constexpr Act A = decltype(a)::value;
        each_row([&](Int c, Int z, Int row, Int n, Int) {
            const float* p = b.act + (A >= Act::silu ? at(x, c, z, row) : at(y, c, z, row));
            const float* g = b.grad + grad_at(y, c, z, row);
            float* q = b.grad + grad_at(x, c, z, row);
            for (Int i = 0; i < n; i++) give(q + i * L, load(g + i * L) * derivative<A>(load(p + i * L), s.alpha), s.fresh[0]);
        }, x, y);
    });
}

// x between θ and M; below, a line of a slope through a value at θ: low + slope·(x − θ); from M on, M.
static inline void rectifier_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Rectifier& r = s.rectifier;
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const float* p = b.act + at(x, c, z, row);
        float* q = b.act + at(y, c, z, row);
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L), below = r.slope != 0 ? r.low + r.slope * (v - r.threshold) : all(r.low);
            store(q + i * L, v <= r.threshold ? below : v >= r.most ? all(r.most) : v);
        }
    }, x, y);
}

static inline void rectifier_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Rectifier& r = s.rectifier;
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
        float* q = b.grad + grad_at(x, c, z, row);
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L), slope = v <= r.threshold ? all(r.slope) : v >= r.most ? zero() : all(1);
            give(q + i * L, load(g + i * L) * slope, s.fresh[0]);
        }
    }, x, y);
}

// Flatten, reshape, permute, pad, crop, repeat, concatenate: out[to] = in[from].
static inline void copy_forward(const Plan&, const Step& s, Block& b) {
    for (std::size_t i = 0; i < s.from.size(); i++) store(b.act + Int(s.to[i]) * L, load(b.act + Int(s.from[i]) * L));
}

static inline void copy_backward(const Plan& plan, const Step& s, Block& b) {
    bool set = s.fresh[0] && s.covers;
    if (s.fresh[0] && !s.covers) zero_gradient(plan.tensors[s.ins[0]], b);
    const std::int32_t *from = s.grad_from.data(), *to = s.grad_to.data();
    for (std::size_t i = 0; i < s.from.size(); i++) give(b.grad + Int(from[i]) * L, load(b.grad + Int(to[i]) * L), set);
}

// x where it is positive, α·x elsewhere: α is a weight, of an element or of several.
static inline void prelu_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const float* slope = plan.params[s.params[0]].data;
    each_row([&](Int c, Int z, Int row, Int n, Int element) {
        const float* p = b.act + at(x, c, z, row);
        float* q = b.act + at(y, c, z, row);
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L);
            store(q + i * L, v > 0.f ? v : v * slope[s.index[element + i]]);
        }
    }, x, y);
}

static inline void prelu_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    const Param& slopes = plan.params[s.params[0]];
    float* target = slopes.grad < 0 ? nullptr : b.wgrad + slopes.grad;
    each_row([&](Int c, Int z, Int row, Int n, Int element) {
        const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
        float* q = b.grad + grad_at(x, c, z, row);
        V sum = zero();  // of elements with the same weight
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L), each = load(g + i * L);
            std::int32_t k = s.index[element + i];
            if (s.wanted[0]) give(q + i * L, v > 0.f ? each : v < 0.f ? each * slopes.data[k] : zero(), s.fresh[0]);
            if (!target) continue;
            sum += v < 0.f ? each * v : zero();
            if (i + 1 < n && s.index[element + i + 1] == k) continue;
            target[k] += lane_sum(sum);
            sum = zero();
        }
    }, x, y);
}

// Passes on; Σ l₁·|x| + l₂·x² of a sample is a part of its loss.
static inline void penalty_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    V sum = zero();
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const float* p = b.act + at(x, c, z, row);
        float* q = b.act + at(y, c, z, row);
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L);
            sum += vabs(v) * s.alpha + v * v * s.rate;
            store(q + i * L, v);
        }
    }, x, y);
    for (int i = 0; i < b.live; i++) *b.penalty += sum[i];
}

static inline void penalty_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    V share = live_lanes(b) / float(b.batch);
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
        float* q = b.grad + grad_at(x, c, z, row);
        for (Int i = 0; i < n; i++) {
            V v = load(p + i * L), sign = v > 0.f ? all(1) : v < 0.f ? all(-1) : zero();
            give(q + i * L, load(g + i * L) + (sign * s.alpha + v * (2 * s.rate)) * share, s.fresh[0]);
        }
    }, x, y);
}

}  // namespace convia::CONVIA_ISA
