// Normalization of each pixel over its channels (layer, root mean square and unit normalization), with channels as lanes.
#pragma once
#include "wide_norm.hpp"

namespace convia::CONVIA_ISA {

// What is there in lanes without a channel does not count, and may be infinite.
static inline V in_channels(V v, Int c, Int channels) {
    VI lane;
    for (int i = 0; i < L; i++) lane[i] = i;
    return lane + std::int32_t(c * L) < std::int32_t(channels) ? v : zero();
}

// A pixel: its blocks are `apart` floats from one another. The mean is 0 where it is not subtracted.
struct Pixel { const float* at; Int apart, blocks, channels; float mean = 0, inverse = 0; };
static inline V normal(const Pixel& p, Int c) {
    return in_channels((load(p.at + c * p.apart) - p.mean) * p.inverse, c, p.channels);
}

static inline Pixel pixel_of(const Step& s, const Tensor& x, Int channels, const float* start) {
    Pixel p{start, x.cs * L, x.c, channels};
    auto mean = [&](auto f) {
        V sum = zero();
        for (Int c = 0; c < p.blocks; c++) sum += in_channels(f(load(p.at + c * p.apart)), c, channels);
        return lane_sum(sum) / float(channels);
    };
    if (s.centered) p.mean = mean([](V v) { return v; });
    p.inverse = 1.f / __builtin_sqrtf(mean([&](V v) { return (v - p.mean) * (v - p.mean); }) + s.epsilon);
    return p;
}

// f(pixel, plane, row, column in floats) of a thread's rows
template <class F>
static inline void each_pixel_of(const Plan& plan, const Step& s, const Block& b, Int from, Int to, F f) {
    const Tensor& x = plan.tensors[s.ins[0]];
    for (Int r = from; r < to; r++)
        for (Int i = 0; i < x.w * L; i += L) f(pixel_of(s, x, plan.channels[s.ins[0]], b.act + at(x, 0, r / x.h, r % x.h) + i), r / x.h, r % x.h, i);
}

static void wide_pixel_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Int rows = y.d * y.h;
    each_pixel_of(plan, s, b, cut(rows, b.parts, b.part), cut(rows, b.parts, b.part + 1), [&](const Pixel& p, Int z, Int row, Int i) {
        float* q = b.act + at(y, 0, z, row) + i;
        for (Int c = 0; c < p.blocks; c++)
            store(q + c * y.cs * L, normal(p, c) * load(b.packed + s.wide.scale + c * L) + load(b.packed + s.wide.shift + c * L));
    });
}

static void wide_pixel_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    each_pixel_of(plan, s, b, 0, y.d * y.h, [&](const Pixel& p, Int z, Int row, Int i) {
        const float* g = b.grad + grad_at(y, 0, z, row) + i;
        float* to = b.grad + grad_at(x, 0, z, row) + i;
        auto slope = [&](Int c) { return in_channels(load(g + c * y.gcs * L), c, p.channels) * load(b.packed + s.wide.scale + c * L); };
        V sums = zero(), products = zero();
        for (Int c = 0; c < p.blocks; c++) {
            sums += slope(c);
            products += slope(c) * normal(p, c);
        }
        float sum = s.centered ? lane_sum(sums) / float(p.channels) : 0, product = lane_sum(products) / float(p.channels);
        for (Int c = 0; c < p.blocks; c++)
            give(to + c * x.gcs * L, in_channels((slope(c) - sum - normal(p, c) * product) * p.inverse, c, p.channels), s.fresh[0]);
    });
}

// Of all samples; threads share the channels.
static void wide_pixel_weights(const Plan& plan, const Step& s, Block& b) {
    const Tensor& y = plan.tensors[s.out];
    Int channels = plan.channels[s.out], first = cut(y.c, b.parts, b.part), last = cut(y.c, b.parts, b.part + 1);
    double* sums = reinterpret_cast<double*>(b.scratch);  // Σ g·x̂, Σ g
    __builtin_memset(sums, 0, 2 * y.c * L * sizeof(double));
    for (int k = 0; k < b.group; k++) {
        Block one = b;
        one.act += k * b.apart, one.grad += k * b.grad_apart;
        each_pixel_of(plan, s, one, 0, y.d * y.h, [&](const Pixel& p, Int z, Int row, Int i) {
            for (Int c = first; c < last; c++) {
                V g = load(one.grad + grad_at(y, c, z, row) + i);
                double *product = sums + 2 * c * L, *sum = product + L;
                stored(product, loadd(product) + wide(g * normal(p, c)));
                stored(sum, loadd(sum) + wide(g));
            }
        });
    }
    for (int which = 0; which < 2; which++) {
        int param = s.params[which];
        if (param < 0 || plan.params[param].grad < 0) continue;
        float* g = b.wgrad + plan.params[param].grad;
        for (Int c = first * L; c < smallest(last * L, channels); c++)
            g[c] = float(sums[(2 * (c / L) + which) * L + c % L]) + (s.stores ? 0 : g[c]);
    }
}

}  // namespace convia::CONVIA_ISA
