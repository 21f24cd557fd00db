// Noise while training: dropout, that of SELUs, and Gaussian noise. All are x·scale + shift with random numbers.
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

constexpr float SELU_LIMIT = -1.7580993408473766f;

// Random numbers are a hash of (key of the layer and step, sample, element): the same whatever thread computes them.
static inline VU scrambled(VU h) {
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ (h >> 16);
}

static inline V uniform(VU bits) { return __builtin_convertvector((VI)(bits >> 8), V) * (1.f / 16777216); }  // in [0, 1)

// Normally distributed (Box & Muller 1958): √(−2·ln u)·cos(2πt).
static inline V normal(VU bits) {
    V u = 1.f - uniform(bits), t = vabs(uniform(scrambled(bits ^ 0x5bd1e995u)) - 0.5f);
    V x = (t - 0.25f) * 6.283185307179586f, q = x * x;  // −cos(2πt) = sin x, |x| ≤ π/2
    V sine = x * (1.f + q * (-1.6666667e-1f + q * (8.3333310e-3f + q * (-1.9840874e-4f + q * (2.7525562e-6f - q * 2.3889859e-8f)))));
    return vsqrt(-2.f * vlog(u)) * sine;
}

struct Noisy { V scale, shift; };

static inline Noisy drawn(const Step& s, VU bits) {
    switch (s.noise) {
        case Noise::add: return {all(1), normal(bits) * s.rate};
        case Noise::multiply: return {1.f + normal(bits) * s.rate, zero()};
        case Noise::alpha: {
            float a = 1.f / __builtin_sqrtf((1 - s.rate) * (1 + s.rate * SELU_LIMIT * SELU_LIMIT)), b = -a * SELU_LIMIT * s.rate;
            VI keep = uniform(bits) >= s.rate;
            return {pick(keep, all(a), zero()), pick(keep, all(b), all(a * SELU_LIMIT + b))};
        }
        default: {
            V scale = all(s.rate < 1 ? 1.f / (1.f - s.rate) : 0.f);
            return {pick(uniform(bits) >= s.rate, scale, zero()), zero()};
        }
    }
}

static inline VU noise_of_samples(std::uint64_t key, VU samples) {
    return scrambled(scrambled(samples * 0x9e3779b9u + std::uint32_t(key)) + std::uint32_t(key >> 32));
}
static inline VU noise_of_sample(std::uint64_t key, Int sample) { return noise_of_samples(key, VU{} + std::uint32_t(sample)); }

// f(x, y, channel, z, y, offset in the row, noise)
template <class F>
static inline void with_noise(const Plan& plan, const Step& s, Block& b, F f) {
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    VU lane;
    for (int i = 0; i < L; i++) lane[i] = std::uint32_t(b.first + i);
    lane = noise_of_samples(b.keys[s.key], lane);
    each_row([&](Int c, Int z, Int row, Int n, Int element) {
        for (Int i = 0; i < n; i++) {
            std::uint32_t number = std::uint32_t(s.index.empty() ? element + i : s.index[element + i]);
            f(x, y, c, z, row, i * L, drawn(s, scrambled(lane + number * 0x85ebca6bu)));
        }
    }, x, y);
}

static inline void noise_forward(const Plan& plan, const Step& s, Block& b) {
    const Tensor &in = plan.tensors[s.ins[0]], &out = plan.tensors[s.out];
    if (b.training) {
        with_noise(plan, s, b, [&](const Tensor& x, const Tensor& y, Int c, Int z, Int row, Int i, Noisy noise) {
            store(b.act + at(y, c, z, row) + i, load(b.act + at(x, c, z, row) + i) * noise.scale + noise.shift);
        });
        return;
    }
    each_row([&](Int c, Int z, Int row, Int n, Int) {
        __builtin_memcpy(b.act + at(out, c, z, row), b.act + at(in, c, z, row), sizeof(float) * L * n);
    }, in, out);
}

static inline void noise_backward(const Plan& plan, const Step& s, Block& b) {
    with_noise(plan, s, b, [&](const Tensor& x, const Tensor& y, Int c, Int z, Int row, Int i, Noisy noise) {
        give(b.grad + grad_at(x, c, z, row) + i, load(b.grad + grad_at(y, c, z, row) + i) * noise.scale, s.fresh[0]);
    });
}

}  // namespace convia::CONVIA_ISA
