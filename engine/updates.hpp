// Updates of the weights: gradients are added up, penalized and clipped, and the optimizer's rule is applied. Each thread has a
// share of all learned numbers.
#pragma once
#include <algorithm>

#include "plan.hpp"
#include "team.hpp"

namespace convia {

class Updates {
public:
    Updates(const Plan& plan, const Kernels* kernels, int threads) : plan_(plan), kernels_(kernels), norms_(threads) {}

    // In all threads: update number t (from 1) by the gradients, whose sum `sum` takes in; of those that threads share it holds
    // this thread's share. Returns the penalty of this share.
    double apply(int thread, const std::vector<const float*>& gradients, bool sharing, float* sum, double rate, Int t, Barrier& barrier);

    // The share of a thread, parameter by parameter: f(index, from, to).
    template <class F>
    void each_share(int thread, F f) const {
        Int threads = norms_.size(), lines = plan_.weight_size / 16;
        Int from = cut(lines, threads, thread) * 16, to = cut(lines, threads, thread + 1) * 16;
        for (std::size_t i = 0; i < plan_.params.size(); i++) {
            const Param& p = plan_.params[i];
            if (p.grad < 0) continue;
            Int lo = std::max<Int>(0, from - p.grad), hi = std::min(p.size, to - p.grad);
            if (lo < hi) f(i, lo, hi);
        }
    }

private:
    const Plan& plan_;
    const Kernels* kernels_;
    std::vector<std::vector<double>> norms_;  // squared, of the threads' shares
};

}  // namespace convia
