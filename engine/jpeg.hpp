// Photographs of which only some pixels are wanted, or that are made smaller: what Python hands to the decoder. Plain
// data, the same for all instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

#include "resize.hpp"

namespace convia {

struct Picks {
    const std::uint8_t* file;     // the whole file
    std::size_t bytes;
    const std::int64_t* rows;     // of the photograph that are wanted, in ascending order
    const std::int64_t* columns;
    std::int64_t height, width;   // how many rows and columns are wanted
    std::uint8_t* out;            // (height, width, red green blue)
};

struct Shrinking {
    const std::uint8_t* file;
    std::size_t bytes;
    std::int64_t height, width;  // of the photograph
    Axis rows, columns;
    float* out;          // (rows, columns, red green blue)
};

// Both say whether the file is an ordinary photograph, decoded without any doubt; else out may hold anything.
struct Photographs {
    bool (*pick)(const Picks&);
    bool (*shrink)(const Shrinking&);
};
Photographs photographs_portable();
Photographs photographs_avx2();
Photographs photographs_avx512();
Photographs photographs_neon();

}  // namespace convia
