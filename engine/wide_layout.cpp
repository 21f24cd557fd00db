#include "wide_layout.hpp"

#include <algorithm>
#include <cstring>
#include <map>

namespace convia {

namespace {

constexpr double TRANSFORM = 8;  // multiplications that take as long as what is done to a number on its way to and from frequencies
constexpr double FAR = 24;       // multiplications that take as long as fetching a vector of a kernel
constexpr int IMAGES = 4;        // that are worked on together
constexpr Int WINOGRAD_BYTES = 1 << 20, FEWEST_TILES = 84, MOST_TILES = 112;

}  // namespace

int WideLayout::add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]) {
    plan.tensors.push_back({tiles_of(c, kernels->lanes), d, h, w, 0, 0, 0, 0, 0, 0, 0, 0});
    plan.channels.push_back(c);
    plan.quanta.push_back({});
    Sides sides;
    std::copy(before, before + 3, sides.before);
    std::copy(after, after + 3, sides.after);
    sides_.push_back(sides);
    return int(plan.tensors.size()) - 1;
}

Int WideLayout::origin(int tensor) const {
    const Tensor& t = plan.tensors[tensor];
    const Sides& side = sides_[tensor];
    return side.before[0] * t.ds + side.before[1] * t.hs + side.before[2];
}

void WideLayout::set_strides() {
    for (std::size_t i = 0; i < plan.tensors.size(); i++) {
        Tensor& t = plan.tensors[i];
        const Sides& side = sides_[i];
        t.hs = t.ghs = t.w + side.before[2] + side.after[2];
        t.ds = t.gds = t.hs * (t.h + side.before[1] + side.after[1]);
        t.cs = t.gcs = spread(t.ds * (t.d + side.before[0] + side.after[0]));
    }
}

// Each takes the first gap that is large enough.
Int WideLayout::share_memory(std::vector<Life> lives, Int Tensor::*place) {
    struct Taken { Int start, end, until; };
    std::vector<Taken> taken;
    Int all = 0;
    std::stable_sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) { return a.from < b.from; });
    for (const Life& life : lives) {
        Tensor& t = plan.tensors[life.tensor];
        Int in_vector = is_bytes(life.tensor) ? sizeof(float) : 1;  // vectors of bytes take a quarter of the space
        Int size = tiles_of(t.c * t.cs, in_vector), start = 0;
        std::erase_if(taken, [&](const Taken& each) { return each.until < life.from; });
        std::sort(taken.begin(), taken.end(), [](const Taken& a, const Taken& b) { return a.start < b.start; });
        for (const Taken& each : taken) {
            if (start + size <= each.start) break;
            start = std::max(start, each.end);
        }
        taken.push_back({start, start + size, life.to});
        t.*place = start * in_vector + origin(life.tensor);
        all = std::max(all, start + size);
    }
    return all;
}

int WideLayout::only_reader(int tensor) const {
    int readers = 0, last = -1;
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        for (int in : plan.steps[i].ins)
            if (in == tensor) readers++, last = int(i);
        readers += plan.steps[i].wide.residual == tensor;
    }
    for (const Output& output : plan.outputs) readers += output.tensor == tensor;
    for (const Loss& loss : plan.losses) readers += loss.target == tensor;
    return readers == 1 ? last : -1;
}

// Groups of channels that do not fill vectors are taken together with others, and what does not belong together is multiplied
// by zero.
void WideLayout::find_groups() {
    for (Step& s : plan.steps) {
        if (s.kind != Kind::conv || s.groups == 1) continue;
        Int ins = plan.channels[s.ins[0]], outs = plan.channels[s.out], lanes = kernels->lanes;
        s.wide.depthwise = s.groups == ins && s.groups == outs;
        auto fits = [&](Int n) { return s.groups % n == 0 && ins / n % lanes == 0 && outs / n % lanes == 0; };
        for (Int n = s.groups; n > 1 && s.wide.parts == 1 && !s.wide.depthwise; n--)
            if (fits(n)) s.wide.parts = n;
    }
}

// How one walks through a tensor's activations, or its gradients.
Walk WideLayout::through(int tensor, bool gradient) const {
    const Tensor& t = plan.tensors[tensor];
    Int lanes = kernels->lanes;
    return {(gradient ? t.gat : t.at) * lanes, t.cs * lanes, t.ds * lanes, t.hs * lanes, lanes};
}

bool WideLayout::is_even(int tensor) const {  // nothing lies between its rows
    const Tensor& t = plan.tensors[tensor];
    return t.hs == t.w && t.ds == t.h * t.w;
}

