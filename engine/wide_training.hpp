// Training with channels as lanes. Each thread takes samples of a batch through the network; where normalizations need all of
// them the threads meet, and gradients of weights are added up over all samples, each thread having a share of the weights.
#pragma once
#include "wide_layout.hpp"

namespace convia {

class WideTraining : public WideLayout {
public:
    WideTraining(const Kernels* kernels, int threads) : WideLayout(kernels, threads), updates_(plan, kernels, threads) {}

    std::vector<Tally> tallies;  // of the last run, per loss
    double penalty = 0;          // Σ over its steps of penalty × samples

    void finish(Int largest_batch, bool training);
    void run(Job& job);
    std::vector<float> gradient(int param) const;  // of the last step, as it was applied
    std::vector<Timing> timings() const;           // of the runs since `profiling` was set

private:
    enum class Pass { load, forward, stats, moments, loss, store, sums, join, backward, weights, again, pack, wait, update };
    struct Op { Pass pass; int index; };
    struct Phase { bool meets; std::vector<Op> once, each; bool together = false; };  // each: of every sample
    struct Memory { Floats scratch, act, grad; std::vector<double> moments; std::vector<Tally> tallies; double penalty;
                    std::map<std::pair<Pass, int>, double> seconds; };

    void gather_pixels();
    void join_activations();
    void join_sums();
    void plan_zeros();
    void plan_phases(std::vector<Phase>& phases, bool training);
    void plan_way_back(std::vector<Phase>& phases);
    std::vector<int> inherit_gradients();
    void choose_again();
    void make_again(int tensor, std::vector<Op>& ops, std::vector<std::uint8_t>& made) const;
    void plan_second_places();
    std::vector<int> read_back(const Step& s) const;
    std::vector<int> touched(Op op) const;
    std::vector<int> touched_gradients(Op op) const;
    std::vector<Life> lives(const std::vector<int>& gradients) const;
    void lay_out();
    void plan_losses();
    void place_statistics();
    void reserve(bool training);
    bool gains_by_frequencies(const Step& s) const;
    bool goes_back(const Step& s) const;
    bool has_large_kernel(const Step& s) const;
    void begin(int thread, bool training, bool first);
    Block block(int thread, Int first, Int samples, const std::uint64_t* keys);
    void work(int thread);
    void take(int thread, const Phase& phase, Block whole, Block own);
    void run_op(Op op, Block& b);
    void lose(int thread, int loss, const Block& own);
    template <class F> void timed(int thread, Op op, F f);

    std::vector<Phase> training_, evaluation_;
    std::vector<std::uint8_t> graded_;
    std::vector<int> second_;  // per tensor: the one in whose place it is made again on the way back, -1 where it is kept
    Plan back_;                // where tensors are made again: the plan with those places
    std::vector<std::pair<Int, Int>> zeros_;
    std::vector<Memory> memory_;  // of the threads
    Floats act_, wgrad_, packed_;
    std::vector<double> stats_;
    Plan narrow_;  // predictions, and what their loss is differentiated to, with samples as lanes
    Int capacity_ = 0;
    Int trained_ = 0, measured_ = 0;  // samples, while profiling
    Job* job_ = nullptr;
    Updates updates_;
};

}  // namespace convia
