// Small networks, and what they should compute: layers sample by sample in double precision, slopes by differences.
#pragma once
#include <algorithm>
#include <cmath>
#include <random>

#include "../plan.hpp"

namespace convia {

struct Shape { Int c, d, h, w; Int size() const { return c * d * h * w; } };
struct Halo { Int before[3] = {0, 0, 0}, after[3] = {0, 0, 0}; };
struct Slope { Int place; double value; };

using Numbers = std::vector<double>;

struct Window3 { Int k[3] = {1, 1, 1}, s[3] = {1, 1, 1}, dil[3] = {1, 1, 1}, pad[3] = {0, 0, 0}; };

inline Window3 window(Int k, Int s = 1, Int pad = 0, Int dil = 1) { return {{1, k, k}, {1, s, s}, {1, dil, dil}, {0, pad, pad}}; }
inline Window3 cube(Int k, Int s, Int pad) { return {{k, k, k}, {s, s, s}, {1, 1, 1}, {pad, pad, pad}}; }

inline double activated(Act act, double x, double a) {
    auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    auto clip = [](double v, double low, double high) { return v < low ? low : v > high ? high : v; };
    switch (act) {
        case Act::relu: return x > 0 ? x : 0;
        case Act::leaky_relu: return x > 0 ? x : a * x;
        case Act::elu: return x > 0 ? x : a * std::expm1(x);
        case Act::selu: return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
        case Act::tanh: return std::tanh(x);
        case Act::sigmoid: return sigmoid(x);
        case Act::softplus: return std::log1p(std::exp(x));
        case Act::exponential: return std::exp(x);
        case Act::capped_relu: return clip(x, 0, a);
        case Act::hard_sigmoid: return clip(x / 6 + 0.5, 0, 1);
        case Act::hard_tanh: return clip(x, -1, 1);
        case Act::softsign: return x / (1 + std::fabs(x));
        case Act::silu: return x * sigmoid(x);
        case Act::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        case Act::gelu_tanh: return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        case Act::mish: return x * std::tanh(std::log1p(std::exp(x)));
        case Act::hard_silu: return x * clip(x + 3, 0, 6) / 6;
        case Act::log_sigmoid: return -std::log1p(std::exp(-x));
        case Act::tanh_shrink: return x - std::tanh(x);
        case Act::soft_shrink: return x - clip(x, -a, a);
        case Act::hard_shrink: return std::fabs(x) > a ? x : 0;
        case Act::squareplus: return (x + std::sqrt(x * x + a)) / 2;
        case Act::sparse_plus: return x <= -1 ? 0 : x < 1 ? (x + 1) * (x + 1) / 4 : x;
        case Act::sparse_sigmoid: return clip((x + 1) / 2, 0, 1);
        case Act::absolute: return std::fabs(x);
        case Act::square: return x * x;
        case Act::root: return std::sqrt(x);
        case Act::logarithm: return std::log(x);
        case Act::reciprocal: return 1 / x;
        default: return x;
    }
}

// A network in the making; `measure` then fills in what it should compute.
class Model {
public:
    std::string name;
    Int batch;
    std::vector<Shape> shapes;
    std::vector<Halo> halos;
    std::vector<Step> steps;
    std::vector<Numbers> weights;
    std::vector<bool> learns;
    std::vector<float> x, y;
    std::vector<std::int32_t> labels;
    Numbers predictions;
    double loss = 0;
    std::vector<std::vector<Slope>> slopes;  // of some numbers of each weight that learns

    Model(std::string name, Int batch, Shape input) : name(std::move(name)), batch(batch), random_(7) { tensor(input); }

    bool classifies() const { return steps.back().kind == Kind::softmax; }

