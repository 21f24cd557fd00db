// Warp, flips, channel shift, brightness and scale of images in one go; compiled once per instruction set.
#include "warp.hpp"

#include <cmath>
#include <vector>

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {

using Int = std::int64_t;
template <class T> struct Four { typedef T type __attribute__((vector_size(4 * sizeof(T)))); };
template <class T> using V4 = typename Four<T>::type;
typedef float V __attribute__((vector_size(4 * LANES)));
typedef std::int32_t VI __attribute__((vector_size(4 * LANES)));

// A coordinate beyond the border → one within; the formulas are those of convia/images/splines.py.
static double within(double c, Int size, Fill fill) {
    const double n = double(size);
    if (size == 1) return 0;
    switch (fill) {
        case Fill::constant:
        case Fill::nearest: return c < 0 ? 0 : c > n - 1 ? n - 1 : c;
        case Fill::reflect:
        case Fill::grid_mirror: {
            const double period = 2 * n;
            if (c < 0) {
                if (c < -period) c += period * std::trunc(-c / period);
                return c < -n ? c + period : (c > -1e-15 ? 1e-15 : -c) - 1;
            }
            if (c > n - 1) {
                c -= period * std::trunc(c / period);
                if (c >= n) c = period - c - 1;
            }
            return c;
        }
        case Fill::mirror: {
            const double period = 2 * n - 2;
            if (c < 0) {
                c += period * std::trunc(-c / period);
                return c <= 1 - n ? c + period : -c;
            }
            if (c > n - 1) {
                c -= period * std::trunc(c / period);
                if (c >= n) c = period - c;
            }
            return c;
        }
        case Fill::wrap: {
            const double period = n - 1;
            if (c < 0) return c + period * (std::trunc(-c / period) + 1);
            return c > n - 1 ? c - period * std::trunc(c / period) : c;
        }
        case Fill::grid_wrap:
            if (c < 0) return c + n * (std::trunc((-1 - c) / n) + 1);
            return c > n - 1 ? c - n * std::trunc(c / n) : c;
    }
    return c;
}

struct Taps { Int first, second; double weight; };  // the pixels of an axis around a coordinate; weight of the second

static Taps taps(double c, Int n, const Images& g) {
    const bool periodic = g.fill == Fill::mirror || g.fill == Fill::grid_wrap;
    c = within(c, n, g.fill);
    if (!periodic) c = c < 0 ? 0 : c > double(n - 1) ? double(n - 1) : c;
    const double start = std::floor(g.order ? c : c + 0.5);
    auto pixel = [&](Int k) {
        if (g.fill == Fill::grid_wrap) return (k % n + n) % n;
        const Int period = n > 1 ? 2 * n - 2 : 1;
        if (g.fill == Fill::mirror) k = (k % period + period) % period, k = k < period - k ? k : period - k;
        return k < n - 1 ? k : n - 1;
    };
    return {pixel(Int(start)), pixel(Int(start) + 1), c - start};
}

// One pixel near the border, in any mode.
template <class R>
static void pixel(const Images& g, const float* source, double cy, double cx, float* to) {
    const Int h = g.height, w = g.width, channels = g.channels;
    if (g.fill == Fill::constant && (cy < 0 || cy > double(h - 1) || cx < 0 || cx > double(w - 1))) {
        for (Int c = 0; c < channels; c++) to[c] = g.value;
        return;
    }
    const Taps y = taps(cy, h, g), x = taps(cx, w, g);
    const R wy = R(y.weight), wx = R(x.weight);
    auto at = [&](Int row, Int column) { return source + (row * w + column) * channels; };
    const float *a = at(y.first, x.first), *b = at(y.first, x.second), *c = at(y.second, x.first), *d = at(y.second, x.second);
    for (Int k = 0; k < channels; k++)
        to[k] = g.order ? float((R(a[k]) * (1 - wx) + R(b[k]) * wx) * (1 - wy) + (R(c[k]) * (1 - wx) + R(d[k]) * wx) * wy)
                        : float(a[k]);
}

template <class R>
static V4<R> four(const float* p) {
    V4<float> v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, V4<R>);
}

