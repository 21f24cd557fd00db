// What Python sees of the image kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "isa.hpp"
#include "warp.hpp"

namespace nb = nanobind;
using namespace convia;

namespace {

Change best() {
#define ROW(isa, runs) if (runs) return change_##isa();
    EACH_ISA(ROW)
#undef ROW
    return nullptr;
}

template <class T> using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

void change(const Array<const std::uint64_t>& sources, bool bytes, const Array<float>& out,
            const Array<const double>& maps, const Array<const std::uint8_t>& flags, const Array<const float>& shifts,
            const Array<const float>& tables, const Array<std::uint8_t>& beyond, int order, int fill, float value,
            bool precise, float scale, std::int64_t colors) {  // out: (N, planes, H, W, C); tables may be empty
    static const Change kernel = best();
    auto size = [&](int axis) { return std::int64_t(out.shape(axis)); };
    Images images{sources.data(), bytes, out.data(), size(0), size(1), size(2), size(3), size(4), maps.data(),
                  flags.data(), shifts.data(), tables.size() ? tables.data() : nullptr, colors, beyond.data(), order,
                  Fill(fill), value, precise, scale};
    nb::gil_scoped_release release;
    kernel(images);
}

}  // namespace

NB_MODULE(_pixels, m) {
    m.doc() = "Image kernels: a batch of images warped, flipped, shifted in value, brightened and scaled.";
    m.def("change", &change);
}