    int conv(int in, Int outs, Window3 w, Act act = Act::linear, Int groups = 1) {
        const Shape x = shapes[in];
        const Int sizes[3] = {x.d, x.h, x.w};
        Int out[3];
        for (int a = 0; a < 3; a++) {
            Int reach = (w.k[a] - 1) * w.dil[a] + 1;
            out[a] = (sizes[a] + 2 * w.pad[a] - reach) / w.s[a] + 1;
            halos[in].before[a] = std::max(halos[in].before[a], w.pad[a]);
            halos[in].after[a] = std::max({halos[in].after[a], (out[a] - 1) * w.s[a] + reach - sizes[a] - w.pad[a], Int(0)});
        }
        Int taps = x.c / groups * w.k[0] * w.k[1] * w.k[2];
        return step(Kind::conv, in, {outs, out[0], out[1], out[2]}, w, act, {weight(outs * taps, taps), weight(outs, 4)}, groups);
    }
    int transposed(int in, Int outs, Window3 w, Act act = Act::linear) {
        const Shape x = shapes[in];
        auto size = [&](int a, Int n) { return (n - 1) * w.s[a] + (w.k[a] - 1) * w.dil[a] + 1 - 2 * w.pad[a]; };
        Int taps = w.k[0] * w.k[1] * w.k[2];
        return step(Kind::conv_transpose, in, {outs, size(0, x.d), size(1, x.h), size(2, x.w)}, w, act,
                    {weight(x.c * outs * taps, x.c * taps), weight(outs, 4)});
    }
    int pool(Kind kind, int in, Window3 w) {
        const Shape x = shapes[in];
        auto size = [&](int a, Int n) { return (n + 2 * w.pad[a] - w.k[a]) / w.s[a] + 1; };
        return step(kind, in, {x.c, size(0, x.d), size(1, x.h), size(2, x.w)}, w);
    }
    int unary(int in, Act act, float alpha = 0) {
        int out = step(Kind::unary, in, shapes[in], {}, act);
        steps.back().alpha = alpha;
        return out;
    }
    int softmax(int in) { return step(Kind::softmax, in, shapes[in]); }
    int over_channels(Kind kind, int in) { return step(kind, in, shapes[in]); }
    int rectifier(int in, Rectifier r) {
        int out = step(Kind::rectifier, in, shapes[in]);
        steps.back().rectifier = r;
        return out;
    }
    int mix(int in, int axis, std::vector<std::int32_t> to, std::vector<std::int32_t> from, std::vector<float> factors) {
        Shape s = shapes[in];
        (axis == 0 ? s.d : axis == 1 ? s.h : s.w) = to.back() + 1;
        int out = step(Kind::mix, in, s);
        Step& m = steps.back();
        m.axis = axis, m.member = std::move(to), m.index = std::move(from), m.factors = std::move(factors);
        return out;
    }
    int flatten(int in) { return step(Kind::copy, in, {shapes[in].size(), 1, 1, 1}); }
    int join(Join how, int a, int b) {
        int out = step(Kind::join, a, shapes[a]);
        steps.back().ins.push_back(b);
        steps.back().join = how;
        return out;
    }
    int norm(int in) {
        Int c = shapes[in].c;
        int gamma = weight(c, 4, 1), beta = weight(c, 4), mean = weight(c, 4, 0.1, false), variance = weight(c, 16, 1, false);
        int out = step(Kind::norm_batch, in, shapes[in], {}, Act::linear, {gamma, beta, mean, variance});
        steps.back().epsilon = 1e-3f, steps.back().momentum = 0.9f;
        return out;
    }
    int group_norm(int in, Int groups) {
        const Shape x = shapes[in];
        int out = step(Kind::norm_group, in, x, {}, Act::linear, {weight(x.c, 4, 1), weight(x.c, 4)}, groups);
        Step& s = steps.back();
        s.epsilon = 1e-3f;
        for (Int e = 0; e < x.size(); e++) {
            s.index.push_back(std::int32_t(e / (x.size() / x.c)));
            s.member.push_back(std::int32_t(e / (x.size() / groups)));
        }
        return out;
    }

