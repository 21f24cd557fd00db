// What Python sees of the image kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdlib>
#include <cstring>

#include "isa.hpp"
#include "jpeg.hpp"
#include "warp.hpp"

namespace nb = nanobind;
using namespace convia;

namespace {

struct Kernels { Change change; Pick pick; };

// The machine's best, or those that CONVIA_ISA names.
Kernels chosen() {
    const char* name = std::getenv("CONVIA_ISA");
    Kernels best{};
#define ROW(isa, runs)                                                            \
    if (runs) {                                                                   \
        const Kernels row{change_##isa(), pick_##isa()};                          \
        if (!best.change || (name && !std::strcmp(name, #isa))) best = row;       \
    }
    EACH_ISA(ROW)
#undef ROW
    return best;
}

const Kernels& kernels() {
    static const Kernels found = chosen();
    return found;
}

template <class T> using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

void change(const Array<const std::uint64_t>& sources, bool bytes, const Array<float>& out,
            const Array<const double>& maps, const Array<const std::uint8_t>& flags, const Array<const float>& shifts,
            const Array<const float>& tables, const Array<std::uint8_t>& beyond, int order, int fill, float value,
            bool precise, float scale, std::int64_t colors) {  // out: (N, planes, H, W, C); tables may be empty
    auto size = [&](int axis) { return std::int64_t(out.shape(axis)); };
    Images images{sources.data(), bytes, out.data(), size(0), size(1), size(2), size(3), size(4), maps.data(),
                  flags.data(), shifts.data(), tables.size() ? tables.data() : nullptr, colors, beyond.data(), order,
                  Fill(fill), value, precise, scale};
    nb::gil_scoped_release release;
    kernels().change(images);
}

bool pick(const nb::bytes& file, const Array<const std::int64_t>& rows, const Array<const std::int64_t>& columns,
          const Array<std::uint8_t>& out) {  // out: (rows, columns, 3)
    const Picks picks{static_cast<const std::uint8_t*>(file.data()), file.size(), rows.data(), columns.data(),
                      std::int64_t(rows.size()), std::int64_t(columns.size()), out.data()};
    if (out.size() != 3 * rows.size() * columns.size()) return false;
    nb::gil_scoped_release release;
    return kernels().pick(picks);
}

}  // namespace

NB_MODULE(_pixels, m) {
    m.doc() = "Image kernels: a batch of images warped, flipped, shifted in value, brightened and scaled; JPEG's pixels.";
    m.def("change", &change);
    m.def("pick", &pick);
}