void WideLayout::choose_tile(Sweep& sweep, Int width, Int registers) {
    Int most = sweep.in.column > 2 * kernels->lanes ? 1 : kernels->wide->most_columns;
    Int columns = tiles_of(width, tiles_of(width, most));
    Int blocks = std::clamp<Int>((registers - 1) / (columns + 1), 1, kernels->wide->most_blocks);
    if (blocks == 1 && columns > 2) {  // registers are few: square tiles load least
        blocks = sweep.blocks > 1 ? 2 : 1;
        columns = std::min(columns, (registers - 1) / blocks - 1);
    }
    sweep.columns = columns;
    sweep.tiles = sweep.parts * tiles_of(sweep.blocks / sweep.parts, blocks);
}

void WideLayout::cut_sweep(Sweep& sweep, bool depthwise) {
    Int lanes = kernels->lanes;
    bool winograd = sweep.winograd.form >= 0;
    choose_tile(sweep, winograd ? sweep.winograd.most : std::max<Int>(sweep.w, 1), kernels->wide->registers);
    if (depthwise) sweep.tiles = sweep.blocks;
    sweep.packed = plan.packed_size;
    Int each = winograd ? WINOGRAD_FORMS[sweep.winograd.form].frequencies() : Int(sweep.numbers.size());
    plan.packed_size += sweep.blocks * lanes * sweep.channels * each;
    if (!winograd) return;
    Int tile = tiles_of(sweep.blocks, sweep.tiles);
    sweep.winograd.out_step = spread(tile * sweep.winograd.most);
    winograd_size_ = std::max(winograd_size_, each * (sweep.winograd.in_step + sweep.winograd.out_step) * lanes);
}

// Multiplications per result and channel: of the products; of the transforms, and of kernels that come from far, in proportion.
void WideLayout::choose_winograd(Sweep& sweep, const Step& s) {
    Int lanes = kernels->lanes, blocks = sweep.channels / lanes, taps = sweep.numbers.size();
    bool fits = !s.wide.depthwise && s.wide.parts == 1 && s.k[0] == 1 && s.s[0] * s.s[1] * s.s[2] * s.dil[1] * s.dil[2] == 1 &&
                sweep.channels % lanes == 0 && taps == s.k[1] * s.k[2];
    if (!fits) return;
    auto cost = [&](double transforms, Int frequencies, Int tiles) {
        return double(frequencies) * (tiles * (1 + transforms) + FAR / IMAGES);
    };
    double least = cost(0, taps, sweep.h * sweep.w), transforms = TRANSFORM * (1.0 / (sweep.blocks * lanes) + 1.0 / sweep.channels);
    WideWinograd& w = sweep.winograd;
    for (int f = 0; f < WINOGRADS; f++) {
        const WinogradForm& form = WINOGRAD_FORMS[f];
        if (form.kernel_rows != s.k[1] || form.kernel_columns != s.k[2] || std::max(form.high(), form.wide()) > most_points_) continue;
        Int rows = tiles_of(sweep.h, form.rows), columns = tiles_of(sweep.w, form.columns);
        if (double each = cost(transforms, form.frequencies(), rows * columns); each < least) {
            least = each;
            w.form = f, w.rows = rows, w.columns = columns;
            w.most = std::clamp<Int>(WINOGRAD_BYTES / (form.frequencies() * blocks * lanes * Int(sizeof(float))), FEWEST_TILES, MOST_TILES);
        }
    }
    if (w.form < 0) return;
    w.flipped = sweep.taps[0] > sweep.taps[taps - 1];
    w.origin = std::min(sweep.taps[0], sweep.taps[taps - 1]);
    w.in_step = spread(blocks * w.most);
    for (Int c = 0; c < blocks; c++) w.taps.push_back(std::int32_t(c * w.most * lanes));
}

