// Which tensors of a network for predictions are bytes: where their scales are known, what convolutions read, and what is
// pooled, added and moved between them.
#include <algorithm>

#include "wide_network.hpp"

namespace convia {

std::vector<int> WideNetwork::kept() const {
    std::vector<int> tensors = plan.inputs;
    for (const Step& s : plan.steps) tensors.push_back(s.out);
    std::sort(tensors.begin(), tensors.end());
    tensors.erase(std::unique(tensors.begin(), tensors.end()), tensors.end());
    return tensors;
}

// Whether there is a kernel for bytes.
bool WideNetwork::can_take_bytes(const Step& s) const {
    bool known = std::all_of(s.ins.begin(), s.ins.end(), [&](int in) { return is_bytes(in); });
    if (s.kind == Kind::conv) return known && (s.wide.depthwise ? s.dil[2] == 1 : s.groups == 1);
    if (!known || !is_bytes(s.out)) return false;
    const Tensor &x = plan.tensors[s.ins[0]], &y = plan.tensors[s.out];
    bool alike = s.ins.size() == 2 && x.c == y.c && x.size() == y.size() && plan.tensors[s.ins[1]].c == y.c && plan.tensors[s.ins[1]].size() == y.size();
    return s.kind == Kind::pool_max || s.kind == Kind::pool_average || s.kind == Kind::copy || (s.kind == Kind::join && s.join == Join::add && alike);
}

// Convolutions take bytes wherever they can, other steps only from one another: a conversion of its own is not worth it.
void WideNetwork::find_bytes() {
    std::vector<std::uint8_t> from_bytes(plan.tensors.size());
    for (int in : plan.inputs) from_bytes[in] = true;
    for (Step& s : plan.steps) {
        bool found = std::all_of(s.ins.begin(), s.ins.end(), [&](int in) { return from_bytes[in]; });
        s.wide.in_bytes = can_take_bytes(s) && (s.kind == Kind::conv || found);
        from_bytes[s.out] = s.wide.in_bytes;
    }
    for (const Step& s : plan.steps)  // several copies may fill a tensor: all of them, or none
        if (s.kind == Kind::copy && !s.wide.in_bytes)
            for (Step& other : plan.steps) other.wide.in_bytes &= other.kind != Kind::copy || other.out != s.out;
}

// Insert a conversion behind the last step that writes a tensor, for those readers that need the other form.
void WideNetwork::convert(int tensor, bool needs_bytes) {
    Sides sides = sides_[tensor];
    const Tensor t = plan.tensors[tensor];
    int other = add_tensor(plan.channels[tensor], t.d, t.h, t.w, sides.before, sides.after);
    Step step;
    step.kind = Kind::convert;
    step.ins = {tensor};
    step.out = other;
    step.wide.in_bytes = true;
    std::size_t place = 0;
    for (std::size_t i = 0; i < plan.steps.size(); i++)
        if (plan.steps[i].out == tensor) place = i + 1, step.number = plan.steps[i].number;
    for (Step& s : plan.steps)
        for (int& in : s.ins)
            if (in == tensor && s.wide.in_bytes == needs_bytes) in = other;
    for (Output& output : plan.outputs)
        if (output.tensor == tensor && !needs_bytes) output.tensor = other;
    plan.quanta[other] = needs_bytes ? plan.quanta[tensor] : Quantum{};
    if (needs_bytes) plan.quanta[tensor] = {};
    plan.steps.insert(plan.steps.begin() + Int(place), step);
}

void WideNetwork::choose_bytes() {
    if (std::none_of(plan.quanta.begin(), plan.quanta.end(), [](const Quantum& q) { return q.scale > 0; })) return;
    find_bytes();
    int count = int(plan.tensors.size());
    for (int t = 0; t < count; t++) {
        bool input = std::count(plan.inputs.begin(), plan.inputs.end(), t), bytes = false, floats = false, written = false, chosen = input;
        for (const Step& s : plan.steps) {
            bool reads = std::count(s.ins.begin(), s.ins.end(), t);
            (s.wide.in_bytes ? bytes : floats) |= reads;
            if (s.out != t) continue;
            written |= s.wide.in_bytes && s.kind != Kind::conv;
            chosen |= s.wide.in_bytes && s.kind == Kind::conv;
        }
        for (const Output& output : plan.outputs) floats |= output.tensor == t;
        if (written || (chosen && bytes && !(input && floats))) {
            if (floats) convert(t, false);
        } else if (bytes) {
            convert(t, true);
        } else {
            plan.quanta[t] = {};
        }
    }
}

// As `byte_pack` lays kernels out: four channels, or of depthwise convolutions four taps of a row, are a word of each lane.
void WideLayout::cut_bytes(Step& s) {
    Sweep& sweep = s.wide.forward;
    Int lanes = kernels->lanes, taps = Int(sweep.numbers.size()), rest = sweep.channels % lanes;
    Int words = taps * (sweep.channels / lanes * (lanes / 4) + tiles_of(rest, 4));
    if (s.wide.depthwise) {
        std::vector<std::int32_t> firsts;
        for (Int row = 0; row < taps / s.k[2]; row++)
            for (Int x = 0; x < s.k[2]; x += 4) firsts.push_back(sweep.taps[row * s.k[2] + x]);
        sweep.taps = std::move(firsts);
        words = Int(sweep.taps.size());
    }
    choose_tile(sweep, std::max<Int>(sweep.w, 1), byte_kernels->registers);
    if (s.wide.depthwise) sweep.tiles = sweep.blocks;
    sweep.packed = plan.packed_size;
    s.wide.shift = sweep.packed + sweep.blocks * lanes * words;
    plan.packed_size = s.wide.shift + 3 * sweep.blocks * lanes;
}

}  // namespace convia
