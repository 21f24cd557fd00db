// Functions over the channels of each pixel: softmax, its logarithm, sparsemax.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// The channels of a pixel of the input and of the output.
struct Channels {
    float *x, *y;
    Int x_step, y_step, count;
    V in(Int c) const { return load(x + c * x_step); }
    V out(Int c) const { return load(y + c * y_step); }
    void set_in(Int c, V v, bool fresh) const { give(x + c * x_step, v, fresh); }
    void set(Int c, V v) const { store(y + c * y_step, v); }
    V most() const {
        V v = in(0);
        for (Int c = 1; c < count; c++) v = vmax(v, in(c));
        return v;
    }
};

// Visit the pixels: f(their values, their gradients).
template <class F>
static inline void each_pixel(const Plan& plan, const Step& s, Block& b, F f) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int z = 0; z < x.d; z++)
        for (Int row = 0; row < x.h; row++)
            for (Int i = 0; i < x.w * L; i += L)
                f(Channels{b.act + at(x, 0, z, row) + i, b.act + at(y, 0, z, row) + i, x.cs * L, y.cs * L, x.c},
                  Channels{b.grad + grad_at(x, 0, z, row) + i, b.grad + grad_at(y, 0, z, row) + i, x.gcs * L, y.gcs * L, x.c});
}

static void softmax_forward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [](Channels p, Channels) {
        V most = p.most(), sum = zero();
        for (Int c = 0; c < p.count; c++) {
            V e = vexp(p.in(c) - most);
            p.set(c, e);
            sum += e;
        }
        sum = 1.f / sum;
        for (Int c = 0; c < p.count; c++) p.set(c, p.out(c) * sum);
    });
}

static void softmax_backward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [&](Channels p, Channels g) {
        V sum = zero();
        for (Int c = 0; c < p.count; c++) sum += p.out(c) * g.out(c);
        for (Int c = 0; c < p.count; c++) g.set_in(c, p.out(c) * (g.out(c) - sum), s.fresh[0]);
    });
}

static void log_softmax_forward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [](Channels p, Channels) {
        V most = p.most(), sum = zero();
        for (Int c = 0; c < p.count; c++) sum += vexp(p.in(c) - most);
        V log_sum = vlog(sum);
        for (Int c = 0; c < p.count; c++) p.set(c, p.in(c) - most - log_sum);
    });
}

static void log_softmax_backward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [&](Channels p, Channels g) {
        V sum = zero();
        for (Int c = 0; c < p.count; c++) sum += g.out(c);
        for (Int c = 0; c < p.count; c++) g.set_in(c, g.out(c) - vexp(p.out(c)) * sum, s.fresh[0]);
    });
}

// max(x − τ, 0) with the τ that makes its sum 1: τ of all elements is too small, but what it sets to 0 stays 0, and the τ
// of the others comes nearer (Michelot 1986).
static void sparsemax_forward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [](Channels p, Channels) {
        V most = p.most(), limit = all(-__builtin_inff()), before = zero();
        for (Int round = 0; round <= p.count; round++) {
            V sum = zero(), count = zero();
            for (Int c = 0; c < p.count; c++) {
                V v = p.in(c) - most;
                sum += v > limit ? v : zero();
                count += v > limit ? all(1) : zero();
            }
            limit = (sum - 1.f) / count;
            if (lane_sum(vabs(count - before)) == 0) break;
            before = count;
        }
        for (Int c = 0; c < p.count; c++) p.set(c, rectified(p.in(c) - most - limit));
    });
}

static void sparsemax_backward(const Plan& plan, const Step& s, Block& b) {
    each_pixel(plan, s, b, [&](Channels p, Channels g) {
        V sum = zero(), count = zero();
        for (Int c = 0; c < p.count; c++) {
            sum += p.out(c) > 0.f ? g.out(c) : zero();
            count += p.out(c) > 0.f ? all(1) : zero();
        }
        V mean = sum / count;
        for (Int c = 0; c < p.count; c++) g.set_in(c, p.out(c) > 0.f ? g.out(c) - mean : zero(), s.fresh[0]);
    });
}

}  // namespace convia::CONVIA_ISA