    Model measured() {
        std::normal_distribution<float> normal;
        Int in = shapes[0].size(), out = shapes[steps.back().out].size();
        for (Int i = 0; i < batch * in; i++) x.push_back(normal(random_));
        for (Int i = 0; i < batch * out; i++) y.push_back(normal(random_));
        for (Int i = 0; i < batch; i++) labels.push_back(std::int32_t(random_() % out));
        predictions = forward(false);
        loss = value();
        slopes.resize(weights.size());
        for (std::size_t i = 0; i < weights.size(); i++)
            for (int k = 0; learns[i] && k < 8; k++) {
                Int place = Int(random_() % weights[i].size());
                double &w = weights[i][place], kept = w, h = 1e-5;
                w = kept + h;
                double above = value();
                w = kept - h;
                double below = value();
                w = kept;
                slopes[i].push_back({place, (above - below) / (2 * h)});
            }
        return *this;
    }

private:
    std::mt19937 random_;

    int tensor(Shape s) {
        shapes.push_back(s);
        halos.emplace_back();
        return int(shapes.size()) - 1;
    }
    int weight(Int size, Int fan, double mean = 0, bool learned = true) {
        std::normal_distribution<float> normal(0, std::sqrt(1.f / float(fan)));
        Numbers w;
        for (Int i = 0; i < size; i++) w.push_back(double(float(mean) + normal(random_)));
        for (double& each : w) each = learned ? each : double(float(std::fabs(each) + 0.5));
        weights.push_back(w);
        learns.push_back(learned);
        return int(weights.size()) - 1;
    }
    int step(Kind kind, int in, Shape out, Window3 w = {}, Act act = Act::linear, std::vector<int> params = {}, Int groups = 1) {
        Step s;
        s.kind = kind, s.act = act, s.groups = groups;
        s.ins = {in}, s.params = std::move(params), s.out = tensor(out);
        for (int a = 0; a < 3; a++) s.k[a] = w.k[a], s.s[a] = w.s[a], s.dil[a] = w.dil[a], s.pad[a] = w.pad[a];
        steps.push_back(s);
        return s.out;
    }

    // f(place in the large tensor, place in the small one, tap) for all windows: places are those within a channel.
    template <class F>
    static void each_tap(const Step& s, const Shape& large, const Shape& small, F f) {
        for (Int p = 0; p < small.d * small.h * small.w; p++)
            for (Int t = 0; t < s.k[0] * s.k[1] * s.k[2]; t++) {
                Int z = p / (small.h * small.w) * s.s[0] + t / (s.k[1] * s.k[2]) * s.dil[0] - s.pad[0];
                Int y = p / small.w % small.h * s.s[1] + t / s.k[2] % s.k[1] * s.dil[1] - s.pad[1];
                Int x = p % small.w * s.s[2] + t % s.k[2] * s.dil[2] - s.pad[2];
                bool inside = z >= 0 && z < large.d && y >= 0 && y < large.h && x >= 0 && x < large.w;
                if (inside) f((z * large.h + y) * large.w + x, p, t);
            }
    }

    void convolve(const Step& s, const double* in, double* out) const {
        const Shape &x = shapes[s.ins[0]], &y = shapes[s.out];
        const Numbers &w = weights[s.params[0]], &bias = weights[s.params[1]];
        Int plane_x = x.size() / x.c, plane_y = y.size() / y.c, kk = s.k[0] * s.k[1] * s.k[2];
        for (Int e = 0; e < y.size(); e++) out[e] = bias[e / plane_y];
        if (s.kind == Kind::conv) {
            Int ig = x.c / s.groups, og = y.c / s.groups;
            each_tap(s, x, y, [&](Int p, Int q, Int t) {
                for (Int o = 0; o < y.c; o++)
                    for (Int i = 0; i < ig; i++) out[o * plane_y + q] += w[(o * ig + i) * kk + t] * in[(o / og * ig + i) * plane_x + p];
            });
        } else {
            each_tap(s, y, x, [&](Int p, Int q, Int t) {
                for (Int i = 0; i < x.c; i++)
                    for (Int o = 0; o < y.c; o++) out[o * plane_y + p] += w[(i * y.c + o) * kk + t] * in[i * plane_x + q];
            });
        }
        for (Int e = 0; e < y.size(); e++) out[e] = activated(s.act, out[e], s.alpha);
    }

