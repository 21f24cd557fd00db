// Photographs of which only some pixels are wanted: what Python hands to the decoder. Plain data, the same for all
// instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

namespace convia {

struct Picks {
    const std::uint8_t* file;     // the whole file
    std::size_t bytes;
    const std::int64_t* rows;     // of the photograph that are wanted, in ascending order
    const std::int64_t* columns;
    std::int64_t height, width;   // how many rows and columns are wanted
    std::uint8_t* out;            // (height, width, red green blue)
};

// Whether the file is an ordinary photograph, decoded without any doubt; else out may hold anything.
using Pick = bool (*)(const Picks&);
Pick pick_portable();
Pick pick_avx2();
Pick pick_avx512();
Pick pick_neon();

}  // namespace convia
