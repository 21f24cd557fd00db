// The two register-tiled kernels to which all convolutions reduce: sums over taps (forward, backward to the data) and
// sums over pixels (backward to the weights).
#pragma once
#include "vec.hpp"

namespace convia::CONVIA_ISA {

#if LANES == 16  // 32 vector registers
constexpr int ACCUMULATORS = 24, WIDEST = 6, WEIGHT_ROWS = 4, WEIGHT_COLUMNS = 6;
#elif defined(__aarch64__)  // 32 too, but multiplications do not read memory
constexpr int ACCUMULATORS = 20, WIDEST = 5, WEIGHT_ROWS = 4, WEIGHT_COLUMNS = 5;
#else
constexpr int ACCUMULATORS = 12, WIDEST = 3, WEIGHT_ROWS = 3, WEIGHT_COLUMNS = 4;
#endif
constexpr int MOST_ROWS = 12, GATHERING_TILES = 8;
constexpr Int CHUNK = 24576;  // bytes of a working set that should stay in the first-level cache
static const float no_bias[MOST_ROWS] = {};

// out[o][x] (+)= Σₜ w[t][o] · in[taps[t] + x]: O channels by X columns of accumulators stay in registers. Rows of w are
// `w_step` apart; without a bias the sums are added to what is there.
using Tile = void (*)(const float* in, const std::int32_t* taps, Int n, Int in_step, const float* w, Int w_step, float* out,
                      Int channel, Int out_step, const float* bias, bool relu);
template <int O, int X>
static void tile(const float* in, const std::int32_t* taps, Int n, Int in_step, const float* w, Int w_step, float* out, Int channel,
                 Int out_step, const float* bias, bool relu) {
    V c[O][X];
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) c[o][x] = bias ? all(bias[o]) : load(out + o * channel + x * out_step);
    for (Int t = 0; t < n; t++, w += w_step) {
        const float* p = in + taps[t];
        V v[X];
        UNROLL for (int x = 0; x < X; x++) v[x] = pinned(load(p + x * in_step));
        UNROLL for (int o = 0; o < O; o++) {
            V each = pinned(all(w[o]));
            UNROLL for (int x = 0; x < X; x++) c[o][x] += each * v[x];
        }
    }
    if (relu)
        UNROLL for (int o = 0; o < O; o++)
            UNROLL for (int x = 0; x < X; x++) c[o][x] = rectified(c[o][x]);
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int x = 0; x < X; x++) store(out + o * channel + x * out_step, c[o][x]);
}
template <int O, int X>
static constexpr Tile tile_or_none() {
    if constexpr (O * X <= ACCUMULATORS) return tile<O, X>;
    else return nullptr;
}
template <int... I>
static Tile choose_tile(Int o, Int x, std::integer_sequence<int, I...>) {
    static constexpr Tile table[] = {tile_or_none<I / WIDEST + 1, I % WIDEST + 1>()...};
    return table[(o - 1) * WIDEST + x - 1];
}
static inline Tile choose_tile(Int o, Int x) {
    return choose_tile(o, x, std::make_integer_sequence<int, MOST_ROWS * WIDEST>());
}

// acc[o][k] (+)= Σ over pixels of g[o] · in[taps[k]], per lane.
using WeightTile = void (*)(const float* g, Int g_channel, Int g_row, const float* in, const std::int32_t* taps,
                            Int in_row, Int in_step, Int rows, Int columns, float* acc, Int acc_row, bool first);
template <int O, int K>
static void weight_tile(const float* g, Int g_channel, Int g_row, const float* in, const std::int32_t* taps, Int in_row,
                        Int in_step, Int rows, Int columns, float* acc, Int acc_row, bool first) {
    V c[O][K];
    const float* p[K];
    UNROLL for (int k = 0; k < K; k++) p[k] = in + taps[k];
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int k = 0; k < K; k++) c[o][k] = first ? zero() : load(acc + o * acc_row + k * L);
    for (Int y = 0; y < rows; y++) {
        const float* q = g + y * g_row;
        Int offset = y * in_row;
        for (Int x = 0; x < columns; x++, q += L, offset += in_step) {
            V each[O];
            UNROLL for (int o = 0; o < O; o++) each[o] = pinned(load(q + o * g_channel));
            UNROLL for (int k = 0; k < K; k++) {
                V v = pinned(load(p[k] + offset));
                UNROLL for (int o = 0; o < O; o++) c[o][k] += v * each[o];
            }
        }
    }
    UNROLL for (int o = 0; o < O; o++)
        UNROLL for (int k = 0; k < K; k++) store(acc + o * acc_row + k * L, c[o][k]);
}
template <int... I>
static WeightTile choose_weight_tile(Int o, Int k, std::integer_sequence<int, I...>) {
    static constexpr WeightTile table[] = {weight_tile<I / WEIGHT_COLUMNS + 1, I % WEIGHT_COLUMNS + 1>...};
    return table[(o - 1) * WEIGHT_COLUMNS + k - 1];
}
static inline WeightTile choose_weight_tile(Int o, Int k) {
    return choose_weight_tile(o, k, std::make_integer_sequence<int, WEIGHT_ROWS * WEIGHT_COLUMNS>());
}

}  // namespace convia::CONVIA_ISA