    void pooled(const Step& s, const double* in, double* out) const {
        const Shape &x = shapes[s.ins[0]], &y = shapes[s.out];
        bool most = s.kind == Kind::pool_max;
        Int plane_x = x.size() / x.c, plane_y = y.size() / y.c;
        for (Int c = 0; c < y.c; c++) {
            std::vector<Int> count(plane_y);
            each_tap(s, x, y, [&](Int p, Int q, Int) {
                double v = in[c * plane_x + p], &to = out[c * plane_y + q];
                to = count[q]++ == 0 ? v : most ? std::fmax(to, v) : to + v;
            });
            for (Int q = 0; q < plane_y && !most; q++) out[c * plane_y + q] /= double(count[q]);
        }
    }

    void group_normalized(const Step& s, const double* in, double* out) const {
        Int size = shapes[s.out].size() / s.groups;
        for (Int g = 0; g < s.groups; g++) {
            double mean = 0, variance = 0;
            for (Int e = g * size; e < (g + 1) * size; e++) mean += in[e] / double(size);
            for (Int e = g * size; e < (g + 1) * size; e++) variance += (in[e] - mean) * (in[e] - mean) / double(size);
            for (Int e = g * size; e < (g + 1) * size; e++)
                out[e] = (in[e] - mean) / std::sqrt(variance + s.epsilon) * weights[s.params[0]][s.index[e]]
                         + weights[s.params[1]][s.index[e]];
        }
    }

    void softmaxed(const Shape& y, const double* in, double* out) const {  // of one pixel
        double sum = 0;
        for (Int c = 0; c < y.c; c++) sum += out[c] = std::exp(in[c]);
        for (Int c = 0; c < y.c; c++) out[c] /= sum;
    }

    void log_softmaxed(const Shape& y, const double* in, double* out) const {  // over the channels of each pixel
        Int plane = y.size() / y.c;
        for (Int p = 0; p < plane; p++) {
            double sum = 0;
            for (Int c = 0; c < y.c; c++) sum += std::exp(in[c * plane + p]);
            for (Int c = 0; c < y.c; c++) out[c * plane + p] = in[c * plane + p] - std::log(sum);
        }
    }

    void projected(const Shape& y, const double* in, double* out) const {  // sparsemax, by sorting
        Int plane = y.size() / y.c;
        for (Int p = 0; p < plane; p++) {
            Numbers sorted;
            for (Int c = 0; c < y.c; c++) sorted.push_back(in[c * plane + p]);
            std::sort(sorted.rbegin(), sorted.rend());
            double sum = 0, limit = 0;
            for (Int k = 0; k < y.c; k++) {
                sum += sorted[k];
                if (1 + double(k + 1) * sorted[k] > sum) limit = (sum - 1) / double(k + 1);
            }
            for (Int c = 0; c < y.c; c++) out[c * plane + p] = std::fmax(in[c * plane + p] - limit, 0);
        }
    }

    void mixed(const Step& s, const double* in, double* out) const {
        const Shape &x = shapes[s.ins[0]], &y = shapes[s.out];
        auto place = [&](const Shape& t, Int c, Int z, Int h, Int w) { return ((c * t.d + z) * t.h + h) * t.w + w; };
        std::fill(out, out + y.size(), 0.0);
        for (std::size_t k = 0; k < s.factors.size(); k++)
            for (Int c = 0; c < x.c; c++)
                for (Int z = 0; z < (s.axis == 0 ? 1 : x.d); z++)
                    for (Int h = 0; h < (s.axis == 1 ? 1 : x.h); h++)
                        for (Int w = 0; w < (s.axis == 2 ? 1 : x.w); w++) {
                            Int from[3] = {z, h, w}, to[3] = {z, h, w};
                            from[s.axis] = s.index[k], to[s.axis] = s.member[k];
                            out[place(y, c, to[0], to[1], to[2])] += double(s.factors[k]) * in[place(x, c, from[0], from[1], from[2])];
                        }
    }

    static double limited(const Rectifier& r, double x) {
        return x <= r.threshold ? r.low + r.slope * (x - r.threshold) : std::fmin(x, r.most);
    }