// A convolution's way forward, or the way back of a transposed one: sums over windows.
void WideLayout::cut_convolution(Step& s) {
    bool transposed = s.kind == Kind::conv_transpose;
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    Sweep& sweep = s.wide.forward;
    sweep.in = through(s.large(), transposed);
    sweep.out = through(s.small(), transposed);
    sweep.blocks = y.c, sweep.d = y.d, sweep.h = y.h, sweep.w = y.w;
    sweep.channels = s.wide.depthwise ? 1 : plan.channels[s.large()] / s.wide.parts;
    Walk step = sweep.in;
    sweep.parts = s.wide.parts, sweep.part_step = x.c / s.wide.parts * step.block;
    for (Int i = 0; i < (s.wide.depthwise ? 1 : x.c / s.wide.parts); i++)
        for (Int z = 0, number = 0; z < s.k[0]; z++)
            for (Int ky = 0; ky < s.k[1]; ky++)
                for (Int kx = 0; kx < s.k[2]; kx++, number++) {
                    sweep.taps.push_back(i * step.block + z * s.dil[0] * step.plane + ky * s.dil[1] * step.row + kx * s.dil[2] * step.column);
                    if (i == 0) sweep.numbers.push_back(number);
                }
    sweep.in.at -= s.pad[0] * step.plane + s.pad[1] * step.row + s.pad[2] * step.column;
    sweep.in.plane *= s.s[0], sweep.in.row *= s.s[1], sweep.in.column *= s.s[2];
    if (s.wide.residual >= 0) s.wide.added = through(s.wide.residual, false);
    if (is_flat(s) && (s.wide.residual < 0 || is_even(s.wide.residual))) sweep.w = y.d * y.h * y.w, sweep.d = sweep.h = 1;
    if (s.wide.in_bytes) return cut_bytes(s);
    choose_winograd(sweep, s);
    cut_sweep(sweep, s.wide.depthwise);
    if (!transposed) place_shifts(s);
}

void WideLayout::place_shifts(Step& s) {
    s.wide.shift = plan.packed_size;
    plan.packed_size += plan.tensors[s.out].c * kernels->lanes;
}

// The taps that one place within a stride has on the way back (of a transposed convolution: forward), along an axis: result = place ÷ stride + shift.
struct BackTap { Int number, shift; };
static std::vector<BackTap> back_taps(const Step& s, int axis, Int place) {
    std::vector<BackTap> taps;
    for (Int k = 0; k < s.k[axis]; k++)
        if (Int at = place + s.pad[axis] - k * s.dil[axis]; at % s.s[axis] == 0) taps.push_back({k, at / s.s[axis]});
    return taps;
}

void WideLayout::cut_back(Step& s) {
    bool gradient = s.kind == Kind::conv;
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    Walk step = through(s.small(), gradient);
    for (Int pz = 0; pz < s.s[0]; pz++)
        for (Int py = 0; py < s.s[1]; py++)
            for (Int px = 0; px < s.s[2]; px++) {
                Sweep sweep;
                sweep.in = step;
                sweep.out = through(s.large(), gradient);
                sweep.out.at += pz * sweep.out.plane + py * sweep.out.row + px * sweep.out.column;
                sweep.out.plane *= s.s[0], sweep.out.row *= s.s[1], sweep.out.column *= s.s[2];
                sweep.blocks = x.c;
                sweep.d = tiles_of(x.d - pz, s.s[0]), sweep.h = tiles_of(x.h - py, s.s[1]), sweep.w = tiles_of(x.w - px, s.s[2]);
                sweep.channels = s.wide.depthwise ? 1 : plan.channels[s.small()] / s.wide.parts;
                sweep.parts = s.wide.parts, sweep.part_step = y.c / s.wide.parts * step.block;
                for (Int o = 0; o < (s.wide.depthwise ? 1 : y.c / s.wide.parts); o++)
                    for (BackTap z : back_taps(s, 0, pz))
                        for (BackTap r : back_taps(s, 1, py))
                            for (BackTap c : back_taps(s, 2, px)) {
                                sweep.taps.push_back(o * step.block + z.shift * step.plane + r.shift * step.row + c.shift * step.column);
                                if (o == 0) sweep.numbers.push_back((z.number * s.k[1] + r.number) * s.k[2] + c.number);
                            }
                if (is_flat(s)) sweep.w = x.d * x.h * x.w, sweep.d = sweep.h = 1;
                if (sweep.d == 0 || sweep.h == 0 || sweep.w == 0) continue;
                choose_winograd(sweep, s);
                cut_sweep(sweep, s.wide.depthwise);
                s.wide.back.push_back(std::move(sweep));
            }
    if (!gradient) place_shifts(s);
}

// The zeros that its way back reads around the gradient of a convolution's output, and a transposed one around its input.
void WideLayout::widen_for_back(const Step& s) {
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    const Int ins[3] = {x.d, x.h, x.w}, outs[3] = {y.d, y.h, y.w};
    Sides& sides = sides_[s.small()];
    for (int axis = 0; axis < 3; axis++)
        for (Int place = 0; place < std::min(s.s[axis], ins[axis]); place++)
            for (BackTap tap : back_taps(s, axis, place)) {
                Int last = tiles_of(ins[axis] - place, s.s[axis]) - 1 + tap.shift;
                sides.before[axis] = std::max(sides.before[axis], -tap.shift);
                sides.after[axis] = std::max(sides.after[axis], last - outs[axis] + 1);
            }
}

