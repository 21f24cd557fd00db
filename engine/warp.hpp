// Images changed at random, a batch at once: what Python hands to the kernels. Plain data, the same for all
// instruction sets.
#pragma once
#include <cstdint>

namespace convia {

enum class Fill { constant, nearest, reflect, wrap, mirror, grid_mirror, grid_wrap };  // as Python's FILL_MODES

// An image is `planes` pictures (height, width, channels): one where channels come last, else one per channel.
struct Images {
    const std::uint64_t* sources;  // addresses of the images: bytes, or floats
    bool bytes;
    float* out;  // (count, planes, height, width, channels)
    std::int64_t count, planes, height, width, channels;
    const double* maps;          // per image, from new to old pixels: M (2, 2), b (2)
    const std::uint8_t* flags;   // per image, see below
    const float* shifts;         // per image, added to all values within the image's own range
    const float* tables;         // per image, what brightness makes of 0…255; null where it leaves all as it is
    std::int64_t colors;         // channels that the tables apply to; the others are only truncated
    std::uint8_t* beyond;        // set where values outside 0…255 kept the table, and the scale, from being applied
    int order;                   // 0: nearest pixel, 1: bilinear
    Fill fill;
    float value;                 // of Fill::constant
    bool precise;                // interpolate in double precision
    float scale;                 // the last factor
};

enum Flag : std::uint8_t { moves = 1, flips_columns = 2, flips_rows = 4, shifts_values = 8 };

using Change = void (*)(const Images&);
Change change_portable();
Change change_avx2();
Change change_avx512();
Change change_neon();

}  // namespace convia