    void normalized(const Step& s, const Numbers& in, Numbers& out, bool training) const {  // all samples
        const Shape& x = shapes[s.out];
        Int plane = x.size() / x.c;
        for (Int c = 0; c < x.c; c++) {
            double mean = weights[s.params[2]][c], variance = weights[s.params[3]][c], n = double(batch * plane);
            auto each = [&](auto f) {
                for (Int b = 0; b < batch; b++)
                    for (Int p = 0; p < plane; p++) f(b * x.size() + c * plane + p);
            };
            if (training) {
                mean = variance = 0;
                each([&](Int e) { mean += in[e] / n; });
                each([&](Int e) { variance += (in[e] - mean) * (in[e] - mean) / n; });
            }
            each([&](Int e) {
                out[e] = (in[e] - mean) / std::sqrt(variance + s.epsilon) * weights[s.params[0]][c] + weights[s.params[1]][c];
            });
        }
    }

    static double joined(Join how, double a, double b) {
        switch (how) {
            case Join::add: return a + b;
            case Join::subtract: return a - b;
            case Join::multiply: return a * b;
            case Join::average: return (a + b) / 2;
            case Join::maximum: return std::fmax(a, b);
            default: return std::fmin(a, b);
        }
    }

    // Samples are rows in memory order (…, channels) outside, (channels, …) within.
    Numbers turned(const Numbers& rows, const Shape& s, bool channels_last) const {
        Int plane = s.size() / s.c;
        Numbers to(rows.size());
        for (Int b = 0; b < batch; b++)
            for (Int c = 0; c < s.c; c++)
                for (Int p = 0; p < plane; p++) {
                    Int inside = b * s.size() + c * plane + p, outside = b * s.size() + p * s.c + c;
                    to[channels_last ? outside : inside] = rows[channels_last ? inside : outside];
                }
        return to;
    }

    Numbers forward(bool training) const {
        std::vector<Numbers> values(shapes.size());
        values[0] = turned(Numbers(x.begin(), x.end()), shapes[0], false);
        for (const Step& s : steps) {
            const Shape &from = shapes[s.ins[0]], &to = shapes[s.out];
            Numbers &out = values[s.out], &in = values[s.ins[0]];
            out.resize(batch * to.size());
            if (s.kind == Kind::norm_batch) normalized(s, in, out, training);
            for (Int b = 0; b < batch; b++) {
                const double* p = in.data() + b * from.size();
                double* q = out.data() + b * to.size();
                switch (s.kind) {
                    case Kind::conv:
                    case Kind::conv_transpose: convolve(s, p, q); break;
                    case Kind::pool_max:
                    case Kind::pool_average: pooled(s, p, q); break;
                    case Kind::norm_group: group_normalized(s, p, q); break;
                    case Kind::softmax: softmaxed(to, p, q); break;
                    case Kind::log_softmax: log_softmaxed(to, p, q); break;
                    case Kind::sparsemax: projected(to, p, q); break;
                    case Kind::rectifier: for (Int e = 0; e < to.size(); e++) q[e] = limited(s.rectifier, p[e]); break;
                    case Kind::mix: mixed(s, p, q); break;
                    case Kind::unary: for (Int e = 0; e < to.size(); e++) q[e] = activated(s.act, p[e], s.alpha); break;
                    case Kind::copy: std::copy(p, p + to.size(), q); break;
                    case Kind::join:
                        for (Int e = 0; e < to.size(); e++) q[e] = joined(s.join, p[e], values[s.ins[1]][b * to.size() + e]);
                        break;
                    default: break;
                }
            }
        }
        return turned(values[steps.back().out], shapes[steps.back().out], true);
    }

