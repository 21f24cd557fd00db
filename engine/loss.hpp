// Losses: their value, the first gradient, and how often predictions are right. And the way of samples in and out.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

// Samples of memory order (…, channels) to vectors: lanes are transposed in registers.
static void load_input(const Tensor& t, const Data::Input& input, Block& b) {
    Int n = t.size();
    const float* row[L];
    for (int i = 0; i < L; i++)
        row[i] = static_cast<const float*>(input.data) + (input.bytes ? 0 : b.rows[i] * n);
    Int c = 0, x = 0, y = 0, z = 0;
    for (Int e = 0; e < n; e += L) {
        Int m = smallest(L, n - e);
        V r[L];
        if (input.bytes) {
            for (int i = 0; i < L; i++) {
                const std::uint8_t* p = static_cast<const std::uint8_t*>(input.data) + b.rows[i] * n + e;
                for (Int j = 0; j < m; j++) r[i][j] = p[j];
                for (Int j = m; j < L; j++) r[i][j] = 0;
            }
        } else if (m == L) {
            for (int i = 0; i < L; i++) r[i] = loadu(row[i] + e);
        } else {
            for (int i = 0; i < L; i++) {
                r[i] = zero();
                for (Int j = 0; j < m; j++) r[i][j] = row[i][e + j];
            }
        }
        transpose(r);
        if (t.c == 1 && x + m <= t.w) {  // the usual picture: vectors follow one another
            float* to = b.act + at(t, 0, z, y) + x * L;
            if (m == L) {
                UNROLL for (int j = 0; j < L; j++) store(to + j * L, r[j]);
            } else {
                for (Int j = 0; j < m; j++) store(to + j * L, r[j]);
            }
            if ((x += m) == t.w) { x = 0; if (++y == t.h) { y = 0; z++; } }
            continue;
        }
        for (Int j = 0; j < m; j++) {
            store(b.act + at(t, c, z, y) + x * L, r[j]);
            if (++c == t.c) { c = 0; if (++x == t.w) { x = 0; if (++y == t.h) { y = 0; z++; } } }
        }
    }
}

static void load_block(const Plan& plan, Block& b) {
    for (std::size_t i = 0; i < plan.inputs.size(); i++) load_input(plan.tensors[plan.inputs[i]], b.data->inputs[i], b);
}

static void store_block(const Plan& plan, Block& b) {
    for (std::size_t k = 0; k < plan.outputs.size(); k++) {
        const Tensor& t = plan.tensors[plan.outputs[k].tensor];
        float* out = b.data->outputs[k] + b.place * t.size();
        Int e = 0;
        for (Int z = 0; z < t.d; z++)
            for (Int y = 0; y < t.h; y++)
                for (Int x = 0; x < t.w; x++)
                    for (Int c = 0; c < t.c; c++, e++) {
                        const float* p = b.act + at(t, c, z, y) + x * L;
                        for (int i = 0; i < b.live; i++) out[i * t.size() + e] = p[i];
                    }
    }
}

// The labels of one pixel, made vectors: those of class c of all lanes.
struct Labels {
    const Data::Target* target;
    bool sparse;
    const Int* rows;
    Int pixels, pixel, classes;
    float keep, extra;  // label smoothing: y·keep + extra
    V operator()(Int c) const {
        V v;
        if (sparse)
            for (int i = 0; i < L; i++) v[i] = target->labels[rows[i] * pixels + pixel] == c;
        else
            for (int i = 0; i < L; i++) v[i] = target->dense[(rows[i] * pixels + pixel) * classes + c];
        return v;
    }
    V smooth(Int c) const { return (*this)(c) * keep + extra; }
};

struct Pixel {
    const float* p;  // predictions, and the gradient to write, one channel after another
    float* g;
    Int p_step, g_step, classes;
    V at(Int c) const { return load(p + c * p_step); }
    void set(Int c, V v) const { if (g) store(g + c * g_step, v); }
};

static inline V inside(V p, float epsilon) {  // NaN stays NaN
    p = p < epsilon ? all(epsilon) : p;
    return p > 1 - epsilon ? all(1 - epsilon) : p;
}
static inline V is_inside(V p, float epsilon) { return (p >= epsilon) & (p <= 1 - epsilon) ? all(1) : zero(); }

// −Σ y·log p, of scores, or of probabilities: these are kept in [ε, 1 − ε], and have no gradient at the limits.
static V softmax_crossentropy(const Loss& loss, bool scores, const Pixel& at, const Labels& y, V scale) {
    V value = zero(), mass = zero();
    if (scores) {
        V most = at.at(0), sum = zero();
        for (Int c = 1; c < at.classes; c++) most = vmax(most, at.at(c));
        for (Int c = 0; c < at.classes; c++) sum += vexp(at.at(c) - most);
        V log_sum = vlog(sum) + most, inverse = 1.f / sum;
        for (Int c = 0; c < at.classes; c++) {
            V label = y.smooth(c);
            mass += label;
            value += label * (log_sum - at.at(c));
        }
        for (Int c = 0; c < at.classes; c++)
            at.set(c, (vexp(at.at(c) - most) * inverse * mass - y.smooth(c)) * scale);
        return value;
    }
    V sum = loss.fused ? all(1) : zero();  // a softmax has divided by it
    for (Int c = 0; c < at.classes && !loss.fused; c++) sum += at.at(c);
    V inverse = 1.f / sum;
    for (Int c = 0; c < at.classes; c++) {
        V label = y.smooth(c), p = at.at(c) * inverse;
        value -= label * vlog(inside(p, loss.epsilon));
        mass += label * is_inside(p, loss.epsilon);
    }
    for (Int c = 0; c < at.classes; c++) {
        V p = at.at(c) * inverse, kept = y.smooth(c) * is_inside(p, loss.epsilon);
        at.set(c, (loss.fused ? p * mass - kept : (mass - kept / inside(p, loss.epsilon)) * inverse) * scale);
    }
    return value;
}

