#include "updates.hpp"

#include <cmath>

namespace convia {

double Updates::apply(int thread, const std::vector<const float*>& gradients, bool sharing, float* sum, double rate, Int t,
                      Barrier& barrier) {
    const Optimizer& o = plan_.optimizer;
    std::vector<double>& own = norms_[thread];
    bool due = t % o.every == 0, norms = due && (o.clip_norm > 0 || o.clip_global > 0);
    t = (t - 1) / o.every + 1;  // steps become updates
    own.assign(plan_.params.size(), 0.0);
    double penalty = 0;
    each_share(thread, [&](std::size_t i, Int from, Int to) {
        const Param& p = plan_.params[i];
        bool summed = sharing && p.shared;
        const float* const only = sum;
        kernels_->reduce(o, p, sum, summed ? &only : gradients.data(), summed ? 1 : int(gradients.size()), due, from, to, &penalty,
                         norms ? &own[i] : nullptr);
    });
    if (norms) barrier.wait();
    double global = 0;
    for (std::size_t i = 0; norms && i < plan_.params.size(); i++)
        for (const auto& each : norms_) global += each[i];
    each_share(thread, [&](std::size_t i, Int from, Int to) {
        double scale = 1;
        if (norms) {
            double norm = 0;
            for (const auto& each : norms_) norm += each[i];
            norm = std::sqrt(o.clip_global > 0 ? global : norm);
            double most = o.clip_global > 0 ? o.clip_global : o.clip_norm;
            scale = most / std::max(norm, most) + (norm - norm);
        }
        const Param& p = plan_.params[i];
        if (due) kernels_->update(o, p, sum, float(scale), rate, t, from, to);
        if (p.average) kernels_->average(o, p, t, from, to);
    });
    return penalty;
}

}  // namespace convia
