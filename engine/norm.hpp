// Batch normalization. The statistics of a batch are gathered block by block and joined in the order of the blocks, so
// that they do not depend on the number of threads; the executor waits for all blocks in between.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// Per block and channel: mean, sum of squared deviations, Σ g, Σ g·x̂.
static inline float* record(const Step& s, Block& b, const Tensor& x, int block, Int c) {
    return b.stats + s.stats + (block * x.c + c) * 4;
}

static void norm_stats(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    V live = live_lanes(b);
    for (Int c = 0; c < x.c; c++) {
        auto sum = [&](auto f) {
            V total = zero();
            for (Int z = 0; z < x.d; z++)
                for (Int y = 0; y < x.h; y++)
                    for (Int i = 0; i < x.w; i++) total += f(load(b.act + at(x, c, z, y) + i * L)) * live;
            return lane_sum(total);
        };
        float mean = sum([](V v) { return v; }) / float(b.live * x.d * x.h * x.w);
        float* r = record(s, b, x, b.index, c);
        r[0] = mean;
        r[1] = sum([&](V v) { return (v - mean) * (v - mean); });
    }
}

static inline int live_in(const Block& b, int block) { return block + 1 < b.blocks ? L : b.batch - block * L; }

struct Moments { double mean, variance; };

static inline Moments joined_moments(const Step& s, Block& b, const Tensor& x, Int c) {
    double mean = 0, squares = 0, count = 0;
    for (int k = 0; k < b.blocks; k++) {  // Chan, Golub & LeVeque 1979
        const float* r = record(s, b, x, k, c);
        double n = double(live_in(b, k)) * (x.d * x.h * x.w), delta = r[0] - mean;
        squares += r[1] + delta * delta * count * n / (count + n);
        mean += delta * n / (count + n);
        count += n;
    }
    return {mean, squares / count};
}

static inline Moments moments(const Plan& plan, const Step& s, Block& b, const Tensor& x, Int c) {
    if (b.training && s.kind == Kind::norm_batch) return joined_moments(s, b, x, c);
    return {plan.params[s.params[2]].data[c], plan.params[s.params[3]].data[c]};
}

static inline float inverse_deviation(const Moments& m, float epsilon) {
    return float(1.0 / __builtin_sqrt(m.variance + epsilon));
}

static void norm_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = 0; c < x.c; c++) {
        Moments m = moments(plan, s, b, x, c);
        if (b.training && s.kind == Kind::norm_batch && b.index == 0) {
            float *mean = plan.params[s.params[2]].data + c, *variance = plan.params[s.params[3]].data + c;
            *mean += (float(m.mean) - *mean) * (1 - s.momentum);
            *variance += (float(m.variance) - *variance) * (1 - s.momentum);
        }
        float gamma = s.params[0] < 0 ? 1.f : plan.params[s.params[0]].data[c];
        float beta = s.params[1] < 0 ? 0.f : plan.params[s.params[1]].data[c];
        float scale = gamma * inverse_deviation(m, s.epsilon), mean = float(m.mean);
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float* p = b.act + at(x, c, z, row);
                float* q = b.act + at(y, c, z, row);
                for (Int i = 0; i < x.w; i++) store(q + i * L, (load(p + i * L) - mean) * scale + beta);
            }
    }
}

// The sums over the block that the gradient needs of the whole batch; they are the gradients of γ and β as well.
static void norm_sums(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = 0; c < x.c; c++) {
        Moments m = moments(plan, s, b, x, c);
        float inverse = inverse_deviation(m, s.epsilon), mean = float(m.mean);
        V sum = zero(), product = zero();
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
                for (Int i = 0; i < x.w; i++) {
                    sum += load(g + i * L);
                    product += load(g + i * L) * ((load(p + i * L) - mean) * inverse);
                }
            }
        float* r = record(s, b, x, b.index, c);
        r[2] = lane_sum(sum);
        r[3] = lane_sum(product);
        const int gamma = s.params[0], beta = s.params[1];
        if (gamma >= 0 && plan.params[gamma].grad >= 0) b.wgrad[plan.params[gamma].grad + c] += r[3];
        if (beta >= 0 && plan.params[beta].grad >= 0) b.wgrad[plan.params[beta].grad + c] += r[2];
    }
}

static void norm_backward(const Plan& plan, const Step& s, Block& b) {
    if (!s.wanted[0]) return;
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool batch = s.kind == Kind::norm_batch;
    for (Int c = 0; c < x.c; c++) {
        Moments m = moments(plan, s, b, x, c);
        double sum = 0, product = 0, count = double(b.batch) * (x.d * x.h * x.w);
        for (int k = 0; batch && k < b.blocks; k++) {
            sum += record(s, b, x, k, c)[2];
            product += record(s, b, x, k, c)[3];
        }
        float inverse = inverse_deviation(m, s.epsilon), mean = float(m.mean);
        float scale = (s.params[0] < 0 ? 1.f : plan.params[s.params[0]].data[c]) * inverse;
        float shift = float(sum / count), slope = float(product / count) * inverse;
        V live = live_lanes(b);
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
                float* q = b.grad + grad_at(x, c, z, row);
                for (Int i = 0; i < x.w; i++) {
                    V v = load(g + i * L);
                    if (batch) v = (v - shift - (load(p + i * L) - mean) * slope) * live;
                    give(q + i * L, v * scale, s.fresh[0]);
                }
            }
    }
}

}  // namespace convia::CONVIA_ISA
