// Normalization with channels as lanes. In training each sample leaves a record; threads meet, and each joins the records of
// all samples for itself, in their order, so that nothing depends on the number of threads.
#pragma once
#include "elementwise.hpp"

namespace convia::CONVIA_ISA {

typedef double VD __attribute__((vector_size(8 * L), may_alias));
static inline VD loadd(const double* p) { VD v; __builtin_memcpy(&v, p, sizeof v); return v; }
static inline void stored(double* p, VD v) { __builtin_memcpy(p, &v, sizeof v); }
static inline VD wide(V v) { return __builtin_convertvector(v, VD); }
static inline V narrow(VD v) { return __builtin_convertvector(v, V); }

// y = x·scale + shift, a vector of each per block of channels.
static void wide_affine(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    for (Int c = cut(y.c, b.parts, b.part); c < cut(y.c, b.parts, b.part + 1); c++) {
        V scale = load(b.packed + s.wide.scale + c * L), shift = load(b.packed + s.wide.shift + c * L);
        for (Int z = 0; z < y.d; z++)
            for (Int row = 0; row < y.h; row++) {
                const float* p = b.act + at(x, c, z, row);
                float* q = b.act + at(y, c, z, row);
                for (Int i = 0; i < y.w; i++) store(q + i * L, load(p + i * L) * scale + shift);
            }
    }
}

// What a sample leaves: mean, sum of squared deviations, Σ g, Σ g·x̂; and what the threads make of all: mean, inverse deviation,
// and what the gradient is shifted by and sloped with. A vector of each per block of channels.
enum Record { MEAN, SQUARES, SUM, PRODUCT, RECORDS };
enum Moment { CENTER, INVERSE, SHIFT, SLOPE, MOMENTS };
static inline double* record(const Step& s, const Block& b, const Tensor& x, int sample, Int c, int which) {
    return b.stats + s.stats + ((sample * x.c + c) * RECORDS + which) * L;
}
static inline double* moment(const Step& s, const Block& b, Int c, int which) { return b.moments + s.wide.moments + (c * MOMENTS + which) * L; }

// The channels of a block as lanes, `otherwise` where there is no weight or no channel.
static inline V weights_of(const Plan& plan, int param, Int c, Int channels, float otherwise, float beyond) {
    V v = all(beyond);
    for (int k = 0; k < L && c * L + k < channels; k++) v[k] = param < 0 ? otherwise : plan.params[param].data[c * L + k];
    return v;
}

template <class F>
static inline void each_row_of(const Tensor& x, Int c, F f) {
    for (Int z = 0; z < x.d; z++)
        for (Int row = 0; row < x.h; row++) f(at(x, c, z, row), grad_at(x, c, z, row));
}

// The sum of f(i) over a row in single precision, in four parts; rows are added up in double precision.
template <class F>
static inline VD row_sum(Int n, F f) {
    V parts[4] = {};
    Int i = 0;
    for (; i + 4 <= n; i += 4)
        UNROLL for (int k = 0; k < 4; k++) parts[k] += f(i + k);
    for (; i < n; i++) parts[0] += f(i);
    return wide((parts[0] + parts[1]) + (parts[2] + parts[3]));
}

static void wide_norm_stats(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    double pixels = double(x.d * x.h * x.w);
    for (Int c = 0; c < x.c; c++) {
        auto total = [&](auto f) {
            VD sum{};
            each_row_of(x, c, [&](Int start, Int) {
                sum += row_sum(x.w, [&](Int i) { return f(load(b.act + start + i * L)); });
            });
            return sum;
        };
        VD mean = total([](V v) { return v; }) / pixels;
        V center = narrow(mean);
        VD off = wide(center) - mean;
        VD squares = total([&](V v) { return (v - center) * (v - center); }) - off * off * pixels;
        stored(record(s, b, x, b.index, c, MEAN), mean);
        stored(record(s, b, x, b.index, c, SQUARES), squares > 0.0 ? squares : VD{});
    }
}

// Of a batch of b.batch samples (Chan, Golub & LeVeque 1979, for parts of one size), or those that have been gathered. The first
// thread moves the gathered ones on.
static void wide_moments(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    Int channels = plan.channels[s.ins[0]], pixels = x.d * x.h * x.w;
    bool batch = b.training && s.kind == Kind::norm_batch;
    for (Int c = 0; c < x.c; c++) {
        VD mean{}, variance{};
        if (!batch) {  // else the first thread is about to write them
            mean = wide(weights_of(plan, s.params[2], c, channels, 0, 0));
            variance = wide(weights_of(plan, s.params[3], c, channels, 1, 1));
        } else {
            for (int k = 0; k < b.batch; k++) mean += loadd(record(s, b, x, k, c, MEAN));
            mean /= double(b.batch);
            for (int k = 0; k < b.batch; k++) {
                VD apart = loadd(record(s, b, x, k, c, MEAN)) - mean;
                variance += loadd(record(s, b, x, k, c, SQUARES)) + apart * apart * double(pixels);
            }
            variance /= double(b.batch * pixels);
            float *means = plan.params[s.params[2]].data + c * L, *variances = plan.params[s.params[3]].data + c * L;
            for (int k = 0; b.part == 0 && k < L && c * L + k < channels; k++) {
                means[k] += (float(mean[k]) - means[k]) * (1 - s.momentum);
                variances[k] += (float(variance[k]) - variances[k]) * (1 - s.momentum);
            }
        }
        VD inverse;
        for (int k = 0; k < L; k++) inverse[k] = 1.0 / __builtin_sqrt(variance[k] + s.epsilon);
        stored(moment(s, b, c, CENTER), mean);
        stored(moment(s, b, c, INVERSE), inverse);
    }
}

// With what is added, and the activation that follows.
static void wide_norm_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out], &added = plan.tensors[s.ins.back()];
    Int channels = plan.channels[s.out];
    with_act(s.act, [&](auto a) {
        for (Int c = 0; c < x.c; c++) {
            V gamma = weights_of(plan, s.params[0], c, channels, 1, 0), beta = weights_of(plan, s.params[1], c, channels, 0, 0);
            V mean = narrow(loadd(moment(s, b, c, CENTER))), scale = narrow(wide(gamma) * loadd(moment(s, b, c, INVERSE)));
            for (Int z = 0; z < x.d; z++)
                for (Int row = 0; row < x.h; row++) {
                    const float *p = b.act + at(x, c, z, row), *r = s.ins.size() > 1 ? b.act + at(added, c, z, row) : nullptr;
                    float* q = b.act + at(y, c, z, row);
                    for (Int i = 0; i < x.w; i++) {
                        V v = (load(p + i * L) - mean) * scale + beta;
                        store(q + i * L, activate<decltype(a)::value>(r ? v + load(r + i * L) : v, s.alpha));
                    }
                }
        }
    });
}

