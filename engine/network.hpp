// A plan with its memory and its threads. Threads share the blocks of a batch; each runs the whole network on its own.
#pragma once
#include <cmath>
#include <map>
#include <memory>
#include <new>
#include <string>

#include "gradients.hpp"
#include "plan.hpp"
#include "team.hpp"
#include "updates.hpp"

namespace convia {

constexpr std::align_val_t ALIGNMENT{64};  // a line of the cache, the widest vector
struct Free { void operator()(float* p) const { operator delete(p, ALIGNMENT); } };
using Floats = std::unique_ptr<float, Free>;
Floats allocate(Int count, Int& bytes);  // zeros; adds their size to `bytes`

// What a call does: train in steps of `batch` samples, or measure, or predict, `batch` being all samples then.
struct Job {
    enum Mode { train, evaluate, predict } mode;
    Data data;
    Int batch;
    std::vector<double> rates;        // learning rate of each step
    Int t = 1;                        // number of the first update, from 1
    std::vector<std::uint64_t> keys;  // of the random numbers
    bool guarded = false;             // a step whose loss is not finite changes no learned weight
};

std::vector<std::uint64_t> keys_of(const Job& job, Int step);  // of the random numbers of a step

// Where the time goes: seconds of all threads in one pass ("forward", "backward", …) of one step of the plan, and for
// convolutions the floating-point operations if each tap were multiplied and added.
struct Timing { std::string pass; int step; double seconds, operations; };

// Whether a step may change the weights, by the losses that the threads have counted.
template <class Memories>
bool may_learn(const Job& job, const Memories& memories) {
    if (job.rates.empty() || !job.guarded) return !job.rates.empty();
    double sum = 0;
    for (const auto& m : memories)
        for (const Tally& tally : m.tallies) sum += tally.loss;
    return std::isfinite(sum);
}

// What the threads have counted, added up.
template <class Memories>
void add_up(const Memories& memories, std::size_t losses, std::vector<Tally>& tallies, double& penalty) {
    tallies.assign(losses, {});
    penalty = 0;
    for (const auto& m : memories) {
        for (std::size_t k = 0; k < losses; k++) {
            tallies[k].loss += m.tallies[k].loss;
            tallies[k].hits += m.tallies[k].hits;
        }
        penalty += m.penalty;
    }
}

class Network {
public:
    Network(const Kernels* kernels, int threads) : kernels(kernels), threads(threads), updates_(plan, kernels, threads), barrier_(threads), team_(threads) {}
    Network(const Network&) = delete;

    Plan plan;
    const Kernels* kernels;
    int threads;
    std::vector<Tally> tallies;  // of the last run, per loss
    double penalty = 0;          // Σ over its steps of penalty × samples

    int add_tensor(Int c, Int d, Int h, Int w, const Int before[3], const Int after[3]);
    void finish(Int largest_batch, bool training);
    void run(Job& job);
    std::vector<Timing> timings() const;  // of the runs since `profiling` was set
    bool profiling = false;
    double profiled = 0;  // samples
    std::vector<float> gradient(int param) const;  // of the last step, as it was applied
    Int bytes() const { return bytes_; }

private:
    enum class Pass { load, forward, loss, backward, sums, store, pack, wait, update };
    struct Op { Pass pass; int index; };
    using Phases = std::vector<std::vector<Op>>;
    struct Memory { Floats act, grad, wgrad, scratch, packed; std::vector<Tally> tallies; double penalty;
                    std::map<std::pair<Pass, int>, double> seconds; };

    void cut_convolution(Step& s);
    void cut_winograd(Step& s);
    void mirror_convolution(Step& s, bool training);
    void plan_derivatives();
    int readers(int tensor) const;
    double operations(Pass pass, int step) const;
    void plan_phases(Phases& phases, bool training);
    void work(int thread);
    void run_block(int thread, int index, int blocks, Int first, Int samples, const std::vector<Op>& ops, const std::uint64_t* keys);
    void update(int thread, int blocks, double rate, Int t, Int samples);
    void plan_zeros();
    void plan_shares();
    bool at_hand(int blocks) const { return blocks > 1 && (blocks <= threads || !arenas_.empty()); }  // their tensors, to all threads
    void share_kernels(int thread, int blocks);
    float* packed(int thread) const { return memory_[packs_alone_ ? thread : 0].packed.get(); }
    void pack(int thread, bool training);
    template <class F> void timed(int thread, Op op, F f);

    Phases training_, inference_, evaluation_;
    std::vector<std::uint8_t> graded_;  // tensors whose gradient is computed
    std::vector<Memory> memory_;        // of the threads
    std::vector<Memory> arenas_;        // of the blocks, where phases wait for each other
    std::vector<std::pair<Int, Int>> zeros_;  // (start, size) of the gradients of weights that are added to
    bool packs_alone_ = false;          // each thread has packed kernels of its own
    std::vector<double> stats_;
    Int bytes_ = 0;
    Job* job_ = nullptr;
    Updates updates_;
    Barrier barrier_;
    Team team_;  // the last member: its threads see all others
};

}  // namespace convia
