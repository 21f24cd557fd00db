// Batch normalization. The statistics of a batch are gathered block by block and joined in the order of the blocks, so
// that they do not depend on the number of threads; the executor waits for all blocks in between.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// Per block and channel: mean, sum of squared deviations, Σ g, Σ g·x̂.
static inline double* record(const Step& s, Block& b, const Tensor& x, int block, Int c) {
    return b.stats + s.stats + (block * x.c + c) * 4;
}

static inline V like(V, double x) { return all(float(x)); }  // a number of the type at hand
static inline double like(double, double x) { return x; }

// Of so few numbers that their differences cancel: they are added up and subtracted in double precision.
static inline bool are_few(const Block& b, const Tensor& x) { return b.batch * x.d * x.h * x.w <= 16; }

// Σ f(x, g) over the samples of a block and the pixels of a channel; g is the gradient of y, 0 without it.
template <class F>
static inline double sum_over(const Tensor& x, const Tensor* y, Block& b, Int c, F f) {
    V total = zero(), live = live_lanes(b);
    double exact = 0;
    bool few = are_few(b, x);
    for (Int z = 0; z < x.d; z++)
        for (Int row = 0; row < x.h; row++) {
            const float *p = b.act + at(x, c, z, row), *g = y ? b.grad + grad_at(*y, c, z, row) : nullptr;
            for (Int i = 0; i < x.w * L; i += L) {
                if (few) for (int k = 0; k < b.live; k++) exact += f(double(p[i + k]), g ? double(g[i + k]) : 0.0);
                else total += f(load(p + i), g ? load(g + i) : zero()) * live;
            }
        }
    return few ? exact : double(lane_sum(total));
}

static void norm_stats(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    for (Int c = 0; c < x.c; c++) {
        double* r = record(s, b, x, b.index, c);
        r[0] = sum_over(x, nullptr, b, c, [](auto v, auto) { return v; }) / (b.live * x.d * x.h * x.w);
        r[1] = sum_over(x, nullptr, b, c, [&](auto v, auto) { return (v - like(v, r[0])) * (v - like(v, r[0])); });
    }
}

static inline int live_in(const Block& b, int block) { return block + 1 < b.blocks ? L : b.batch - block * L; }

struct Moments { double mean, variance; };

static inline Moments joined_moments(const Step& s, Block& b, const Tensor& x, Int c) {
    double mean = 0, squares = 0, count = 0;
    for (int k = 0; k < b.blocks; k++) {  // Chan, Golub & LeVeque 1979
        const double* r = record(s, b, x, k, c);
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

static inline double inverse_deviation(const Moments& m, float epsilon) {
    return 1.0 / __builtin_sqrt(m.variance + epsilon);
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
        float scale = float(gamma * inverse_deviation(m, s.epsilon)), mean = float(m.mean);
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
        double inverse = inverse_deviation(m, s.epsilon);
        double* r = record(s, b, x, b.index, c);
        r[2] = sum_over(x, &y, b, c, [](auto, auto g) { return g; });
        r[3] = sum_over(x, &y, b, c, [&](auto v, auto g) { return g * ((v - like(v, m.mean)) * like(v, inverse)); });
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
        double inverse = inverse_deviation(m, s.epsilon), gamma = s.params[0] < 0 ? 1.f : plan.params[s.params[0]].data[c];
        double shift = sum / count, slope = product / count * inverse;
        auto differentiated = [&](auto v, auto g) {
            if (batch) g -= like(v, shift) + (v - like(v, m.mean)) * like(v, slope);
            return g * like(v, gamma * inverse);
        };
        bool few = batch && are_few(b, x);
        V live = live_lanes(b);
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
                float* q = b.grad + grad_at(x, c, z, row);
                for (Int i = 0; i < x.w; i++) {
                    V v = differentiated(load(p + i * L), load(g + i * L));
                    for (int k = 0; few && k < b.live; k++) v[k] = float(differentiated(double(p[i * L + k]), double(g[i * L + k])));
                    give(q + i * L, batch ? v * live : v, s.fresh[0]);
                }
            }
    }
}

}  // namespace convia::CONVIA_ISA