// One pixel whose neighbours are all within; three channels are computed as four, for which there is room.
template <class R, int C>
static void blend(const float* p, Int row, R wy, R wx, float* to) {
    if constexpr (C == 1) {
        *to = float((R(p[0]) * (1 - wx) + R(p[1]) * wx) * (1 - wy) + (R(p[row]) * (1 - wx) + R(p[row + 1]) * wx) * wy);
    } else {
        const V4<R> above = four<R>(p) * (1 - wx) + four<R>(p + C) * wx;
        const V4<R> below = four<R>(p + row) * (1 - wx) + four<R>(p + row + C) * wx;
        const V4<float> v = __builtin_convertvector(above * (1 - wy) + below * wy, V4<float>);
        __builtin_memcpy(to, &v, sizeof v);
    }
}

// The old pixels' row y, at the columns 0… of the new one. Images of at least 2 × 2 pixels and known channels need only
// blend: on the far border the last two pixels serve, with the weights 0 and 1.
template <class R, int C>
static void warped_line(const Images& g, const float* source, const double* m, Int y, bool reversed, float* line) {
    const Int h = g.height, w = g.width, row = w * g.channels;
    const double bottom = double(h - 1), right = double(w - 1);
    const double from_y = m[4] + m[0] * double(y), from_x = m[5] + m[2] * double(y);
    const Fill fill = g.fill;
    const bool simple = C && h > 1 && w > 1 && fill != Fill::mirror && fill != Fill::grid_wrap;
    for (Int k = 0; k < w; k++) {
        const double j = double(reversed ? w - 1 - k : k);
        double cy = from_y + m[1] * j, cx = from_x + m[3] * j;
        float* to = line + k * g.channels;
        if (!simple) {
            pixel<R>(g, source, cy, cx, to);
            continue;
        }
        if (fill != Fill::nearest && !(cy >= 0 && cy <= bottom && cx >= 0 && cx <= right)) {
            if (fill == Fill::constant) {
                for (Int c = 0; c < g.channels; c++) to[c] = g.value;
                continue;
            }
            cy = within(cy, h, fill), cx = within(cx, w, fill);
        }
        cy = cy > 0 ? cy : 0, cx = cx > 0 ? cx : 0;
        cy = cy < bottom ? cy : bottom, cx = cx < right ? cx : right;
        if (!g.order) {
            const float* p = source + (Int(cy + 0.5) * w + Int(cx + 0.5)) * C;
            for (int c = 0; c < C; c++) to[c] = p[c];
            continue;
        }
        Int iy = Int(cy), ix = Int(cx);
        iy -= iy == h - 1, ix -= ix == w - 1;
        blend<R, C ? C : 1>(source + iy * row + ix * C, row, R(cy - double(iy)), R(cx - double(ix)), to);
    }
}

template <class R>
static void warped(const Images& g, const float* source, const double* m, Int y, bool reversed, float* line) {
    switch (g.channels) {
        case 1: return warped_line<R, 1>(g, source, m, y, reversed, line);
        case 3: return warped_line<R, 3>(g, source, m, y, reversed, line);
        case 4: return warped_line<R, 4>(g, source, m, y, reversed, line);
        default: return warped_line<R, 0>(g, source, m, y, reversed, line);
    }
}

template <class T>
static void copied(const Images& g, const T* from, bool reversed, float* line) {
    const Int w = g.width, channels = g.channels;
    if (!reversed)
        for (Int i = 0; i < w * channels; i++) line[i] = float(from[i]);
    else
        for (Int k = 0; k < w; k++)
            for (Int c = 0; c < channels; c++) line[k * channels + c] = float(from[(w - 1 - k) * channels + c]);
}

struct Range { float low, high; };

