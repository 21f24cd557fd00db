// Images made larger or smaller between their nearest pixels: what Python hands to the kernel. Plain data, the same for
// all instruction sets.
#pragma once
#include <cstdint>

namespace convia {

struct Axis {
    const std::int64_t *first, *second;  // per new row or column, the old ones around it
    const float* weight;                 // of the second
    std::int64_t size;
};

struct Resizing {
    const std::uint8_t* image;      // (height, width, channels)
    std::int64_t width, channels;
    Axis rows, columns;
    float* out;                     // (rows, columns, channels)
};

using Resize = void (*)(const Resizing&);
Resize resize_portable();
Resize resize_avx2();
Resize resize_avx512();
Resize resize_neon();

}  // namespace convia
