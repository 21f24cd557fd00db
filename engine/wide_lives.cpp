// How long a training step needs activations: what no way back reads makes room for others.
#include <algorithm>

#include "wide_training.hpp"

namespace convia {

// Whether the way back of a step, its weights' gradients included, reads what it was given. What a normalization adds it does not.
static bool reads_input(const Plan& plan, const Step& s, int in) {
    bool late = s.act >= Act::silu;  // the derivative does not follow from the result
    switch (s.kind) {
        case Kind::conv: return plan.params[s.params[0]].grad >= 0;
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

void WideTraining::place_activations() {
    Int end = Int(plan.steps.size());
    std::vector<Int> first(plan.tensors.size(), end), last(plan.tensors.size(), -1);
    auto use = [&](int tensor, Int now) {
        first[tensor] = std::min(first[tensor], now);
        last[tensor] = std::max(last[tensor], now);
    };
    for (int in : plan.inputs) use(in, -1);
    for (const Output& output : plan.outputs) use(output.tensor, end);
    for (const Loss& loss : plan.losses) use(loss.output, end), use(loss.target, end);
    for (Int i = 0; i < end; i++) {
        const Step& s = plan.steps[i];
        for (int in : s.ins) use(in, graded_[i] && reads_input(plan, s, in) ? end : i);
        if (s.out < 0) continue;
        use(s.out, i);
        if (graded_[i] && reads_output(s)) use(s.out, end);
    }
    std::vector<Life> lives;
    for (std::size_t t = 0; t < plan.tensors.size(); t++)
        if (last[t] >= first[t]) lives.push_back({int(t), first[t], last[t]});
    plan.act_size = share_memory(lives, &Tensor::at);
}

}  // namespace convia