static Range range(const float* x, Int n) {
    V low = V{} + x[0], high = low;
    Int i = 0;
    for (; i + LANES <= n; i += LANES) {
        V v;
        __builtin_memcpy(&v, x + i, sizeof v);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    Range r{low[0], high[0]};
    for (int k = 1; k < LANES; k++) r.low = low[k] < r.low ? low[k] : r.low, r.high = high[k] > r.high ? high[k] : r.high;
    for (; i < n; i++) r.low = x[i] < r.low ? x[i] : r.low, r.high = x[i] > r.high ? x[i] : r.high;
    return r;
}

static inline float clipped(float x, Range r) { return x < r.low ? r.low : x > r.high ? r.high : x; }

// Shift, brightness and scale of some numbers of an image; `first` is the channel of the first.
static void recolor(const Images& g, Int k, bool bright, Range r, Int first, const float* from, float* to, Int n) {
    const bool shifts = g.flags[k] & shifts_values;
    const float shift = shifts ? g.shifts[k] : 0, scale = g.scale;
    if (!bright) {
        if (shifts)
            for (Int i = 0; i < n; i++) to[i] = clipped(from[i] + shift, r) * scale;
        else
            for (Int i = 0; i < n; i++) to[i] = from[i] * scale;
        return;
    }
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = g.tables[256 * k + v] * scale;
    const Int channels = g.channels;
    for (Int i = 0, c = first; i < n; i++, c = channels > 1 && c + 1 == channels ? 0 : c + (channels > 1)) {
        const int v = int(shifts ? clipped(from[i] + shift, r) : from[i]);
        to[i] = c < g.colors ? table[v & 255] : float(v) * scale;
    }
}

template <class T>
static void change_image(const Images& g, Int k, float* line, float* copy) {
    const Int row = g.width * g.channels, size = g.height * row;
    const T* source = reinterpret_cast<const T*>(g.sources[k]);
    float* out = g.out + k * g.planes * size;
    const std::uint8_t flags = g.flags[k];
    const bool shifts = flags & shifts_values, reversed = flags & flips_columns;
    const bool bounded = g.bytes && (g.fill != Fill::constant || (g.value >= 0 && g.value <= 255));
    const bool waits = shifts || (g.tables && !bounded);  // for the range of the whole image
    Range all{INFINITY, -INFINITY};
    for (Int p = 0; p < g.planes; p++) {
        if (flags & moves)
            for (Int i = 0; i < size; i++) copy[i] = float(source[p * size + i]);
        for (Int k_row = 0; k_row < g.height; k_row++) {
            const Int y = flags & flips_rows ? g.height - 1 - k_row : k_row;
            float* to = out + p * size + k_row * row;
            if (!(flags & moves)) copied(g, source + p * size + y * row, reversed, line);
            else if (g.precise) warped<double>(g, copy, g.maps + 6 * k, y, reversed, line);
            else warped<float>(g, copy, g.maps + 6 * k, y, reversed, line);
            if (!waits) {
                recolor(g, k, g.tables, all, p, line, to, row);
                continue;
            }
            const Range r = range(line, row);
            all = {r.low < all.low ? r.low : all.low, r.high > all.high ? r.high : all.high};
            __builtin_memcpy(to, line, row * sizeof(float));
        }
    }
    if (!waits) return;
    const float shift = shifts ? g.shifts[k] : 0;
    const Range after = shifts ? Range{clipped(all.low + shift, all), clipped(all.high + shift, all)} : all;
    const bool bright = g.tables && after.low >= 0 && after.high <= 255;
    Images rest = g;
    if (g.tables && !bright) g.beyond[k] = 1, rest.scale = 1;
    for (Int p = 0; p < g.planes; p++) recolor(rest, k, bright, all, p, out + p * size, out + p * size, size);
}

static void change(const Images& g) {
    std::vector<float> line(g.width * g.channels + 4), copy(g.height * g.width * g.channels + 4);
    for (Int k = 0; k < g.count; k++) {
        if (g.bytes) change_image<std::uint8_t>(g, k, line.data(), copy.data());
        else change_image<float>(g, k, line.data(), copy.data());
    }
}

}  // namespace convia::CONVIA_ISA

namespace convia {
Change NAME(change_, CONVIA_ISA)() { return CONVIA_ISA::change; }
}  // namespace convia
