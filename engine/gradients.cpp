#include "gradients.hpp"

#include <algorithm>

namespace convia {

bool learns(const Plan& plan, const Step& s) {
    return std::any_of(s.params.begin(), s.params.end(), [&](int p) { return p >= 0 && plan.params[p].grad >= 0; });
}

std::vector<std::uint8_t> plan_gradients(Plan& plan) {
    std::vector<std::uint8_t> needs(plan.tensors.size()), written(plan.tensors.size());
    for (Step& s : plan.steps) {
        bool any = learns(plan, s);
        s.wanted.clear();
        for (int in : s.ins) {
            s.wanted.push_back(needs[in]);
            any |= needs[in];
        }
        if (s.out >= 0 && any) needs[s.out] = true;
    }
    for (const Loss& loss : plan.losses) written[loss.target] = true;
    std::vector<std::uint8_t> graded(plan.steps.size());
    for (int i = int(plan.steps.size()) - 1; i >= 0; i--) {
        Step& s = plan.steps[i];
        s.fresh.assign(s.ins.size(), 0);
        bool wanted = std::any_of(s.wanted.begin(), s.wanted.end(), [](auto w) { return w; });
        if (s.out < 0 || s.skip_backward || !written[s.out] || !(wanted || learns(plan, s))) continue;
        graded[i] = 1;
        for (std::size_t k = 0; k < s.ins.size(); k++)
            if (s.wanted[k]) {
                s.fresh[k] = !written[s.ins[k]];
                written[s.ins[k]] = true;
            }
    }
    return graded;
}

std::vector<std::pair<Int, Int>> unwritten(const Plan& plan, const std::vector<std::uint8_t>& written) {
    std::vector<std::pair<Int, Int>> zeros;
    for (std::size_t p = 0; p < plan.params.size(); p++)
        if (plan.params[p].grad >= 0 && written[p] != 1) zeros.emplace_back(plan.params[p].grad, plan.params[p].size);
    return zeros;
}

}  // namespace convia