// The gradient of what the activation is applied to, in place, and its sums over the sample.
static void wide_norm_sums(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int channels = plan.channels[s.out];
    with_act(s.act, [&](auto act) {
        constexpr Act A = decltype(act)::value;
        for (Int c = 0; c < x.c; c++) {
            V gamma = weights_of(plan, s.params[0], c, channels, 1, 0), beta = weights_of(plan, s.params[1], c, channels, 0, 0);
            VD center = loadd(moment(s, b, c, CENTER)), inverse = loadd(moment(s, b, c, INVERSE)), sum{}, product{};
            V mean = narrow(center), scale = narrow(wide(gamma) * inverse);
            for (Int z = 0; z < x.d; z++)
                for (Int row = 0; row < x.h; row++) {
                    const float *p = b.act + at(x, c, z, row), *q = b.act + at(y, c, z, row);
                    float* g = b.grad + grad_at(y, c, z, row);
                    if (A != Act::linear)
                        for (Int i = 0; i < x.w; i++) {
                            V seen = A >= Act::silu ? (load(p + i * L) - mean) * scale + beta : load(q + i * L);
                            store(g + i * L, load(g + i * L) * derivative<A>(seen, s.alpha));
                        }
                    sum += row_sum(x.w, [&](Int i) { return load(g + i * L); });
                    product += row_sum(x.w, [&](Int i) { return load(g + i * L) * (load(p + i * L) - mean); });
                }
            product -= sum * (center - wide(mean));
            stored(record(s, b, x, b.index, c, SUM), sum);
            stored(record(s, b, x, b.index, c, PRODUCT), product * inverse);
        }
    });
}

