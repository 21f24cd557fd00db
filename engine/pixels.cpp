// What Python sees of the image kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdlib>
#include <cstring>

#include "isa.hpp"
#include "jpeg.hpp"
#include "resize.hpp"
#include "warp.hpp"

namespace nb = nanobind;
using namespace convia;

namespace {

struct Kernels { Change change; Resize resize; Photographs photographs; };

// The machine's best, or those that CONVIA_ISA names.
Kernels chosen() {
    const char* name = std::getenv("CONVIA_ISA");
    Kernels best{};
#define ROW(isa, runs)                                                            \
    if (runs) {                                                                   \
        const Kernels row{change_##isa(), resize_##isa(), photographs_##isa()};   \
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
    return kernels().photographs.pick(picks);
}

using Places = Array<const std::int64_t>;
using Weights = Array<const float>;

Axis axis(const Places& first, const Places& second, const Weights& weight) {
    return {first.data(), second.data(), weight.data(), std::int64_t(first.size())};
}

void resize(const Array<const std::uint8_t>& image, const Array<float>& out, const Places& above, const Places& below,
            const Weights& down, const Places& left, const Places& right, const Weights& across) {
    const Resizing given{image.data(), std::int64_t(image.shape(1)), std::int64_t(image.shape(2)),
                         axis(above, below, down), axis(left, right, across), out.data()};
    nb::gil_scoped_release release;
    kernels().resize(given);
}

bool shrink(const nb::bytes& file, std::int64_t height, std::int64_t width, const Array<float>& out, const Places& above, const Places& below,
            const Weights& down, const Places& left, const Places& right, const Weights& across) {
    const Shrinking given{static_cast<const std::uint8_t*>(file.data()), file.size(), height, width,
                          axis(above, below, down), axis(left, right, across), out.data()};
    nb::gil_scoped_release release;
    return kernels().photographs.shrink(given);
}

}  // namespace

NB_MODULE(_pixels, m) {
    m.doc() = "Image kernels: a batch of images warped, flipped, shifted in value, brightened and scaled; resized; JPEG's pixels.";
    m.def("change", &change);
    m.def("pick", &pick);
    m.def("resize", &resize);
    m.def("shrink", &shrink);
}