static V sigmoid_crossentropy(const Loss& loss, bool scores, const Pixel& at, const Labels& y, V scale) {
    V value = zero();
    float share = 1.f / at.classes;
    for (Int c = 0; c < at.classes; c++) {
        V label = y.smooth(c), p = at.at(c);
        if (scores) {
            value += vmax(p, zero()) - p * label + vlog(1.f + vexp(-vabs(p)));
            at.set(c, (vsigmoid(p) - label) * scale * share);
        } else {
            V q = inside(p, loss.epsilon);
            value -= label * vlog(q) + (1.f - label) * vlog(1.f - q);
            V slope = (p - label) * is_inside(p, loss.epsilon);
            at.set(c, (loss.fused ? slope : slope / (q * (1.f - q))) * scale * share);
        }
    }
    return value * share;
}

struct Error { V value, slope; };

static inline Error error_of(const Loss& loss, V p, V y) {
    V e = p - y, sign = e > 0.f ? all(1) : e < 0.f ? all(-1) : zero(), low = all(loss.epsilon);
    switch (loss.kind) {
        case LossKind::mean_squared: return {e * e, 2.f * e};
        case LossKind::mean_percentage: { V share = 100.f / vmax(vabs(y), low); return {vabs(e) * share, sign * share}; }
        case LossKind::mean_logarithmic: {
            V from = p < low ? low : p, d = vlog(from + 1.f) - vlog(vmax(y, low) + 1.f);
            return {d * d, p < low ? zero() : 2.f * d / (from + 1.f)};
        }
        case LossKind::huber: {
            VI near = vabs(e) <= loss.delta;
            return {near ? 0.5f * e * e : loss.delta * (vabs(e) - 0.5f * loss.delta), near ? e : sign * loss.delta};
        }
        case LossKind::log_cosh: return {vabs(e) + vlog(0.5f + 0.5f * vexp(-2.f * vabs(e))), vtanh(e)};
        case LossKind::poisson: return {p - y * vlog(p + low), 1.f - y / (p + low)};
        default: return {vabs(e), sign};
    }
}

static V mean_error(const Loss& loss, const Pixel& at, const Labels& y, V scale) {
    V value = zero();
    float share = 1.f / at.classes;
    for (Int c = 0; c < at.classes; c++) {
        Error error = error_of(loss, at.at(c), y(c));
        value += error.value;
        at.set(c, error.slope * scale * share);
    }
    return value * share;
}

static V accuracy(const Loss& loss, const Pixel& at, const Labels& y) {
    V hits = zero();
    if (loss.accuracy == 2) {
        for (Int c = 0; c < at.classes; c++)
            hits += y(c) == ((at.at(c) > loss.threshold) ? all(1) : zero()) ? all(1) : zero();
        return hits * (1.f / at.classes);
    }
    V most = at.at(0), best = zero(), true_most = y(0), true_best = zero();
    for (Int c = 1; c < at.classes; c++) {
        V p = at.at(c), label = y(c);
        best = p > most ? all(float(c)) : best;
        most = vmax(p, most);
        true_best = label > true_most ? all(float(c)) : true_best;
        true_most = vmax(label, true_most);
    }
    return best == true_best ? all(1) : zero();
}

static void compute_loss(const Plan& plan, int k, Block& b) {
    const Loss& loss = plan.losses[k];
    const Tensor &t = plan.tensors[loss.output], &g = plan.tensors[loss.target];
    const Data::Target& target = b.data->targets[k];
    Int pixels = t.d * t.h * t.w;
    bool soft = loss.kind == LossKind::softmax_crossentropy;
    bool from_scores = b.training && loss.fused;  // more exact where a probability is nearly 0 or 1
    Labels y{&target, loss.sparse, b.rows, pixels, 0, t.c, 1 - loss.smoothing,
             loss.smoothing * (soft ? 1.f / t.c : 0.5f)};
    V weight, live;
    for (int i = 0; i < L; i++) {
        live[i] = i < b.live;
        weight[i] = live[i] * (target.weight ? target.weight[b.rows[i]] : 1.f);
    }
    V scale = weight * (loss.factor / (float(b.batch) * pixels)), value = zero(), hits = zero();
    for (Int z = 0; z < t.d; z++)
        for (Int row = 0; row < t.h; row++)
            for (Int x = 0; x < t.w; x++, y.pixel++) {
                float* target_grad = b.training ? b.grad + grad_at(g, 0, z, row) + x * L : nullptr;
                Pixel seen{b.act + at(t, 0, z, row) + x * L, target_grad, t.cs * L, g.gcs * L, t.c};
                Pixel used = from_scores ? Pixel{b.act + at(g, 0, z, row) + x * L, target_grad, g.cs * L, g.gcs * L, t.c} : seen;
                bool scores = loss.logits || from_scores;
                value += loss.kind == LossKind::softmax_crossentropy   ? softmax_crossentropy(loss, scores, used, y, scale)
                         : loss.kind == LossKind::sigmoid_crossentropy ? sigmoid_crossentropy(loss, scores, used, y, scale)
                                                                       : mean_error(loss, used, y, scale);
                if (loss.accuracy) hits += accuracy(loss, seen, y);
            }
    for (int i = 0; i < b.live; i++) {
        b.tally[k].loss += double(weight[i]) * value[i] / pixels;
        b.tally[k].hits += double(hits[i]) / pixels;
    }
}

}  // namespace convia::CONVIA_ISA