    double value() const {
        Numbers out = forward(true);
        Int size = Int(out.size()) / batch;
        double sum = 0;
        for (Int b = 0; classifies() && b < batch; b++) sum -= std::log(out[b * size + labels[b]]) / double(batch);
        for (std::size_t i = 0; !classifies() && i < out.size(); i++) sum += (out[i] - y[i]) * (out[i] - y[i]) / double(out.size());
        return sum;
    }
};

inline Model course_network() {
    Model m("convolution, pooling, dense, softmax", 37, {1, 1, 10, 11});
    int h = m.conv(0, 4, window(3), Act::relu);
    h = m.pool(Kind::pool_max, h, window(2, 2));
    h = m.conv(h, 6, window(3, 1, 1), Act::tanh);
    h = m.conv(m.flatten(h), 9, window(1), Act::relu);
    m.softmax(m.conv(h, 5, window(1)));
    return m.measured();
}

inline Model winograd_network() {
    Model m("3×3 of many channels, batch normalization", 19, {3, 1, 9, 8});
    int h = m.conv(0, 17, window(3, 1, 1), Act::relu);
    h = m.norm(m.conv(h, 18, window(3, 1, 1)));
    h = m.conv(m.unary(h, Act::relu), 16, window(3), Act::relu);
    h = m.pool(Kind::pool_average, h, window(3, 2, 1));
    m.softmax(m.conv(m.flatten(h), 4, window(1)));
    return m.measured();
}

inline Model branched_network() {
    Model m("strides, dilation, groups, joins, transposition", 9, {4, 1, 9, 9});
    int a = m.conv(0, 6, window(3, 2, 1), Act::sigmoid, 2), b = m.conv(0, 6, window(3, 2, 2, 2), Act::elu, 1);
    m.steps.back().alpha = 1;
    int h = m.join(Join::multiply, a, b);
    h = m.join(Join::maximum, h, a);
    h = m.group_norm(m.join(Join::add, h, b), 3);
    h = m.transposed(h, 3, window(3, 2, 1), Act::tanh);
    m.conv(h, 2, window(1));
    return m.measured();
}

inline Model deep_network() {
    Model m("three dimensions", 6, {2, 5, 6, 5});
    int h = m.conv(0, 5, cube(3, 1, 1), Act::softplus);
    h = m.pool(Kind::pool_max, h, cube(2, 2, 0));
    h = m.conv(h, 4, cube(2, 1, 0), Act::leaky_relu);
    m.steps.back().alpha = 0.2f;
    m.conv(m.flatten(h), 3, window(1));
    return m.measured();
}

inline Model activations_network() {
    Model m("activations", 21, {3, 1, 1, 1});
    int h = m.conv(0, 7, window(1));
    for (int act = int(Act::relu); act <= int(Act::square); act++) {
        if (Act(act) == Act::exponential) continue;  // would outgrow the rest
        h = m.conv(m.unary(h, Act(act), 0.5f), 7, window(1));
    }
    for (Act act : {Act::root, Act::logarithm, Act::reciprocal}) {  // of positive numbers
        h = m.unary(m.unary(m.conv(h, 7, window(1)), Act::softplus), Act::exponential);
        h = m.unary(h, act);
    }
    m.unary(m.conv(h, 2, window(1)), Act::exponential);
    return m.measured();
}

inline Model functions_network() {
    Model m("functions of channels, linear maps along axes", 23, {3, 2, 4, 5});
    int h = m.over_channels(Kind::log_softmax, m.conv(0, 5, window(1)));
    h = m.over_channels(Kind::sparsemax, m.conv(h, 6, window(1)));
    h = m.rectifier(m.conv(h, 4, window(1)), {0.2f, 0.1f, -0.3f, 0.6f});
    h = m.mix(h, 0, {0, 1, 1, 2}, {1, 0, 1, 0}, {1, 0.4f, 0.6f, -1});
    h = m.mix(m.conv(h, 3, window(1), Act::tanh), 1, {0, 0, 1, 1, 1}, {0, 3, 1, 2, 3}, {0.5f, 0.5f, 0.2f, 0.3f, 0.5f});
    h = m.mix(h, 2, {0, 1, 1, 2, 3, 4, 5}, {0, 0, 1, 1, 2, 3, 4}, {1, 0.75f, 0.25f, 1, 1, 1, 1});
    m.conv(h, 2, window(2, 1, 1));
    return m.measured();
}

inline std::vector<Model> all_models() {
    return {course_network(), winograd_network(), branched_network(), deep_network(), activations_network(), functions_network()};
}

}  // namespace convia