// Over the batch; they are the gradients of γ and β as well.
static void wide_join_sums(const Plan& plan, const Step& s, Block& b) {
    const Tensor& x = plan.tensors[s.ins[0]];
    Int channels = plan.channels[s.out];
    double count = double(b.batch) * (x.d * x.h * x.w);
    auto learn = [&](int param, Int c, VD value) {
        if (b.part || param < 0 || plan.params[param].grad < 0) return;
        float* g = b.wgrad + plan.params[param].grad + c * L;
        for (int k = 0; k < L && c * L + k < channels; k++) g[k] = s.stores ? float(value[k]) : g[k] + float(value[k]);
    };
    for (Int c = 0; c < x.c; c++) {
        VD sum{}, product{};
        for (int k = 0; k < b.batch; k++) {
            sum += loadd(record(s, b, x, k, c, SUM));
            product += loadd(record(s, b, x, k, c, PRODUCT));
        }
        learn(s.params[0], c, product);
        learn(s.params[1], c, sum);
        stored(moment(s, b, c, SHIFT), sum / count);
        stored(moment(s, b, c, SLOPE), product / count * loadd(moment(s, b, c, INVERSE)));
    }
}

// Of what is added, where that does not lie in the same place.
static void wide_added_backward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &x = plan.tensors[s.ins[1]], &y = plan.tensors[s.out];
    for (Int c = 0; c < x.c; c++)
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float* g = b.grad + grad_at(y, c, z, row);
                float* q = b.grad + grad_at(x, c, z, row);
                for (Int i = 0; i < x.w; i++) give(q + i * L, load(g + i * L), s.fresh[1]);
            }
}

static void wide_norm_backward(const Plan& plan, const Step& s, Block& b) {
    if (s.ins.size() > 1 && s.wanted[1] && s.wide.heir != 1) wide_added_backward(plan, s, b);
    if (!s.wanted[0]) return;
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    Int channels = plan.channels[s.out];
    bool batch = s.kind == Kind::norm_batch, few = b.batch * x.d * x.h * x.w <= 16;  // so few that their differences cancel
    for (Int c = 0; c < x.c; c++) {
        VD center = loadd(moment(s, b, c, CENTER)), shift = loadd(moment(s, b, c, SHIFT)), slope = loadd(moment(s, b, c, SLOPE));
        VD factor = wide(weights_of(plan, s.params[0], c, channels, 1, 0)) * loadd(moment(s, b, c, INVERSE));
        V mean = narrow(center), shifted = narrow(shift), sloped = narrow(slope), scale = narrow(factor);
        for (Int z = 0; z < x.d; z++)
            for (Int row = 0; row < x.h; row++) {
                const float *p = b.act + at(x, c, z, row), *g = b.grad + grad_at(y, c, z, row);
                float* q = b.grad + grad_at(x, c, z, row);
                for (Int i = 0; i < x.w; i++) {
                    V each = load(g + i * L), v = load(p + i * L);
                    if (!batch) each = each * scale;
                    else if (few) each = narrow((wide(each) - shift - (wide(v) - center) * slope) * factor);
                    else each = (each - shifted - (v - mean) * sloped) * scale;
                    give(q + i * L, each, s.fresh[0]);
                }
            }
    }
}

}  // namespace convia::CONVIA_ISA
