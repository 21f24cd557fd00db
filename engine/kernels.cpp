// The kernels of one instruction set: this file is compiled once for each, with its own LANES and CONVIA_ISA.
#include <chrono>

#include "vec.hpp"
#include "conv.hpp"
#include "conv_transpose.hpp"
#include "elementwise.hpp"
#include "group.hpp"
#include "join.hpp"
#include "loss.hpp"
#include "mix.hpp"
#include "noise.hpp"
#include "norm.hpp"
#include "pool.hpp"
#include "softmax.hpp"

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)
#define TEXT_(isa) #isa
#define TEXT(isa) TEXT_(isa)

namespace convia::CONVIA_ISA {

static void forward(const Plan& plan, const Step& s, Block& b) {
    switch (s.kind) {
        case Kind::conv: return conv_forward(plan, s, b);
        case Kind::pool_max:
        case Kind::pool_average: return pool_forward(plan, s, b);
        case Kind::unary: return unary_forward(plan, s, b);
        case Kind::softmax: return softmax_forward(plan, s, b);
        case Kind::copy: return copy_forward(plan, s, b);
        case Kind::join: return join_forward(plan, s, b);
        case Kind::noise: return noise_forward(plan, s, b);
        case Kind::norm_stats: return norm_stats(plan, s, b);
        case Kind::norm_frozen:
        case Kind::norm_batch: return norm_forward(plan, s, b);
        case Kind::conv_transpose: return conv_transpose_forward(plan, s, b);
        case Kind::prelu: return prelu_forward(plan, s, b);
        case Kind::penalty: return penalty_forward(plan, s, b);
        case Kind::norm_group: return group_forward(plan, s, b);
        case Kind::log_softmax: return log_softmax_forward(plan, s, b);
        case Kind::sparsemax: return sparsemax_forward(plan, s, b);
        case Kind::rectifier: return rectifier_forward(plan, s, b);
        case Kind::mix: return mix_forward(plan, s, b);
        case Kind::convert: return;  // only where there are bytes
    }
}

static void backward(const Plan& plan, const Step& s, Block& b) {
    switch (s.kind) {
        case Kind::conv: return conv_backward(plan, s, b);
        case Kind::pool_max:
        case Kind::pool_average: return pool_backward(plan, s, b);
        case Kind::unary: return unary_backward(plan, s, b);
        case Kind::softmax: return softmax_backward(plan, s, b);
        case Kind::copy: return copy_backward(plan, s, b);
        case Kind::join: return join_backward(plan, s, b);
        case Kind::noise: return noise_backward(plan, s, b);
        case Kind::norm_stats: return;
        case Kind::norm_frozen:
        case Kind::norm_batch: return norm_backward(plan, s, b);
        case Kind::conv_transpose: return conv_transpose_backward(plan, s, b);
        case Kind::prelu: return prelu_backward(plan, s, b);
        case Kind::penalty: return penalty_backward(plan, s, b);
        case Kind::norm_group: return group_backward(plan, s, b);
        case Kind::log_softmax: return log_softmax_backward(plan, s, b);
        case Kind::sparsemax: return sparsemax_backward(plan, s, b);
        case Kind::rectifier: return rectifier_backward(plan, s, b);
        case Kind::mix: return mix_backward(plan, s, b);
        case Kind::convert: return;
    }
}

// f(i, take, put) for vectors of elements; the last one may have fewer than L.
template <class F>
static inline void each_vector(Int from, Int to, F f) {
    Int i = from;
    for (; i + L <= to; i += L) f(i, loadu, storeu);
    Int rest = to - i;
    if (rest <= 0) return;
    f(i, [&](const float* p) { V v{}; __builtin_memcpy(&v, p, rest * sizeof(float)); return v; },
      [&](float* p, V v) { __builtin_memcpy(p, &v, rest * sizeof(float)); });
}

static void reduce(const Optimizer& o, const Param& p, float* sum, const float* const* grads, int threads, bool due, Int from,
                   Int to, double* penalty, double* norm) {
    float* g = sum + p.grad;
    constexpr Int PART = 1024;  // or else what lies in `sum`, which is one of the gradients, would be lost
    float part[PART];
    bool summed = threads == 1 && grads[0] == sum;
    for (Int start = from; !summed && start < to; start += PART) {
        Int n = smallest(PART, to - start);
        __builtin_memcpy(part, grads[0] + p.grad + start, n * sizeof(float));
        for (int k = 1; k < threads; k++) {
            const float* other = grads[k] + p.grad + start;
            for (Int i = 0; i < n; i++) part[i] += other[i];
        }
        __builtin_memcpy(g + start, part, n * sizeof(float));
    }
    if (p.l1 != 0 || p.l2 != 0)
        for (Int i = from; i < to; i++) {
            float w = p.data[i];
            *penalty += p.l1 * __builtin_fabsf(w) + p.l2 * w * w;
            g[i] += p.l1 * float((w > 0) - (w < 0)) + 2 * p.l2 * w;
        }
    if (p.sum)
        for (Int i = from; i < to; i++) {
            p.sum[i] += g[i];
            if (!due) continue;
            g[i] = p.sum[i] / float(o.every);
            p.sum[i] = 0;
        }
    if (norm)
        for (Int i = from; i < to; i++) *norm += double(g[i]) * g[i];
}

static void update(const Optimizer& o, const Param& p, float* grad, float scale, double rate, Int t, Int from, Int to) {
    float *w = p.data, *g = grad + p.grad, *m = p.slots[0], *v = p.slots[1], *u = p.slots[2];
    const float lr = float(rate), a = float(o.a), b = float(o.b), epsilon = float(o.epsilon);
    if (p.decay != 0) {
        float keep = float(1 - p.decay * rate);
        for (Int i = from; i < to; i++) w[i] *= keep;
    }
    if (scale != 1)
        for (Int i = from; i < to; i++) g[i] *= scale;
    if (o.clip_value > 0)
        for (Int i = from; i < to; i++) g[i] = g[i] > o.clip_value ? o.clip_value : g[i] < -o.clip_value ? -o.clip_value : g[i];
    switch (o.rule) {
        case Rule::sgd:
            if (!m) {
                for (Int i = from; i < to; i++) w[i] -= lr * g[i];
            } else if (o.variant) {
                for (Int i = from; i < to; i++) {
                    m[i] = a * m[i] - lr * g[i];
                    w[i] += a * m[i] - lr * g[i];
                }
            } else {
                for (Int i = from; i < to; i++) {
                    m[i] = a * m[i] - lr * g[i];
                    w[i] += m[i];
                }
            }
            break;
        case Rule::adam: {
            double correction = __builtin_sqrt(1 - __builtin_pow(o.b, double(t))) / (1 - __builtin_pow(o.a, double(t)));
            const float alpha = float(rate * correction), one_a = float(1 - o.a), one_b = float(1 - o.b);
            each_vector(from, to, [&](Int i, auto take, auto put) {
                __builtin_prefetch(w + i + 16 * L, 1);
                V slope = take(g + i), mean = take(m + i), square = take(v + i);
                mean += (slope - mean) * one_a;
                square = b * square + one_b * slope * slope;
                V largest = u ? vmax(take(u + i), square) : square;
                put(m + i, mean);
                put(v + i, square);
                if (u) put(u + i, largest);
                put(w + i, take(w + i) - alpha * mean * reciprocal(root(largest) + epsilon));
            });
            break;
        }
        case Rule::rmsprop: {
            const float one_a = float(1 - o.a);
            for (Int i = from; i < to; i++) {
                m[i] = a * m[i] + one_a * g[i] * g[i];
                float variance = m[i] + epsilon;
                if (u) {
                    u[i] += (g[i] - u[i]) * one_a;
                    variance -= u[i] * u[i];
                }
                float step = lr * g[i] / __builtin_sqrtf(variance);
                if (v) step = v[i] = b * v[i] + step;
                w[i] -= step;
            }
            break;
        }
        case Rule::adagrad:
            for (Int i = from; i < to; i++) {
                m[i] += g[i] * g[i];
                w[i] -= lr * g[i] / __builtin_sqrtf(m[i] + epsilon);
            }
            break;
    }
}

// Moving averages of the weights, at update t; at the first they are the weights.
static void average(const Optimizer& o, const Param& p, Int t, Int from, Int to) {
    float *w = p.data, *a = p.average, share = t > 1 ? 1 - o.average_momentum : 1.f;
    bool overwrite = o.overwrite && t % o.overwrite == 0;
    for (Int i = from; i < to; i++) {
        a[i] += (w[i] - a[i]) * share;
        if (overwrite) w[i] = a[i];
    }
}

static volatile float pinned_result;  // or the compiler would leave the work out

static double peak(int rounds) {
    constexpr int CHAINS = 12;  // more than latency × throughput, and few enough to be unrolled into registers
    V c[CHAINS];
    for (V& v : c) v = zero();
    V a = pinned(all(0.5f)), b = pinned(all(0.25f));
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; i++)
        UNROLL for (int k = 0; k < CHAINS; k++) c[k] = pinned(c[k] * a + b);
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    for (V v : c) pinned_result = lane_sum(v);
    return 2.0 * L * CHAINS * rounds / taken.count();
}

static const Kernels table{TEXT(CONVIA_ISA), L, ACCUMULATORS, WIDEST, WEIGHT_ROWS, MOST_ROWS, CHUNK, peak, load_block, forward,
                           backward, norm_sums, compute_loss, store_block, pack, dense_weights, reduce, update, average, nullptr};

}  // namespace convia::CONVIA_ISA

namespace convia {
const Kernels* NAME(kernels_, CONVIA_ISA)() {
    static const Kernels all = [] {
        Kernels both = CONVIA_ISA::table;
        both.wide = NAME(wide_kernels_, CONVIA_ISA)();
        return both;
    }();
    return &all;
}
}  // namespace convia
