// Bilinear resizing from bytes to floats; compiled once per instruction set.
#include "resize.hpp"

#include <vector>

#define NAME_(prefix, isa) prefix##isa
#define NAME(prefix, isa) NAME_(prefix, isa)

namespace convia::CONVIA_ISA {

using Int = std::int64_t;
typedef float V4 __attribute__((vector_size(16)));

static inline V4 four(const float* p) {
    V4 v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

// Three channels are computed as four, for which there is room: in `line`, and in the pixel that comes next.
template <int C>
static void across(const Resizing& g, const float* line, float* to) {
    const Int channels = C ? C : g.channels;
    for (Int x = 0; x < g.columns.size; x++, to += channels) {
        const float *a = line + g.columns.first[x] * channels, *b = line + g.columns.second[x] * channels;
        const float weight = g.columns.weight[x];
        if (C >= 3 && x + 1 < g.columns.size) {
            const V4 v = four(a) + (four(b) - four(a)) * weight;
            __builtin_memcpy(to, &v, sizeof v);
        } else {
            for (Int c = 0; c < channels; c++) to[c] = a[c] + (b[c] - a[c]) * weight;
        }
    }
}

static void resize(const Resizing& g) {
    const Int row = g.width * g.channels;
    std::vector<float> line(row + 4);
    for (Int y = 0; y < g.rows.size; y++) {
        const std::uint8_t *a = g.image + g.rows.first[y] * row, *b = g.image + g.rows.second[y] * row;
        const float weight = g.rows.weight[y];
        for (Int i = 0; i < row; i++) line[i] = float(a[i]) + float(b[i] - a[i]) * weight;
        float* to = g.out + y * g.columns.size * g.channels;
        if (g.channels == 3) across<3>(g, line.data(), to);
        else if (g.channels == 4) across<4>(g, line.data(), to);
        else across<0>(g, line.data(), to);
    }
}

}  // namespace convia::CONVIA_ISA

namespace convia {
Resize NAME(resize_, CONVIA_ISA)() { return CONVIA_ISA::resize; }
}  // namespace convia