// The zeros that its way back reads around the gradient of a transposed convolution's output.
void WideLayout::widen_for_windows(const Step& s) {
    const Tensor &x = plan.tensors[s.large()], &y = plan.tensors[s.small()];
    const Int ins[3] = {x.d, x.h, x.w}, outs[3] = {y.d, y.h, y.w};
    Sides& sides = sides_[s.large()];
    for (int axis = 0; axis < 3; axis++) {
        Int end = (outs[axis] - 1) * s.s[axis] + (s.k[axis] - 1) * s.dil[axis] + 1 - s.pad[axis];
        sides.before[axis] = std::max(sides.before[axis], s.pad[axis]);
        sides.after[axis] = std::max(sides.after[axis], end - ins[axis]);
    }
}

bool WideLayout::is_flat(const Step& s) const {  // all pixels lie in one row
    return s.k[0] * s.k[1] * s.k[2] == 1 && s.s[0] * s.s[1] * s.s[2] == 1 && is_even(s.large()) && is_even(s.small());
}

// A scale and a shift of each channel.
void WideLayout::place_factors(Step& s) {
    Int size = plan.tensors[s.out].c * kernels->lanes;
    s.wide.scale = plan.packed_size;
    s.wide.shift = plan.packed_size + size;
    plan.packed_size += 2 * size;
}

// What a copy moves, as runs of floats that follow one another on both sides.
void WideLayout::find_runs(Step& s) {
    Int lanes = kernels->lanes;
    auto offset = [&](int tensor, Int e) {
        const Tensor& t = plan.tensors[tensor];
        Int x = e % t.w, y = e / t.w % t.h, z = e / (t.w * t.h) % t.d, c = e / (t.w * t.h * t.d);
        return std::int32_t((t.at + c / lanes * t.cs + z * t.ds + y * t.hs + x) * lanes + c % lanes);
    };
    std::vector<std::pair<std::int32_t, std::int32_t>> moves;  // to, from
    for (std::size_t i = 0; i < s.from.size(); i++) moves.emplace_back(offset(s.out, s.to[i]), offset(s.ins[0], s.from[i]));
    if (!std::is_sorted(moves.begin(), moves.end())) std::sort(moves.begin(), moves.end());
    for (auto [to, from] : moves) {
        auto& runs = s.wide.runs;
        if (!runs.empty() && runs.back().to + runs.back().count == to && runs.back().from + runs.back().count == from) runs.back().count++;
        else runs.push_back({from, to, 1});
    }
    s.from = {}, s.to = {};
}

// Several copies may fill a tensor; where they leave elements out, the first one clears it.
void WideLayout::find_gaps() {
    std::map<int, std::pair<Step*, Int>> filled;  // the first copy to a tensor, and how many elements all copy
    for (Step& s : plan.steps) {
        if (s.kind != Kind::copy) continue;
        auto& [first, count] = filled.try_emplace(s.out, &s, 0).first->second;
        count += Int(s.to.size());
    }
    for (auto& [tensor, found] : filled) {
        const Tensor& t = plan.tensors[tensor];
        found.first->wide.clears = found.second < plan.channels[tensor] * t.d * t.h * t.w;
    }
}

// Memory that other tensors use in between.
void WideLayout::clear_halo(const Block& b, int tensor, bool gradient) const {
    const Tensor& t = plan.tensors[tensor];
    const Sides& side = sides_[tensor];
    Int lanes = kernels->lanes, size = is_bytes(tensor) ? 1 : sizeof(float), bytes = lanes * size;  // of a vector
    int zero = is_bytes(tensor) ? plan.quanta[tensor].zero : 0;
    if (t.hs == t.w && t.ds == t.h * t.w && side.before[0] + side.after[0] == 0) return;
    for (int g = 0; g < b.group; g++)
        for (Int c = cut(t.c, b.parts, b.part); c < cut(t.c, b.parts, b.part + 1); c++)
            for (Int z = -side.before[0]; z < t.d + side.after[0]; z++)
                for (Int y = -side.before[1]; y < t.h + side.after[1]; y++) {
                    auto* row = reinterpret_cast<char*>(gradient ? b.grad + g * b.grad_apart : b.act + g * b.apart);
                    row += ((gradient ? t.gat : t.at) + c * t.cs + z * t.ds + y * t.hs) * bytes;
                    if (z < 0 || z >= t.d || y < 0 || y >= t.h) {
                        std::memset(row - side.before[2] * bytes, zero, t.hs * bytes);
                    } else {
                        std::memset(row - side.before[2] * bytes, zero, side.before[2] * bytes);
                        std::memset(row + t.w * bytes, zero, side.after[2] * bytes);
                    }
                }
}

}  // namespace convia
