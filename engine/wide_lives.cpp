// How long a training step needs activations and gradients: what nothing reads any more makes room for others. What is asked to
// be made again on the way back (Chen et al. 2016) makes room in between, and lies in another place then.
#include <algorithm>

#include "wide_training.hpp"

namespace convia {

namespace {

constexpr int MOST_CHAINED = 5;  // tensors that are made again of one another, and are there at the same time

}  // namespace

// Whether the way back of a step, its weights' gradients included, reads what it was given. What a normalization adds it does not.
static bool reads_input(const Plan& plan, const Step& s, int in) {
    bool late = s.act >= Act::silu;  // the derivative does not follow from the result
    switch (s.kind) {
        case Kind::conv:
        case Kind::conv_transpose: return plan.params[s.params[0]].grad >= 0;
        case Kind::norm_batch: return in == s.ins[0];
        case Kind::norm_frozen: return in == s.ins[0] && (late || learns(plan, s));
        case Kind::unary: return late;
        case Kind::join: return s.join == Join::multiply || s.join == Join::maximum || s.join == Join::minimum;
        case Kind::copy:
        case Kind::noise:
        case Kind::softmax:
        case Kind::pool_average: return false;
        default: return true;
    }
}

// Whether it reads what it has made.
static bool reads_output(const Step& s) {
    return s.kind == Kind::softmax || s.kind == Kind::pool_max || (s.act != Act::linear && s.act < Act::silu);
}

// The tensors that the way back of a step reads.
std::vector<int> WideTraining::read_back(const Step& s) const {
    std::vector<int> found;
    for (int in : s.ins)
        if (reads_input(plan, s, in)) found.push_back(in);
    if (reads_output(s)) found.push_back(s.out);
    return found;
}

// Which tensors are made again: those that the way back reads, if their steps may and to have what they are made of takes less
// memory than to keep them; and in turn what they are made of.
void WideTraining::choose_again() {
    std::size_t count = plan.tensors.size();
    std::vector<std::uint8_t> needed(count), may(count, 1);
    std::vector<Int> cost(count);  // memory of what is there only so that a tensor can be made again, in vectors
    std::vector<int> chain(count, 1);
    for (int in : plan.inputs) may[in] = 0;
    for (std::size_t i = 0; i < plan.steps.size(); i++)
        for (int tensor : graded_[i] ? read_back(plan.steps[i]) : std::vector<int>()) needed[tensor] = 1;
    auto gains = [&](int t) { return may[t] && chain[t] <= MOST_CHAINED && cost[t] < plan.tensors[t].size(); };
    for (const Step& s : plan.steps) {
        if (s.out < 0) continue;
        may[s.out] &= s.again >= 0 && capacity_ > s.again && !s.convolves();
        for (int in : s.ins) {
            if (gains(in)) chain[s.out] = std::max(chain[s.out], chain[in] + 1);
            if (!needed[in]) cost[s.out] += gains(in) ? cost[in] : plan.tensors[in].size();
        }
    }
    for (std::size_t i = plan.steps.size(); i-- > 0;) {
        const Step& s = plan.steps[i];
        if (s.out < 0 || !needed[s.out] || !gains(s.out)) continue;
        for (int in : s.ins) needed[in] = 1;
        if (second_[s.out] >= 0) continue;
        const Tensor t = plan.tensors[s.out];
        const Sides sides = sides_[s.out];
        second_[s.out] = add_tensor(plan.channels[s.out], t.d, t.h, t.w, sides.before, sides.after);
    }
}

// The steps that make a tensor again, where it has not been yet, and what they read.
void WideTraining::make_again(int tensor, std::vector<Op>& ops, std::vector<std::uint8_t>& made) const {
    if (second_[tensor] < 0 || made[tensor]) return;
    made[tensor] = 1;
    for (std::size_t i = 0; i < plan.steps.size(); i++) {
        if (plan.steps[i].out != tensor) continue;
        for (int in : plan.steps[i].ins) make_again(in, ops, made);
        ops.push_back({Pass::again, int(i)});
    }
}

// The plan of the way back.
void WideTraining::plan_second_places() {
    if (std::all_of(second_.begin(), second_.end(), [](int tensor) { return tensor < 0; })) return;
    back_ = plan;
    for (std::size_t i = 0; i < second_.size(); i++)
        if (second_[i] >= 0) back_.tensors[i].at = plan.tensors[second_[i]].at;
    auto moved = [&](int tensor) { return std::int32_t((back_.tensors[tensor].at - plan.tensors[tensor].at) * kernels->lanes); };
    for (Step& s : back_.steps)
        for (Wide::Run& run : s.wide.runs) run.from += moved(s.ins[0]), run.to += moved(s.out);
}

// The activations that an operation reads or writes.
std::vector<int> WideTraining::touched(Op op) const {
    std::vector<int> found;
    const Step* s = plan.steps.data() + op.index;
    switch (op.pass) {
        case Pass::load: return plan.inputs;
        case Pass::loss: return {plan.losses[op.index].output, plan.losses[op.index].target};
        case Pass::store:
            for (const Output& output : plan.outputs) found.push_back(output.tensor);
            return found;
        case Pass::weights:
            if (reads_input(plan, *s, s->ins[0])) found = s->ins;
            break;
        case Pass::sums:
        case Pass::backward: found = read_back(*s); break;
        case Pass::stats:
        case Pass::forward:
        case Pass::again:
            found = s->ins;
            if (s->out >= 0) found.push_back(s->out);
            break;
        default: break;
    }
    for (int& tensor : found)
        if (op.pass >= Pass::sums && second_[tensor] >= 0) tensor = second_[tensor];
    return found;
}

// The gradients, by the numbers of their tensors.
std::vector<int> WideTraining::touched_gradients(Op op) const {
    if (op.pass == Pass::loss) return {plan.losses[op.index].target};
    if (op.pass != Pass::sums && op.pass != Pass::backward && op.pass != Pass::weights) return {};
    const Step& s = plan.steps[op.index];
    std::vector<int> found{s.out};
    for (std::size_t k = 0; k < s.ins.size() && op.pass == Pass::backward; k++)
        if (s.wanted[k]) found.push_back(s.ins[k]);
    return found;
}

// When each tensor is needed, and then each one's gradient. What gradients of weights look at is there until the next meeting,
// for other threads may not have done so yet.
std::vector<WideLayout::Life> WideTraining::lives(const std::vector<int>& gradients) const {
    std::vector<Life> found;
    int count = int(gradients.size());
    for (int i = 0; i < 2 * count; i++) found.push_back({i, 0, -1});
    Int now = 0;
    auto use = [&](int tensor) {
        if (found[tensor].to < 0) found[tensor].from = now;
        found[tensor].to = now;
    };
    auto use_all = [&](Op op) {
        for (int tensor : touched(op)) use(tensor);
        for (int tensor : touched_gradients(op)) use(count + gradients[tensor]);
    };
    for (const Phase& phase : training_.empty() ? evaluation_ : training_) {
        for (const Op& op : phase.once) use_all(op);
        for (const Op& op : phase.each) now++, use_all(op);
        now++;
        for (const Op& op : phase.once)
            if (op.pass == Pass::weights) use_all(op);
    }
    std::erase_if(found, [](const Life& life) { return life.to < 0; });
    return found;
}

// Gradients are tensors of their own while room is found for all.
void WideTraining::lay_out() {
    set_strides();
    const std::vector<int> gradients = inherit_gradients();
    std::size_t count = plan.tensors.size();
    for (std::size_t i = 0; i < count; i++) {
        plan.tensors.push_back(Tensor(plan.tensors[i]));
        plan.quanta.push_back({});
        sides_.push_back(Sides(sides_[i]));
    }
    plan.act_size = share_memory(lives(gradients), &Tensor::at);
    for (std::size_t i = 0; i < count; i++) plan.tensors[i].gat = plan.tensors[count + gradients[i]].at;
    plan.tensors.resize(count), plan.quanta.resize(count), sides_.resize(count);
}

}  // namespace convia
